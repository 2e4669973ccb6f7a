package cpu

import "sgflow/engine/program"

// denseNorms adds n²·‖aᵢ‖²·‖bᵢ‖² to norms[i].
type denseNorms[T Float] struct {
	m          *Machine[T]
	norms      operand[float64]
	a, b       operand[T]
	aCols      int
	bCols      int
	aSum, bSum []float64
}

func bindDenseNorms[T Float](b *binder[T], in *program.DenseNorms) bound {
	return &denseNorms[T]{
		m: b.m, norms: b.double(in.Norms, each(1)), a: b.real(in.A, each(in.ACols)), b: b.real(in.B, each(in.BCols)),
		aCols: in.ACols, bCols: in.BCols,
		aSum: make([]float64, b.m.capacity), bSum: make([]float64, b.m.capacity),
	}
}

func (d *denseNorms[T]) run(n int) {
	k := d.m.kernels
	k.RowNormSq(d.aSum[:n], d.a.at(n), n, d.aCols, 0)
	k.RowNormSq(d.bSum[:n], d.b.at(n), n, d.bCols, 0)
	for i, v := range d.bSum[:n] {
		d.aSum[i] *= v
	}
	addScaled(d.norms.at(n), d.aSum)
}

// addScaled computes norms += n²·x, n being the number of norms: the factor
// undoes the 1/n of the mean loss in gradients.
func addScaled(norms, x []float64) {
	n2 := float64(len(norms)) * float64(len(norms))
	for i := range norms {
		norms[i] += n2 * x[i]
	}
}

// biasNorms adds n²·Σ_c (Σ_inner x[i,c,inner])² to norms[i].
type biasNorms[T Float] struct {
	m               *Machine[T]
	norms           operand[float64]
	x               operand[T]
	channels, inner int
	sums            []T // not used further
	perSample       []float64
}

func bindBiasNorms[T Float](b *binder[T], in *program.BiasNorms) bound {
	return &biasNorms[T]{
		m: b.m, norms: b.double(in.Norms, each(1)), x: b.real(in.X, each(in.Channels*in.Inner)),
		channels: in.Channels, inner: in.Inner,
		sums: make([]T, in.Channels), perSample: make([]float64, b.m.capacity),
	}
}

func (r *biasNorms[T]) run(n int) {
	k := r.m.kernels
	if r.inner == 1 {
		k.RowNormSq(r.perSample[:n], r.x.at(n), n, r.channels, 0)
	} else {
		k.ChannelSum(r.sums, r.x.at(n), n, r.channels, r.inner, false, r.perSample[:n])
	}
	addScaled(r.norms.at(n), r.perSample)
}
