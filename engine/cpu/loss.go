package cpu

import "sgflow/engine/program"

// checkLoss rejects losses that there is no rule for.
func (b *binder[T]) checkLoss(kind program.LossKind, classes int) {
	if kind > program.MSE {
		b.fail("no rule for loss %d", kind)
	}
	if classes < 1 {
		b.fail("%d classes", classes)
	}
}

// bindLoss binds the mean loss (1/n) Σᵢ ℓᵢ, summed in float64 in the order of the
// samples.
func bindLoss[T Float](b *binder[T], in *program.Loss) bound {
	b.checkLoss(in.Kind, in.Classes)
	z, y, out := b.real(in.Z, each(in.Classes)), b.real(in.Y, each(in.Classes)), b.double(in.Out, whole(1))
	sample := make([]float64, b.m.capacity)
	if in.Kind == program.MSE {
		return &squaredError[T]{out, z, y, in.Classes, sample}
	}
	p, _ := bindSoftmaxRows(b, in.Z, in.Classes)
	return &crossEntropy[T]{m: b.m, out: out, p: p, y: y, sample: sample}
}

// meanLoss returns the mean of the samples' losses.
func meanLoss(sample []float64) float64 {
	sum := 0.0
	for _, v := range sample {
		sum += v
	}
	return sum / float64(len(sample))
}

// squaredError computes (1/n) Σᵢ ½‖zᵢ − yᵢ‖².
type squaredError[T Float] struct {
	out     operand[float64]
	z, y    operand[T]
	classes int
	sample  []float64 // ℓᵢ
}

func (l *squaredError[T]) run(n int) {
	z, y := l.z.at(n), l.y.at(n)
	for i := range n {
		zi, yi := z[i*l.classes:(i+1)*l.classes], y[i*l.classes:(i+1)*l.classes]
		sum := 0.0
		for c, v := range zi {
			d := float64(v) - float64(yi[c])
			sum += 0.5 * d * d
		}
		l.sample[i] = sum
	}
	l.out.at(n)[0] = meanLoss(l.sample[:n])
}

func (l *squaredError[T]) losses() []float64 { return l.sample }

func (l *squaredError[T]) gradient(out []T, n int) {
	y := l.y.at(n)
	for i, v := range l.z.at(n) {
		out[i] = T(float64(v) - float64(y[i]))
	}
}

func (l *squaredError[T]) curvature(out, u []T, _ int) { copy(out, u) }

// crossEntropy computes (1/n) Σᵢ Σ_c yᵢ_c (log Σ exp zᵢ − zᵢ_c), and the
// softmax for the derivatives.
type crossEntropy[T Float] struct {
	m      *Machine[T]
	out    operand[float64]
	p      *softmaxRows[T]
	y      operand[T]
	sample []float64 // ℓᵢ
	n      int       // of the run in progress
}

func (l *crossEntropy[T]) run(n int) {
	l.n = n
	l.m.pool.Run(pieces(n, l.rows()), l)
	l.out.at(n)[0] = meanLoss(l.sample[:n])
}

// rows is how many samples make a piece.
func (l *crossEntropy[T]) rows() int { return max(1, mathPiece/l.p.classes) }

// Do computes the softmax and the losses of a piece of the samples.
func (l *crossEntropy[T]) Do(k, worker int) {
	z, y, classes := l.p.z.at(l.n), l.y.at(l.n), l.p.classes
	lo, hi := piece(k, l.n, l.rows())
	for i := lo; i < hi; i++ {
		zi, yi := z[i*classes:(i+1)*classes], y[i*classes:(i+1)*classes]
		lse := l.m.kernels.SoftmaxRow(l.p.row(i), zi, worker)
		sum := 0.0
		for c, v := range yi {
			if v != 0 {
				sum += float64(v) * (lse - float64(zi[c]))
			}
		}
		l.sample[i] = sum
	}
}

func (l *crossEntropy[T]) losses() []float64 { return l.sample }

func (l *crossEntropy[T]) gradient(out []T, n int) { l.p.minus(out, l.y.at(n), 1) }

func (l *crossEntropy[T]) curvature(out, u []T, n int) { l.p.tangent(out, u, 1, n) }

// upstream returns the factor g/n of a mean over n samples.
func upstream[T Float](g *operand[T], n int) float64 {
	if g.present() {
		return float64(g.at(n)[0]) / float64(n)
	}
	return 1 / float64(n)
}

func bindLossGrad[T Float](b *binder[T], in *program.LossGrad) bound {
	b.checkLoss(in.Kind, in.Classes)
	y, out, g := b.real(in.Y, each(in.Classes)), b.real(in.Out, each(in.Classes)), b.real(in.G, whole(1))
	if in.Kind == program.MSE {
		return &squaredErrorGrad[T]{out, b.real(in.Z, each(in.Classes)), y, g}
	}
	p, shared := bindSoftmaxRows(b, in.Z, in.Classes)
	return &crossEntropyGrad[T]{out, y, g, p, shared}
}

// squaredErrorGrad computes g·(z − y)/n.
type squaredErrorGrad[T Float] struct{ out, z, y, g operand[T] }

func (l *squaredErrorGrad[T]) run(n int) {
	out, y, factor := l.out.at(n), l.y.at(n), upstream(&l.g, n)
	for i, v := range l.z.at(n) {
		out[i] = T(factor * (float64(v) - float64(y[i])))
	}
}

// crossEntropyGrad computes g·(p − y)/n; rows of y sum to 1.
type crossEntropyGrad[T Float] struct {
	out, y, g operand[T]
	p         *softmaxRows[T]
	shared    bool
}

func (l *crossEntropyGrad[T]) run(n int) {
	if !l.shared {
		l.p.make(n)
	}
	l.p.minus(l.out.at(n), l.y.at(n), upstream(&l.g, n))
}

func bindLossHess[T Float](b *binder[T], in *program.LossHess) bound {
	b.checkLoss(in.Kind, in.Classes)
	u, out, g := b.real(in.U, each(in.Classes)), b.real(in.Out, each(in.Classes)), b.real(in.G, whole(1))
	if in.Kind == program.MSE {
		b.real(in.Z, each(in.Classes))
		return &squaredErrorHess[T]{out, u, g}
	}
	p, shared := bindSoftmaxRows(b, in.Z, in.Classes)
	return &crossEntropyHess[T]{out, u, g, p, shared}
}

// squaredErrorHess computes g·u/n.
type squaredErrorHess[T Float] struct{ out, u, g operand[T] }

func (l *squaredErrorHess[T]) run(n int) {
	out, factor := l.out.at(n), upstream(&l.g, n)
	for i, v := range l.u.at(n) {
		out[i] = T(factor * float64(v))
	}
}

// crossEntropyHess computes g·(p⊙u − p·⟨p,u⟩)/n.
type crossEntropyHess[T Float] struct {
	out, u, g operand[T]
	p         *softmaxRows[T]
	shared    bool
}

func (l *crossEntropyHess[T]) run(n int) {
	if !l.shared {
		l.p.make(n)
	}
	l.p.tangent(l.out.at(n), l.u.at(n), upstream(&l.g, n), n)
}

// correct counts the rows in which z and y have their largest element at the
// same place, the first one on ties.
type correct[T Float] struct {
	out     operand[float64]
	z, y    operand[T]
	classes int
}

func bindCorrect[T Float](b *binder[T], in *program.Correct) bound {
	if in.Classes < 1 {
		b.fail("%d classes", in.Classes)
	}
	return &correct[T]{b.double(in.Out, whole(1)), b.real(in.Z, each(in.Classes)), b.real(in.Y, each(in.Classes)), in.Classes}
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
