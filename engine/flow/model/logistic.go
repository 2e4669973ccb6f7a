package model

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// Logistic returns the loss of logistic regression with samples
//
//	ℓᵢ(θ) = ln(1 + exp(−yᵢ xᵢᵀθ)),
//
// the xᵢ being the rows of x, N×d, and the yᵢ +1 or −1: convex, with noise and
// curvature that depend on the point. It has a minimum where no plane separates the
// two kinds of samples.
func Logistic(x *mat.Dense, y []float64) *Problem {
	n, d := x.Dims()
	return newProblem(d, n, &logistic{x, y})
}

type logistic struct {
	x *mat.Dense
	y []float64
}

// margin returns yᵢxᵢᵀθ.
func (s *logistic) margin(i int, theta []float64) (m float64) {
	for k, x := range s.x.RawRowView(i) {
		m += x * theta[k]
	}
	return s.y[i] * m
}

func (s *logistic) loss(i int, theta []float64) float64 {
	m := s.margin(i, theta)
	return math.Log1p(math.Exp(-math.Abs(m))) + math.Max(0, -m)
}

func (s *logistic) addGradient(out []float64, w float64, i int, theta []float64) {
	w *= -s.y[i] / (1 + math.Exp(s.margin(i, theta)))
	for k, x := range s.x.RawRowView(i) {
		out[k] += w * x
	}
}

func (s *logistic) addProduct(out []float64, w float64, i int, theta, v []float64) {
	p := 1 / (1 + math.Exp(s.margin(i, theta)))
	slope := 0.0
	for k, x := range s.x.RawRowView(i) {
		slope += x * v[k]
	}
	for k, x := range s.x.RawRowView(i) {
		out[k] += w * p * (1 - p) * slope * x
	}
}
