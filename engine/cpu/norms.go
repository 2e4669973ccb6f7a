package cpu

import (
	"sgflow/engine/cpu/kernel"
	"sgflow/engine/program"
)

// rowNorms is ‖xᵢ‖² of the rows of a buffer.
type rowNorms[T Float] struct {
	x    operand[T]
	cols int
	sums []float64
}

// rowsOf names a buffer seen as rows of so many elements.
type rowsOf struct {
	id   program.BufferID
	cols int
}

// bindRowNorms returns the squared norms of the rows of id. The same ones serve
// all instructions of the Noise phase; shared is true for all but the first,
// which computes them.
func bindRowNorms[T Float](b *binder[T], id program.BufferID, cols int) (r *rowNorms[T], shared bool) {
	key := rowsOf{id, cols}
	if r := b.rowNorms[key]; r != nil {
		return r, true
	}
	r = &rowNorms[T]{b.real(id, each(cols)), cols, make([]float64, b.m.capacity)}
	if b.phase == program.Noise && b.final(id) {
		b.rowNorms[key] = r
	}
	return r, false
}

func (r *rowNorms[T]) record(s *kernel.Stream[T], n int) {
	s.RowNormSq(r.sums, r.x.at(n), r.cols)
}

// addScaled computes norms += n²·x, n being the number of norms: the factor
// undoes the 1/n of the mean loss in gradients.
func addScaled(norms, x []float64) {
	n2 := float64(len(norms)) * float64(len(norms))
	for i := range norms {
		norms[i] += n2 * x[i]
	}
}

// denseNorms adds n²·‖aᵢ‖²·‖bᵢ‖² to norms[i].
type denseNorms[T Float] struct {
	m                *Machine[T]
	norms            operand[float64]
	a, b             *rowNorms[T]
	aShared, bShared bool
	products         []float64
}

func bindDenseNorms[T Float](b *binder[T], in *program.DenseNorms) bound {
	d := &denseNorms[T]{m: b.m, norms: b.double(in.Norms, each(1)), products: make([]float64, b.m.capacity)}
	d.a, d.aShared = bindRowNorms(b, in.A, in.ACols)
	d.b, d.bShared = bindRowNorms(b, in.B, in.BCols)
	return d
}

func (d *denseNorms[T]) run(n int) { alone(d.m, d, n) }

func (d *denseNorms[T]) record(s *kernel.Stream[T], n int) {
	if !d.aShared {
		d.a.record(s, n)
	}
	if !d.bShared {
		d.b.record(s, n)
	}
}

func (d *denseNorms[T]) settle(n int) {
	for i := range n {
		d.products[i] = d.a.sums[i] * d.b.sums[i]
	}
	addScaled(d.norms.at(n), d.products)
}

// bindBiasNorms binds the sum n²·Σ_c (Σ_inner x[i,c,inner])².
func bindBiasNorms[T Float](b *binder[T], in *program.BiasNorms) bound {
	norms, size := b.double(in.Norms, each(1)), each(in.Channels*in.Inner)
	if in.Inner == 1 {
		r := &biasNorms[T]{m: b.m, norms: norms}
		r.rows, r.shared = bindRowNorms(b, in.X, in.Channels)
		return r
	}
	sums := make([]float64, b.m.capacity)
	if s := b.biasSums[in.X]; s != nil && s.channels == in.Channels && s.inner == in.Inner {
		s.perSample = sums
		return &summedNorms[T]{b.m, norms, sums}
	}
	return &channelNorms[T]{b.m, norms, b.real(in.X, size), in.Channels, in.Inner, make([]T, in.Channels), sums}
}

// biasNorms takes the norms of rows of one element a channel.
type biasNorms[T Float] struct {
	m      *Machine[T]
	norms  operand[float64]
	rows   *rowNorms[T]
	shared bool
}

func (r *biasNorms[T]) run(n int) { alone(r.m, r, n) }

func (r *biasNorms[T]) record(s *kernel.Stream[T], n int) {
	if !r.shared {
		r.rows.record(s, n)
	}
}

func (r *biasNorms[T]) settle(n int) { addScaled(r.norms.at(n), r.rows.sums) }

// summedNorms takes the norms that the bias gradient left when it summed the
// same planes.
type summedNorms[T Float] struct {
	m     *Machine[T]
	norms operand[float64]
	sums  []float64
}

func (r *summedNorms[T]) run(n int) { alone(r.m, r, n) }

func (r *summedNorms[T]) record(*kernel.Stream[T], int) {}

func (r *summedNorms[T]) settle(n int) { addScaled(r.norms.at(n), r.sums) }

// channelNorms takes the norms of sums over planes.
type channelNorms[T Float] struct {
	m               *Machine[T]
	norms           operand[float64]
	x               operand[T]
	channels, inner int
	total           []T // over the samples, which nobody reads
	sums            []float64
}

func (r *channelNorms[T]) run(n int) { alone(r.m, r, n) }

func (r *channelNorms[T]) record(s *kernel.Stream[T], n int) {
	s.ChannelSum(r.total, r.x.at(n), r.channels, r.inner, false, r.sums)
}

func (r *channelNorms[T]) settle(n int) { addScaled(r.norms.at(n), r.sums) }
