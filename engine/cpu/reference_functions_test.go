package cpu

import (
	"fmt"
	"math"

	"sgflow/engine/program"
)

// The functions of the reference interpreter.

func refSoftmax(z []float64) []float64 {
	p := make([]float64, len(z))
	sum := 0.0
	for _, v := range z {
		sum += math.Exp(v)
	}
	for c, v := range z {
		p[c] = math.Exp(v) / sum
	}
	return p
}

func refArgmax(x []float64) int {
	best := 0
	for i := range x {
		if x[i] > x[best] {
			best = i
		}
	}
	return best
}

// refDerivative is f, f' or f” at x, from textbook formulas.
func refDerivative(f program.Func, order int, x float64) float64 {
	step := 0.0
	if x > 0 {
		step = 1
	}
	sech2 := 1 / (math.Cosh(x) * math.Cosh(x))
	sig := 1 / (1 + math.Exp(-x))
	phi := math.Exp(-x*x/2) / math.Sqrt(2*math.Pi)
	Phi := (1 + math.Erf(x/math.Sqrt2)) / 2
	switch f {
	case program.Identity:
		return [...]float64{x, 1, 0}[order]
	case program.ReLU:
		return [...]float64{step * x, step, 0}[order]
	case program.Tanh:
		return [...]float64{math.Tanh(x), sech2, -2 * math.Tanh(x) * sech2}[order]
	case program.Sigmoid:
		return [...]float64{sig, sig * (1 - sig), sig * (1 - sig) * (1 - 2*sig)}[order]
	case program.GELU:
		return [...]float64{x * Phi, Phi + x*phi, 2*phi - x*x*phi}[order]
	case program.Exp:
		return math.Exp(x)
	case program.Log:
		return [...]float64{math.Log(x), 1 / x, -1 / (x * x)}[order]
	case program.Square:
		return [...]float64{x * x, 2 * x, 2}[order]
	case program.Sqrt:
		return [...]float64{math.Pow(x, 0.5), 0.5 * math.Pow(x, -0.5), -0.25 * math.Pow(x, -1.5)}[order]
	case program.Inverse:
		return [...]float64{1 / x, -1 / (x * x), 2 / (x * x * x)}[order]
	case program.Neg:
		return [...]float64{-x, -1, 0}[order]
	}
	panic(fmt.Sprintf("reference has no function %s", f))
}

// refInverse is an x with f(x) = y.
func refInverse(f program.Func, y float64) float64 {
	switch f {
	case program.Tanh:
		return math.Atanh(y)
	case program.Sigmoid:
		return math.Log(y / (1 - y))
	}
	return y // ReLU
}

// refOutputDerivative is f' where f's value is y.
func refOutputDerivative(f program.Func, y float64) float64 {
	switch f {
	case program.Tanh:
		return 1 - y*y
	case program.Sigmoid:
		return y * (1 - y)
	}
	return refDerivative(f, 1, y) // ReLU
}
