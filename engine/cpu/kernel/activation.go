package kernel

import (
	"fmt"
	"math"
)

// Activation is an element-wise function.
type Activation uint8

// The activations. GELU is the exact x·Φ(x), Φ the normal distribution function.
const (
	Identity Activation = iota
	ReLU
	Tanh
	Sigmoid
	GELU
)

var activationNames = [...]string{"identity", "relu", "tanh", "sigmoid", "gelu"}

func (a Activation) String() string {
	if int(a) < len(activationNames) {
		return activationNames[a]
	}
	return fmt.Sprintf("Activation(%d)", uint8(a))
}

// activatePortable stores f(x), for all but ReLU computed by math in float64 and
// rounded. The assembly's float32 functions are within 3 units in the last place
// for Tanh and Sigmoid and 3e-7·max(1,|x|) for GELU.
func activatePortable[T Float](a Activation, dst, x []T) {
	switch a {
	case Identity:
		copy(dst, x)
	case ReLU:
		for i, v := range x {
			if v < 0 {
				v = 0
			}
			dst[i] = v
		}
	case Tanh:
		for i, v := range x {
			dst[i] = T(math.Tanh(float64(v)))
		}
	case Sigmoid:
		for i, v := range x {
			dst[i] = T(1 / (1 + math.Exp(-float64(v))))
		}
	case GELU:
		for i, v := range x {
			dst[i] = T(float64(v) * normalCDF(float64(v)))
		}
	}
}

// actGradPortable stores dy·f′; ref is f(x), or x for GELU.
func actGradPortable[T Float](a Activation, dst, dy, ref []T) {
	switch a {
	case Identity:
		copy(dst, dy)
	case ReLU:
		for i, y := range ref {
			v := dy[i]
			if !(y > 0) {
				v = 0
			}
			dst[i] = v
		}
	case Tanh:
		for i, y := range ref {
			dst[i] = dy[i] * (1 - y*y)
		}
	case Sigmoid:
		for i, y := range ref {
			dst[i] = dy[i] * (y * (1 - y))
		}
	case GELU:
		for i, v := range ref {
			x := float64(v)
			dst[i] = dy[i] * T(normalCDF(x)+x*normalDensity(x))
		}
	}
}

// actCurvePortable stores dy·f″; ref is f(x), or x for GELU.
func actCurvePortable[T Float](a Activation, dst, dy, ref []T) {
	switch a {
	case Identity, ReLU:
		clear(dst)
	case Tanh:
		for i, y := range ref {
			dst[i] = dy[i] * (-2 * y * (1 - y*y))
		}
	case Sigmoid:
		for i, y := range ref {
			dst[i] = dy[i] * (y * (1 - y) * (1 - 2*y))
		}
	case GELU:
		for i, v := range ref {
			x := float64(v)
			dst[i] = dy[i] * T((2-x*x)*normalDensity(x))
		}
	}
}

// normalCDF is Φ(x).
func normalCDF(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

// normalDensity is Φ′(x).
func normalDensity(x float64) float64 {
	return math.Exp(-x*x/2) / math.Sqrt(2*math.Pi)
}
