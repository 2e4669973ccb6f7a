package cpu

import (
	"sgflow/engine/program"
)

// softmaxRows is the softmax p of the rows of some logits, in float64, as the
// loss and its derivatives need it. The Forward phase's is shared by what
// comes after, so that the exponentials are taken once.
type softmaxRows[T Float] struct {
	m       *Machine[T]
	z       operand[T]
	classes int
	p       []float64 // n×classes
}

// bindSoftmaxRows returns the softmax of z that the Forward phase has made, or
// one that the caller has to make at every run (shared is false then).
func bindSoftmaxRows[T Float](b *binder[T], z program.BufferID, classes int) (s *softmaxRows[T], shared bool) {
	if s := b.softmaxes[z]; s != nil && s.classes == classes {
		return s, true
	}
	s = &softmaxRows[T]{m: b.m, z: b.real(z, each(classes)), classes: classes, p: make([]float64, each(classes).At(b.m.capacity))}
	if b.phase == program.Forward && b.final(z) {
		b.softmaxes[z] = s
	}
	return s, false
}

// row returns row i of p.
func (s *softmaxRows[T]) row(i int) []float64 { return s.p[i*s.classes : (i+1)*s.classes] }

// make computes the first n rows of p.
func (s *softmaxRows[T]) make(n int) {
	z := s.z.at(n)
	for i := range n {
		s.m.kernels.SoftmaxRow(s.row(i), z[i*s.classes:(i+1)*s.classes], 0)
	}
}

// minus computes out = factor·(p − y) for as many elements as out has.
func (s *softmaxRows[T]) minus(out, y []T, factor float64) {
	for i := range out {
		out[i] = T(factor * (s.p[i] - float64(y[i])))
	}
}

// tangent computes out = factor·(p⊙u − p·⟨p,u⟩) for the first n rows. out may be u.
func (s *softmaxRows[T]) tangent(out, u []T, factor float64, n int) {
	for i := range n {
		p := s.row(i)
		ui, oi := u[i*len(p):(i+1)*len(p)], out[i*len(p):(i+1)*len(p)]
		mean := 0.0
		for c, v := range p {
			mean += v * float64(ui[c])
		}
		for c, v := range p {
			oi[c] = T(factor * v * (float64(ui[c]) - mean))
		}
	}
}

// softmax computes the softmax of every row, or its logarithm.
type softmax[T Float] struct {
	m      *Machine[T]
	out, x operand[T]
	rows   program.Extent
	cols   int
	log    bool
	p      []float64 // one row
}

func bindSoftmax[T Float](b *binder[T], in *program.Softmax) bound {
	if in.Cols < 1 {
		b.fail("%d columns", in.Cols)
	}
	size := b.extent(in.Rows, whole(in.Cols))
	return &softmax[T]{b.m, b.real(in.Out, size), b.real(in.X, size), in.Rows, in.Cols, in.Log, make([]float64, max(0, in.Cols))}
}

func (s *softmax[T]) run(n int) {
	out, x := s.out.at(n), s.x.at(n)
	for i := range s.rows.At(n) {
		xi, oi := x[i*s.cols:(i+1)*s.cols], out[i*s.cols:(i+1)*s.cols]
		lse := s.m.kernels.SoftmaxRow(s.p, xi, 0)
		for c, v := range s.p {
			if s.log {
				oi[c] = T(float64(xi[c]) - lse)
			} else {
				oi[c] = T(v)
			}
		}
	}
}
