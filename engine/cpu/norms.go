package cpu

import "sgflow/engine/program"

// denseNorms adds n²·‖aᵢ‖²·‖bᵢ‖² to norms[i].
type denseNorms[T Float] struct {
	norms operand[float64]
	a, b  operand[T]
	ac    int
	bc    int
}

func bindDenseNorms[T Float](b *binder[T], in *program.DenseNorms) bound {
	return &denseNorms[T]{b.double(in.Norms, each(1)), b.real(in.A, each(in.ACols)), b.real(in.B, each(in.BCols)), in.ACols, in.BCols}
}

func (d *denseNorms[T]) run(n int) {
	norms, a, b := d.norms.at(n), d.a.at(n), d.b.at(n)
	n2 := float64(n) * float64(n)
	for i := range norms {
		norms[i] += n2 * sumSquares(a[i*d.ac:(i+1)*d.ac]) * sumSquares(b[i*d.bc:(i+1)*d.bc])
	}
}

// sumSquares returns ‖x‖², summed in float64.
func sumSquares[T Float](x []T) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum
}

// biasNorms adds n²·Σ_c (Σ_inner x[i,c,inner])² to norms[i].
type biasNorms[T Float] struct {
	norms           operand[float64]
	x               operand[T]
	channels, inner int
}

func bindBiasNorms[T Float](b *binder[T], in *program.BiasNorms) bound {
	return &biasNorms[T]{b.double(in.Norms, each(1)), b.real(in.X, each(in.Channels*in.Inner)), in.Channels, in.Inner}
}

func (r *biasNorms[T]) run(n int) {
	norms, x := r.norms.at(n), r.x.at(n)
	n2 := float64(n) * float64(n)
	for i := range norms {
		total := 0.0
		for c := range r.channels {
			sum := 0.0
			k := (i*r.channels + c) * r.inner
			for _, v := range x[k : k+r.inner] {
				sum += float64(v)
			}
			total += sum * sum
		}
		norms[i] += n2 * total
	}
}
