package kernel

import "math"

// Softmax stores p(i,j) = exp(z(i,j)) / Σ_l exp(z(i,l)) for the n×c matrix z. p
// may be z. The largest logit of a row is subtracted first, so nothing
// overflows; exponentials are in T and sums in float64. c is at least 1.
func (k *Kernels[T]) Softmax(p, z []T, n, c int) {
	k.runRows(rowTask[T]{op: opSoftmax, n: n, d: c, x: z[:n*c], dst: p[:n*c]}, n, rowsPerPiece(16*c))
}

// SoftmaxCrossEntropy computes, for each row z of the n×c logits and the row t
// of target probabilities (one-hot for class labels),
//
//	loss[i]   = Σ_j t_j·(logΣ_l exp z_l − z_j)
//	grad(i,j) = scale·(softmax(z)_j·Σ_l t_l − t_j)
//
// loss in float64, not divided by n and not scaled; scale is usually 1/n. Either
// of loss and grad may be nil. grad may be logits or target.
func (k *Kernels[T]) SoftmaxCrossEntropy(loss []float64, grad, logits, target []T, n, c int, scale T) {
	k.softmaxLoss(rowTask[T]{y: target[:n*c]}, loss, grad, logits, n, c, scale)
}

// SoftmaxCrossEntropyLabels is SoftmaxCrossEntropy for class labels: row i's
// target is one at labels[i], which must be in [0,c), and zero elsewhere.
func (k *Kernels[T]) SoftmaxCrossEntropyLabels(loss []float64, grad, logits []T, labels []int32, n, c int, scale T) {
	for _, l := range labels[:n] {
		if l < 0 || int(l) >= c {
			panic(badLabel)
		}
	}
	k.softmaxLoss(rowTask[T]{labels: labels[:n]}, loss, grad, logits, n, c, scale)
}

const badLabel = "kernel: softmax cross-entropy: a label is not below the number of classes"

func (k *Kernels[T]) softmaxLoss(t rowTask[T], loss []float64, grad, logits []T, n, c int, scale T) {
	t.op, t.n, t.d, t.scale = opSoftmaxLoss, n, c, scale
	t.x = logits[:n*c]
	if loss != nil {
		t.out = loss[:n]
	}
	if grad != nil {
		t.dst = grad[:n*c]
	}
	k.runRows(t, n, rowsPerPiece(16*c))
}

// SoftmaxTangent stores, for each row p of probabilities and v of a direction in
// the logits,
//
//	dst_j = scale·p_j·(v_j − Σ_l p_l·v_l)
//
// the derivative of softmax along v, and so the Hessian of the cross-entropy of
// one row times v. All n×c. dst may be v or p.
func (k *Kernels[T]) SoftmaxTangent(dst, p, v []T, n, c int, scale T) {
	k.runRows(rowTask[T]{op: opSoftmaxTangent, n: n, d: c, x: p[:n*c], y: v[:n*c], dst: dst[:n*c], scale: scale},
		n, rowsPerPiece(4*c))
}

// largest is the largest element of a row; NaN if it has one.
func largest[T Float](z []T) T {
	m := z[0]
	for _, v := range z[1:] {
		if v > m || v != v {
			m = v
		}
	}
	return m
}

// exponentials stores e = exp(z−m), m the largest of z, and returns m and Σe.
func (t *rowTask[T]) exponentials(e, z []T) (m, sum float64) {
	top := largest(z)
	t.kernels.vec.expMinus(e, z, top)
	for _, v := range e {
		sum += float64(v)
	}
	return float64(top), sum
}

// softmaxRow does row r of Softmax.
func (t *rowTask[T]) softmaxRow(r int) {
	p := t.dst[r*t.d:][:t.d]
	_, s := t.exponentials(p, t.x[r*t.d:][:t.d])
	s = 1 / s
	for j, e := range p {
		p[j] = T(float64(e) * s)
	}
}

// lossRow does row r of SoftmaxCrossEntropy.
func (t *rowTask[T]) lossRow(r, worker int) {
	z := t.x[r*t.d:][:t.d]
	e := t.kernels.scratch(worker, 2, t.d)
	m, s := t.exponentials(e, z)
	lse := m + math.Log(s)
	mass := 1.0
	var y []T
	hot := -1
	if t.labels != nil {
		hot = int(t.labels[r])
		if t.out != nil {
			t.out[r] = lse - float64(z[hot])
		}
	} else {
		y = t.y[r*t.d:][:t.d]
		mass = 0
		var loss float64
		for j, v := range z {
			if w := float64(y[j]); w != 0 {
				loss += w * (lse - float64(v))
				mass += w
			}
		}
		if t.out != nil {
			t.out[r] = loss
		}
	}
	if t.dst == nil {
		return
	}
	g := t.dst[r*t.d:][:t.d]
	scale := float64(t.scale)
	share := scale * mass / s
	if hot >= 0 {
		for j, v := range e {
			g[j] = T(share * float64(v))
		}
		g[hot] = T(share*float64(e[hot]) - scale)
		return
	}
	for j, v := range e {
		g[j] = T(share*float64(v) - scale*float64(y[j]))
	}
}

func tangentRow[T Float](dst, p, v []T, scale T) {
	var s float64
	for j, q := range p {
		s += float64(q) * float64(v[j])
	}
	for j, q := range p {
		dst[j] = T(float64(scale) * float64(q) * (float64(v[j]) - s))
	}
}
