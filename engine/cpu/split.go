package cpu

// split runs a function over pieces of a range.
type split struct {
	n, size int
	f       func(from, to int)
}

func (s *split) Do(i, _ int) { s.f(piece(i, s.n, s.size)) }

// Split calls f for consecutive pieces [from, to) that make up [0, n), on the
// machine's threads and each once, and returns when all are done. A piece is as
// many of the n as make a hand-over worth while if each moves cost elements;
// what f does must not depend on where pieces end. f must not call the machine.
func (m *Machine[T]) Split(n, cost int, f func(from, to int)) {
	size := max(1, movePiece/max(cost, 1))
	m.split = split{n, size, f}
	m.pool.Run(pieces(n, size), &m.split)
	m.split = split{}
}
