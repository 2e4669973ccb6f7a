package kernel

// Stream is operations that treat each sample of a batch by itself, recorded
// one after the other and then run together: a few samples go through all of
// them before the next few start. What one operation leaves, the next finds in
// the cache, and the threads meet once for all instead of once for each.
//
// The results are those of running the operations one by one. What an operation
// reads of a sample must come from the same sample of an earlier one or from
// outside the stream; sums over samples, like weight gradients, are not for
// later operations.
//
// A stream belongs to its Kernels, which has only one: [Kernels.Stream] starts
// it anew, [Stream.Run] runs and empties it.
type Stream[T Float] struct {
	kernels *Kernels[T]
	n       int
	ops     []streamOp
	width   int  // elements of a sample that the operations touch
	work    int  // multiply-adds of a sample, or what takes as long
	grouped bool // some operation sums over samples, group by group
	pieces  int  // of the run: each some groups, or some samples where nothing is grouped
	tile    int  // samples that go through the operations together

	convs       shelf[convTask[T]]
	planes      shelf[planeTask[T]]
	channels    shelf[channelTask[T]]
	activations shelf[elementTask[T]]
	rowNorms    shelf[rowNormTask[T]]
	calls       shelf[call]
}

// streamOp is an operation of a stream.
type streamOp interface {
	before()                           // once, ahead of the samples
	begin(group int)                   // ahead of the first samples of a group
	samples(group, lo, hi, worker int) // samples [lo,hi) of a group, in ascending order
	after()                            // once, when all samples are done
	forget()                           // drop the caller's slices
}

// Samplewise is a caller's own operation of a stream.
type Samplewise interface {
	// Samples works on samples [lo,hi). worker is as for [Task].
	Samples(lo, hi, worker int)
}

const (
	// streamGroups is the number of groups of samples whose sums are made
	// apart, so that the rounding does not depend on the threads.
	streamGroups = 16
	// streamTile is how many elements go through a stream together: half of a
	// second-level cache of 1 MiB in float32.
	streamTile = 1 << 17
	// streamWork is the multiply-adds that are worth a hand-over, and moveWork
	// those that take as long as moving an element.
	streamWork = 1 << 18
	moveWork   = 8
)

// groupsOf is the number of groups of n samples.
func groupsOf(n int) int { return min(n, streamGroups) }

// Stream starts the stream of k for n samples.
func (k *Kernels[T]) Stream(n int) *Stream[T] {
	s := &k.stream
	s.kernels, s.n, s.width, s.work, s.grouped = k, n, 0, 0, false
	return s
}

// add records op, which touches width elements of a sample and takes as long as
// work multiply-adds.
func (s *Stream[T]) add(op streamOp, width, work int) {
	s.ops = append(s.ops, op)
	s.width += width
	s.work += work
}

// Call records an operation of the caller's that touches width elements of a
// sample and takes as long as work multiply-adds.
func (s *Stream[T]) Call(op Samplewise, width, work int) {
	t := s.calls.next()
	t.op = op
	s.add(t, width, work)
}

// Run runs what was recorded.
func (s *Stream[T]) Run() {
	if s.n > 0 && len(s.ops) > 0 {
		s.plan()
		for _, op := range s.ops {
			op.before()
		}
		s.kernels.pool.Run(s.pieces, s)
		for _, op := range s.ops {
			op.after()
		}
	}
	for _, op := range s.ops {
		op.forget()
	}
	s.ops = s.ops[:0]
	s.convs.used, s.planes.used, s.channels.used = 0, 0, 0
	s.activations.used, s.rowNorms.used, s.calls.used = 0, 0, 0
}

// plan cuts the samples into pieces and tiles.
func (s *Stream[T]) plan() {
	s.tile = min(max(1, streamTile/max(1, s.width)), s.n)
	most := s.n
	if s.grouped {
		most = groupsOf(s.n)
	}
	s.pieces = max(1, min(most, s.n*s.work/streamWork))
}

// Do works on piece i.
func (s *Stream[T]) Do(i, worker int) {
	if !s.grouped {
		lo, hi := span(s.n, s.pieces, 1, i)
		s.tiles(0, lo, hi, worker)
		return
	}
	groups := groupsOf(s.n)
	for g, end := span(groups, s.pieces, 1, i); g < end; g++ {
		for _, op := range s.ops {
			op.begin(g)
		}
		lo, hi := span(s.n, groups, 1, g)
		s.tiles(g, lo, hi, worker)
	}
}

// tiles takes samples [lo,hi) through all operations, a tile at a time.
func (s *Stream[T]) tiles(group, lo, hi, worker int) {
	for ; lo < hi; lo += s.tile {
		to := min(lo+s.tile, hi)
		for _, op := range s.ops {
			op.samples(group, lo, to, worker)
		}
	}
}

// call is a Samplewise as an operation of a stream.
type call struct {
	whole
	op Samplewise
}

func (c *call) samples(_, lo, hi, worker int) { c.op.Samples(lo, hi, worker) }
func (c *call) forget()                       { c.op = nil }

// whole is what operations have in common that do nothing before, between and
// after the samples.
type whole struct{}

func (whole) before()   {}
func (whole) begin(int) {}
func (whole) after()    {}

// shelf hands out elements that keep their place, to be used again and again.
type shelf[E any] struct {
	items []*E
	used  int
}

func (s *shelf[E]) next() *E {
	if s.used == len(s.items) {
		s.items = append(s.items, new(E))
	}
	s.used++
	return s.items[s.used-1]
}
