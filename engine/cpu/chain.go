package cpu

import "sgflow/engine/cpu/kernel"

// streamed is an instruction that can run as part of a kernel.Stream.
type streamed[T Float] interface {
	bound
	// record adds the instruction's operations for n samples to s.
	record(s *kernel.Stream[T], n int)
	// settle does what is left when the stream has run.
	settle(n int)
}

// chain runs instructions as one stream.
type chain[T Float] struct {
	m    *Machine[T]
	list []streamed[T]
}

func (c *chain[T]) run(n int) {
	s := c.m.kernels.Stream(n)
	for _, in := range c.list {
		in.record(s, n)
	}
	s.Run()
	for _, in := range c.list {
		in.settle(n)
	}
}

// alone runs one instruction as a stream.
func alone[T Float](m *Machine[T], in streamed[T], n int) {
	s := m.kernels.Stream(n)
	in.record(s, n)
	s.Run()
	in.settle(n)
}

// chain puts a chain in the place of neighbours in list that have the same
// number in of (see program.Chains).
func (b *binder[T]) chain(list []bound, of []int) []bound {
	var r []bound
	for k := 0; k < len(list); {
		c := &chain[T]{m: b.m}
		to := k
		for ; to < len(list) && of[to] == of[k]; to++ {
			in, ok := list[to].(streamed[T])
			if !ok {
				break
			}
			c.list = append(c.list, in)
		}
		if len(c.list) < 2 {
			r = append(r, list[k])
			k++
			continue
		}
		r = append(r, c)
		k = to
	}
	return r
}
