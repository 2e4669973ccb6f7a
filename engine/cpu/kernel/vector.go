package kernel

import (
	"math"
	"unsafe"
)

// vectorSet is the flat loops of one path. All slices of a call have the length
// of the first; dst may be a source.
type vectorSet[T Float] struct {
	activate func(a Activation, dst, x []T)       // f(x)
	actGrad  func(a Activation, dst, dy, r []T)   // dy·f′
	mul      func(dst, x, y []T)                  // x·y
	add      func(dst, x, y []T)                  // x+y
	sub      func(dst, x, y []T)                  // x−y
	scale    func(dst []T, a T, x []T)            // a·x
	axpy     func(dst []T, a T, x []T)            // dst + a·x
	dot      func(x, y []T) float64               // Σ x·y, in float64
	normSq   func(x []T) float64                  // Σ x², in float64
	distance func(x, y []T) float64               // Σ (x−y)², in float64
	sum      func(x []T) float64                  // Σ x, in float64
	addNorm  func(dst, x []T) float64             // dst += x; Σ x², in float64
	sgd      func(c *sgdStep[T], w, g, v []T)     // see SGD
	adam     func(c *adamStep[T], w, g, m, v []T) // see Adam
	// dst = x; Σ dst·x with the old dst, and Σ x² in norm, in float64
	exchange func(dst, x []T, norm *float64) float64

	expMinus func(dst, x []T, shift T) // exp(x−shift)

	// Pooling of one plane by windows of 2×2 without overlap: rows rows of outW
	// outputs from 2·rows rows of inW inputs, of which those beyond 2·outW are
	// left alone. The places in at lie in their windows. Nil where the path has
	// only the loops of pool2d.go.
	maxPool                       func(y, at, x unsafe.Pointer, rows, outW, inW int)
	maxPoolGather, maxPoolScatter func(y, at, x unsafe.Pointer, rows, outW, inW, acc int)
}

// portableVectors is the portable path's loops.
func portableVectors[T Float]() vectorSet[T] {
	return vectorSet[T]{
		activate: activatePortable[T],
		actGrad:  actGradPortable[T],
		mul: func(dst, x, y []T) {
			x, y = x[:len(dst)], y[:len(dst)]
			for i := range dst {
				dst[i] = x[i] * y[i]
			}
		},
		add: func(dst, x, y []T) {
			x, y = x[:len(dst)], y[:len(dst)]
			for i := range dst {
				dst[i] = x[i] + y[i]
			}
		},
		sub: func(dst, x, y []T) {
			x, y = x[:len(dst)], y[:len(dst)]
			for i := range dst {
				dst[i] = x[i] - y[i]
			}
		},
		scale: func(dst []T, a T, x []T) {
			x = x[:len(dst)]
			for i := range dst {
				dst[i] = a * x[i]
			}
		},
		axpy: func(dst []T, a T, x []T) {
			x = x[:len(dst)]
			for i := range dst {
				dst[i] += a * x[i]
			}
		},
		expMinus: func(dst, x []T, shift T) {
			x = x[:len(dst)]
			for i := range dst {
				dst[i] = T(math.Exp(float64(x[i] - shift)))
			}
		},
		dot:      dotPortable[T],
		normSq:   func(x []T) float64 { return dotPortable(x, x) },
		distance: distancePortable[T],
		sum:      sumPortable[T],
		addNorm:  addNormPortable[T],
		exchange: exchangePortable[T],
		sgd:      sgdPortable[T],
		adam:     adamPortable[T],
	}
}

// dotPortable sums in four chains, so that one addition need not wait for the
// last.
func dotPortable[T Float](x, y []T) float64 {
	var s [4]float64
	y = y[:len(x)]
	i := 0
	for ; i+4 <= len(x); i += 4 {
		s[0] += float64(x[i]) * float64(y[i])
		s[1] += float64(x[i+1]) * float64(y[i+1])
		s[2] += float64(x[i+2]) * float64(y[i+2])
		s[3] += float64(x[i+3]) * float64(y[i+3])
	}
	for ; i < len(x); i++ {
		s[0] += float64(x[i]) * float64(y[i])
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func distancePortable[T Float](x, y []T) (s float64) {
	y = y[:len(x)]
	for i, v := range x {
		d := float64(v) - float64(y[i])
		s += d * d
	}
	return s
}

func sumPortable[T Float](x []T) float64 {
	var s [4]float64
	i := 0
	for ; i+4 <= len(x); i += 4 {
		s[0] += float64(x[i])
		s[1] += float64(x[i+1])
		s[2] += float64(x[i+2])
		s[3] += float64(x[i+3])
	}
	for ; i < len(x); i++ {
		s[0] += float64(x[i])
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func exchangePortable[T Float](dst, x []T, norm *float64) (dot float64) {
	x = x[:len(dst)]
	var sum float64
	for i, v := range x {
		dot += float64(dst[i]) * float64(v)
		sum += float64(v) * float64(v)
		dst[i] = v
	}
	*norm = sum
	return dot
}

func addNormPortable[T Float](dst, x []T) float64 {
	var s float64
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] += v
		s += float64(v) * float64(v)
	}
	return s
}
