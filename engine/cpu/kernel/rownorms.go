package kernel

// rowNormTask is squared norms of rows as an operation of a stream.
type rowNormTask[T Float] struct {
	whole
	kernels *Kernels[T]
	dst     []float64
	x       []T
	d       int
}

// RowNormSq stores dst[i] = Σ_j x(i,j)² for the n×d matrix x, with products and
// sums in float64.
func (s *Stream[T]) RowNormSq(dst []float64, x []T, d int) {
	t := s.rowNorms.next()
	*t = rowNormTask[T]{kernels: s.kernels, dst: dst[:s.n], x: x[:s.n*d], d: d}
	s.add(t, d, d*moveWork)
}

func (t *rowNormTask[T]) samples(_, lo, hi, _ int) {
	for i := lo; i < hi; i++ {
		x := t.x[i*t.d:][:t.d]
		t.dst[i] = t.kernels.vec.normSq(x)
	}
}

func (t *rowNormTask[T]) forget() { *t = rowNormTask[T]{} }
