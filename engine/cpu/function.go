package cpu

import (
	"fmt"
	"math"

	"sgflow/engine/program"
)

// mapping is an elementwise function of a slice: dst[i] = f(x[i]), times g[i]
// where g is not nil. All have dst's length; dst may be x or g.
type mapping[T Float] func(dst, x, g []T)

// derivative returns the order-th derivative of f as a function of x, or of
// y = f(x) if fromOutput is set.
func derivative[T Float](f program.Func, order int, fromOutput bool) (mapping[T], error) {
	switch {
	case order < 0 || order > 2:
		return nil, fmt.Errorf("no rule for derivative %d of %s", order, f)
	case fromOutput && !f.FromOutput():
		return nil, fmt.Errorf("the derivative of %s cannot be had from its output", f)
	case f == program.ReLU && order == 0:
		return relu[T], nil
	case f == program.ReLU && order == 1:
		return reluMask[T], nil // y > 0 where x > 0
	}
	h := scalarFunc(f, order)
	if fromOutput {
		h = scalarFuncOfOutput(f, order)
	}
	if h == nil {
		return nil, fmt.Errorf("no rule for function %s", f)
	}
	return func(dst, x, g []T) {
		if g == nil {
			for i, v := range x {
				dst[i] = T(h(float64(v)))
			}
			return
		}
		for i, v := range x {
			dst[i] = T(h(float64(v)) * float64(g[i]))
		}
	}, nil
}

// relu lets NaN through, so that a diverged run is seen to be one.
func relu[T Float](dst, x, g []T) {
	for i, v := range x {
		if v < 0 {
			v = 0
		}
		if g != nil {
			v *= g[i]
		}
		dst[i] = v
	}
}

// reluMask is the derivative of relu, 0 at 0.
func reluMask[T Float](dst, x, g []T) {
	for i, v := range x {
		r := T(0)
		if v > 0 {
			r = 1
			if g != nil {
				r = g[i]
			}
		}
		dst[i] = r
	}
}

// scalarFunc returns f, f' or f” as a function of x. Φ and φ below are the
// normal distribution and its density.
func scalarFunc(f program.Func, order int) func(float64) float64 {
	table := map[program.Func][3]func(float64) float64{
		program.Identity: {
			func(x float64) float64 { return x },
			func(float64) float64 { return 1 },
			zero,
		},
		program.ReLU: {nil, nil, zero},
		program.Tanh: {
			math.Tanh,
			func(x float64) float64 { return tanh1(math.Tanh(x)) },
			func(x float64) float64 { return tanh2(math.Tanh(x)) },
		},
		program.Sigmoid: {
			sigmoid,
			func(x float64) float64 { return sigmoid1(sigmoid(x)) },
			func(x float64) float64 { return sigmoid2(sigmoid(x)) },
		},
		program.GELU: {
			func(x float64) float64 { return x * normal(x) },
			func(x float64) float64 { return normal(x) + x*density(x) },
			func(x float64) float64 { return density(x) * (2 - x*x) },
		},
		program.Exp:    {math.Exp, math.Exp, math.Exp},
		program.Log:    {math.Log, func(x float64) float64 { return 1 / x }, func(x float64) float64 { return -1 / (x * x) }},
		program.Square: {func(x float64) float64 { return x * x }, func(x float64) float64 { return 2 * x }, func(float64) float64 { return 2 }},
		program.Sqrt: {
			math.Sqrt,
			func(x float64) float64 { return 0.5 / math.Sqrt(x) },
			func(x float64) float64 { return -0.25 / (x * math.Sqrt(x)) },
		},
		program.Inverse: {
			func(x float64) float64 { return 1 / x },
			func(x float64) float64 { return -1 / (x * x) },
			func(x float64) float64 { return 2 / (x * x * x) },
		},
		program.Neg: {func(x float64) float64 { return -x }, func(float64) float64 { return -1 }, zero},
	}
	return table[f][order]
}

// scalarFuncOfOutput returns f, f' or f” as a function of y = f(x).
func scalarFuncOfOutput(f program.Func, order int) func(float64) float64 {
	identity := func(y float64) float64 { return y }
	table := map[program.Func][3]func(float64) float64{
		program.ReLU:    {nil, nil, zero},
		program.Tanh:    {identity, tanh1, tanh2},
		program.Sigmoid: {identity, sigmoid1, sigmoid2},
	}
	return table[f][order]
}

func zero(float64) float64 { return 0 }

func tanh1(y float64) float64 { return 1 - y*y }
func tanh2(y float64) float64 { return -2 * y * (1 - y*y) }

// sigmoid avoids the overflow of exp for large |x|.
func sigmoid(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}

func sigmoid1(y float64) float64 { return y * (1 - y) }
func sigmoid2(y float64) float64 { return y * (1 - y) * (1 - 2*y) }

// normal is Φ(x) = ½ erfc(−x/√2).
func normal(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

// density is φ(x) = e^(−x²/2)/√(2π).
func density(x float64) float64 { return math.Exp(-x*x/2) / math.Sqrt(2*math.Pi) }
