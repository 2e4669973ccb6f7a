package kernel

import "math"

// rowOp names a reduction over rows or columns.
type rowOp uint8

const (
	opRowDot rowOp = iota
	opRowScale
	opRowSum
	opColSquares
	opColSum
)

// rowTask works on rows [i·rows, (i+1)·rows) of an n×d matrix; for opColSum on
// columns.
type rowTask[T Float] struct {
	kernels *Kernels[T]
	op      rowOp
	n, d    int // rows, columns
	ld      int
	rows    int // rows (columns) in a piece
	x, y    []T
	dst     []T
	out     []float64
	factor  float64
	acc     bool
	sample  []float64
}

// runRows runs the task over n rows.
func (k *Kernels[T]) runRows(t rowTask[T], n, rows int) {
	k.rowwise = t
	k.rowwise.kernels, k.rowwise.rows = k, rows
	k.pool.Run((n+rows-1)/rows, &k.rowwise)
	k.rowwise = rowTask[T]{}
}

// rowsPerPiece is how many rows of d elements are worth a hand-over.
func rowsPerPiece(d int) int { return max(1, flatChunk/max(d, 1)) }

// Do works on piece i.
func (t *rowTask[T]) Do(i, worker int) {
	v := &t.kernels.vec
	lo := i * t.rows
	switch t.op {
	case opColSum:
		t.colSum(lo, min(lo+t.rows, t.d))
		return
	case opColSquares:
		t.colSquares(lo, min(lo+t.rows, t.d), worker)
		return
	}
	for r := lo; r < min(lo+t.rows, t.n); r++ {
		switch t.op {
		case opRowDot:
			t.rowDot(r)
		case opRowScale:
			v.scale(t.dst[r*t.d:][:t.d], T(t.factor*t.sample[r]), t.x[r*t.d:][:t.d])
		case opRowSum:
			t.dst[r] = T(v.sum(t.x[r*t.d:][:t.d]))
		}
	}
}

// RowSum stores dst[i] = Σ_j x(i,j) for the n×d matrix x, with sums in float64.
func (k *Kernels[T]) RowSum(dst, x []T, n, d int) {
	k.runRows(rowTask[T]{op: opRowSum, n: n, d: d, x: x[:n*d], dst: dst[:n]}, n, rowsPerPiece(d))
}

// RowDot stores dst[i] = [dst[i] +] scale·Σ_j x(i,j)·y(i,j) for the n×d matrices x
// and y; with acc it adds to dst. A y of d elements is the row that all rows of x
// are multiplied with. Products and sums are in float64.
func (k *Kernels[T]) RowDot(dst []float64, x, y []T, n, d int, scale float64, acc bool) {
	ld := d
	if len(y) == d {
		ld = 0
	}
	if d == 0 {
		y, ld = nil, 0
	} else if n > 0 {
		_, _ = x[n*d-1], y[(n-1)*ld+d-1]
	}
	k.runRows(rowTask[T]{op: opRowDot, n: n, d: d, ld: ld, x: x, y: y, out: dst[:n], factor: scale, acc: acc}, n, rowsPerPiece(d))
}

// rowDot does row r of RowDot.
func (t *rowTask[T]) rowDot(r int) {
	s := t.factor * t.kernels.vec.dot(t.x[r*t.d:][:t.d], t.y[r*t.ld:][:t.d])
	if t.acc {
		s += t.out[r]
	}
	t.out[r] = s
}

// RowScale stores dst(i,·) = scale·w[i]·x(i,·) for the n×d matrix x. dst may be x.
func (k *Kernels[T]) RowScale(dst, x []T, n, d int, scale float64, w []float64) {
	k.runRows(rowTask[T]{op: opRowScale, n: n, d: d, x: x[:n*d], dst: dst[:n*d], factor: scale, sample: w[:n]}, n, rowsPerPiece(d))
}

// ColSquares stores dst[j] = scale·Σ_i x(i,j)² for the n×d matrix x. The rows
// are added in order.
func (k *Kernels[T]) ColSquares(dst, x []T, n, d int, scale float64) {
	k.runRows(rowTask[T]{op: opColSquares, n: n, d: d, x: x[:n*d], dst: dst[:d], factor: scale}, d, colPiece)
}

// colSquares adds up the squares of columns [lo,hi).
func (t *rowTask[T]) colSquares(lo, hi, worker int) {
	v := &t.kernels.vec
	dst, square := t.dst[lo:hi], t.kernels.scratch(worker, 2, hi-lo)
	clear(dst)
	root := T(math.Sqrt(t.factor)) // before squaring, which may leave the range of T
	for r := range t.n {
		v.scale(square, root, t.x[r*t.d+lo:][:hi-lo])
		v.mul(square, square, square)
		v.add(dst, dst, square)
	}
}

// colPiece is the number of columns that one piece of a column sum takes.
const colPiece = 256

// ColSum stores dst[j] = [dst[j] +] Σ_i x(i,j) for the n×d matrix x with leading
// dimension ld (zero: d); with acc it adds to dst. The rows are added in order.
func (k *Kernels[T]) ColSum(dst, x []T, n, d, ld int, acc bool) {
	if ld == 0 {
		ld = d
	}
	if d == 0 {
		return
	}
	if n > 0 {
		_ = x[(n-1)*ld+d-1]
	}
	piece := colPiece
	if n*d <= flatChunk {
		piece = d
	}
	k.runRows(rowTask[T]{op: opColSum, n: n, d: d, ld: ld, x: x, dst: dst[:d], acc: acc}, d, piece)
}

// colSum adds up columns [lo,hi).
func (t *rowTask[T]) colSum(lo, hi int) {
	dst := t.dst[lo:hi]
	if !t.acc {
		clear(dst)
	}
	for r := range t.n {
		t.kernels.vec.add(dst, dst, t.x[r*t.ld+lo:][:hi-lo])
	}
}
