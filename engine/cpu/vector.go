package cpu

import (
	"sgflow/engine/optim"
)

const badLengths = "cpu: vectors differ in length"

// Dot returns Σ aᵢbᵢ, summed in float64. a and b have the same length.
func (m *Machine[T]) Dot(a, b []T) float64 {
	if len(a) != len(b) {
		panic(badLengths)
	}
	sum := 0.0
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

// NormSq returns Σ xᵢ², summed in float64.
func (m *Machine[T]) NormSq(x []T) float64 { return m.Dot(x, x) }

// Axpy computes y += αx. x and y have the same length and may be one slice.
func (m *Machine[T]) Axpy(alpha float64, x, y []T) {
	if len(x) != len(y) {
		panic(badLengths)
	}
	a := T(alpha)
	for i, v := range x {
		y[i] += a * v
	}
}

// Scale computes x *= α.
func (m *Machine[T]) Scale(alpha float64, x []T) {
	a := T(alpha)
	for i := range x {
		x[i] *= a
	}
}

// Step moves θ by one optimizer step along −ḡ, as optim.Step does with the
// machine's Theta and Grad. velocity has P elements, or is nil where
// u.Momentum is 0.
func (m *Machine[T]) Step(velocity []T, u optim.Update) {
	if len(velocity) != len(m.theta) && (velocity != nil || u.Momentum != 0) {
		panic(badVector)
	}
	optim.Step(m.theta, m.grad, velocity, u)
}
