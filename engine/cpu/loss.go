package cpu

import (
	"math"

	"sgflow/engine/program"
)

// lossRows is what the loss instructions share: rows of logits and targets.
type lossRows[T Float] struct {
	kind    program.LossKind
	classes int
	z, y    operand[T]
}

func bindLossRows[T Float](b *binder[T], kind program.LossKind, classes int, z, y program.BufferID) lossRows[T] {
	if kind > program.MSE {
		b.fail("no rule for loss %d", kind)
	}
	if classes < 1 {
		b.fail("%d classes", classes)
	}
	return lossRows[T]{kind, classes, b.real(z, each(classes)), b.real(y, each(classes))}
}

// loss computes (1/n) Σᵢ ℓᵢ.
type loss[T Float] struct {
	lossRows[T]
	out operand[float64]
}

func bindLoss[T Float](b *binder[T], in *program.Loss) bound {
	return &loss[T]{bindLossRows(b, in.Kind, in.Classes, in.Z, in.Y), b.double(in.Out, whole(1))}
}

func (l *loss[T]) run(n int) {
	z, y := l.z.at(n), l.y.at(n)
	sum := 0.0
	for i := range n {
		zi, yi := z[i*l.classes:(i+1)*l.classes], y[i*l.classes:(i+1)*l.classes]
		if l.kind == program.MSE {
			for c, v := range zi {
				d := float64(v) - float64(yi[c])
				sum += 0.5 * d * d
			}
			continue
		}
		top, total := expSum(zi)
		lse := top + math.Log(total)
		for c, v := range yi {
			if v != 0 {
				sum += float64(v) * (lse - float64(zi[c]))
			}
		}
	}
	l.out.at(n)[0] = sum / float64(n)
}

// expSum returns the largest element of z and Σ exp(z − largest).
func expSum[T Float](z []T) (largest, sum float64) {
	largest = float64(z[0])
	for _, v := range z {
		largest = math.Max(largest, float64(v))
	}
	for _, v := range z {
		sum += math.Exp(float64(v) - largest)
	}
	return largest, sum
}

// lossGrad computes g·(p − y)/n for cross-entropy, p being the softmax of z
// and y a row that sums to 1, and g·(z − y)/n for the squared error.
type lossGrad[T Float] struct {
	lossRows[T]
	out, g operand[T]
}

func bindLossGrad[T Float](b *binder[T], in *program.LossGrad) bound {
	return &lossGrad[T]{bindLossRows(b, in.Kind, in.Classes, in.Z, in.Y), b.real(in.Out, each(in.Classes)), b.real(in.G, whole(1))}
}

func (l *lossGrad[T]) run(n int) {
	z, y, out := l.z.at(n), l.y.at(n), l.out.at(n)
	factor := upstream(&l.g, n)
	for i := range n {
		from, to := i*l.classes, (i+1)*l.classes
		zi, yi, oi := z[from:to], y[from:to], out[from:to]
		if l.kind == program.MSE {
			for c, v := range zi {
				oi[c] = T(factor * (float64(v) - float64(yi[c])))
			}
			continue
		}
		top, total := expSum(zi)
		for c, v := range zi {
			oi[c] = T(factor * (math.Exp(float64(v)-top)/total - float64(yi[c])))
		}
	}
}

// upstream returns the factor g/n of a mean over n samples.
func upstream[T Float](g *operand[T], n int) float64 {
	if g.present() {
		return float64(g.at(n)[0]) / float64(n)
	}
	return 1 / float64(n)
}

// lossHess computes g·(p⊙u − p·(pᵀu))/n for cross-entropy and g·u/n for the
// squared error.
type lossHess[T Float] struct {
	kind         program.LossKind
	classes      int
	out, z, u, g operand[T]
	p            []float64 // softmax of one row
}

func bindLossHess[T Float](b *binder[T], in *program.LossHess) bound {
	r := bindLossRows(b, in.Kind, in.Classes, in.Z, in.U)
	return &lossHess[T]{r.kind, r.classes, b.real(in.Out, each(in.Classes)), r.z, r.y, b.real(in.G, whole(1)), make([]float64, max(0, in.Classes))}
}

func (l *lossHess[T]) run(n int) {
	z, u, out := l.z.at(n), l.u.at(n), l.out.at(n)
	factor := upstream(&l.g, n)
	if l.kind == program.MSE {
		for i, v := range u {
			out[i] = T(factor * float64(v))
		}
		return
	}
	for i := range n {
		from, to := i*l.classes, (i+1)*l.classes
		zi, ui, oi := z[from:to], u[from:to], out[from:to]
		top, total := expSum(zi)
		dot := 0.0
		for c, v := range zi {
			l.p[c] = math.Exp(float64(v)-top) / total
			dot += l.p[c] * float64(ui[c])
		}
		for c, p := range l.p {
			oi[c] = T(factor * p * (float64(ui[c]) - dot))
		}
	}
}

// correct counts the rows in which z and y have their largest element at the
// same place, the first one on ties.
type correct[T Float] struct {
	lossRows[T]
	out operand[float64]
}

func bindCorrect[T Float](b *binder[T], in *program.Correct) bound {
	return &correct[T]{bindLossRows(b, program.CrossEntropy, in.Classes, in.Z, in.Y), b.double(in.Out, whole(1))}
}

func (l *correct[T]) run(n int) {
	z, y := l.z.at(n), l.y.at(n)
	count := 0
	for i := range n {
		from, to := i*l.classes, (i+1)*l.classes
		if largest(z[from:to]) == largest(y[from:to]) {
			count++
		}
	}
	l.out.at(n)[0] = float64(count)
}

// largest returns the index of the first largest element.
func largest[T Float](x []T) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// softmax computes the softmax of every row, or its logarithm.
type softmax[T Float] struct {
	out, x operand[T]
	rows   program.Extent
	cols   int
	log    bool
}

func bindSoftmax[T Float](b *binder[T], in *program.Softmax) bound {
	if in.Cols < 1 {
		b.fail("%d columns", in.Cols)
	}
	size := b.extent(in.Rows, whole(in.Cols))
	return &softmax[T]{b.real(in.Out, size), b.real(in.X, size), in.Rows, in.Cols, in.Log}
}

func (s *softmax[T]) run(n int) {
	out, x := s.out.at(n), s.x.at(n)
	for i := range s.rows.At(n) {
		xi, oi := x[i*s.cols:(i+1)*s.cols], out[i*s.cols:(i+1)*s.cols]
		top, total := expSum(xi)
		lse := top + math.Log(total)
		for c, v := range xi {
			if s.log {
				oi[c] = T(float64(v) - lse)
			} else {
				oi[c] = T(math.Exp(float64(v)-top) / total)
			}
		}
	}
}
