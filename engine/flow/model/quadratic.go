package model

import "gonum.org/v1/gonum/mat"

// Quadratic returns the loss with samples
//
//	ℓᵢ(θ) = ½ (θ − cᵢ)ᵀ A (θ − cᵢ),
//
// the cᵢ being the rows of centres, N×d, and A d×d. Its Hessian is A everywhere, and
// the covariance of its samples' gradients A C A everywhere, C being that of the
// centres: the noise of SGD has one covariance, whatever its distribution.
func Quadratic(a *mat.SymDense, centres *mat.Dense) *Problem {
	n, d := centres.Dims()
	return newProblem(d, n, &quadratic{a: a, centres: centres, e: make([]float64, d)})
}

type quadratic struct {
	a       *mat.SymDense
	centres *mat.Dense
	e       []float64
}

// apply returns (A v)ₖ.
func (q *quadratic) apply(k int, v []float64) (sum float64) {
	for j, x := range v {
		sum += q.a.At(k, j) * x
	}
	return sum
}

// error stores θ − cᵢ in e.
func (q *quadratic) error(i int, theta []float64) []float64 {
	for k, c := range q.centres.RawRowView(i) {
		q.e[k] = theta[k] - c
	}
	return q.e
}

func (q *quadratic) loss(i int, theta []float64) (loss float64) {
	e := q.error(i, theta)
	for k := range e {
		loss += e[k] * q.apply(k, e) / 2
	}
	return loss
}

func (q *quadratic) addGradient(out []float64, w float64, i int, theta []float64) {
	e := q.error(i, theta)
	for k := range out {
		out[k] += w * q.apply(k, e)
	}
}

func (q *quadratic) addProduct(out []float64, w float64, _ int, _, v []float64) {
	for k := range out {
		out[k] += w * q.apply(k, v)
	}
}

// Springs returns the loss of one parameter with samples
//
//	ℓᵢ(θ) = ½ kᵢ (θ − cᵢ)²,
//
// whose noise depends on the point: its variance is that of kᵢ(θ − cᵢ) over i. The
// moments of SGD and of its diffusion obey linear equations still.
func Springs(k, c []float64) *Problem { return newProblem(1, len(k), springs{k, c}) }

type springs struct{ k, c []float64 }

func (s springs) loss(i int, theta []float64) float64 {
	e := theta[0] - s.c[i]
	return s.k[i] * e * e / 2
}

func (s springs) addGradient(out []float64, w float64, i int, theta []float64) {
	out[0] += w * s.k[i] * (theta[0] - s.c[i])
}

func (s springs) addProduct(out []float64, w float64, i int, _, v []float64) {
	out[0] += w * s.k[i] * v[0]
}
