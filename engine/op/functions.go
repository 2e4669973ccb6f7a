package op

import "math"

var nan = math.NaN()

// relu passes NaN on, so that divergence shows.
func relu(x float64) float64 { return max(x, 0) }

func step(x float64) float64 {
	if x > 0 {
		return 1
	}
	return 0
}

// With t = tanh x and s = 1 − t² = 1/cosh² x: t′ = s, t″ = −2ts, t‴ = s(4t² − 2s).
func tanh(x float64) float64  { return math.Tanh(x) }
func tanh1(x float64) float64 { c := math.Cosh(x); return 1 / c / c }
func tanh2(x float64) float64 { return -2 * tanh(x) * tanh1(x) }
func tanh3(x float64) float64 {
	t, s := tanh(x), tanh1(x)
	return s * (4*t*t - 2*s)
}

// With s = σ(x): s′ = σ(x)σ(−x), s″ = s′(1 − 2s), s‴ = s′(1 − 6s′).
func sigmoid(x float64) float64 {
	if x < 0 {
		e := math.Exp(x)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-x))
}
func sigmoid1(x float64) float64 { return sigmoid(x) * sigmoid(-x) }
func sigmoid2(x float64) float64 { return sigmoid1(x) * (1 - 2*sigmoid(x)) }
func sigmoid3(x float64) float64 {
	d := sigmoid1(x)
	return d * (1 - 6*d)
}

// geluFlat is where the normal density and one tail of its distribution
// function are zero in float64, so that gelu is max(x, 0) exactly.
const geluFlat = 40

// With Φ and φ the normal distribution function and density: g = xΦ,
// g′ = Φ + xφ, g″ = (2 − x²)φ, g‴ = (x³ − 4x)φ.
func gelu(x float64) float64 {
	if math.Abs(x) > geluFlat {
		return relu(x)
	}
	return x * normal(x)
}

func gelu1(x float64) float64 {
	if math.Abs(x) > geluFlat {
		return step(x)
	}
	return normal(x) + x*density(x)
}

func gelu2(x float64) float64 {
	if math.Abs(x) > geluFlat {
		return 0
	}
	return (2 - x*x) * density(x)
}

func gelu3(x float64) float64 {
	if math.Abs(x) > geluFlat {
		return 0
	}
	return (x*x*x - 4*x) * density(x)
}

// normal is Φ(x) = erfc(−x/√2)/2, accurate in both tails.
func normal(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// density is φ(x) = exp(−x²/2)/√(2π).
func density(x float64) float64 { return math.Exp(-x*x/2) / math.Sqrt(2*math.Pi) }

func exp(x float64) float64 { return math.Exp(x) }

func logarithm(x float64) float64 { return math.Log(x) }

func square(x float64) float64  { return x * x }
func square1(x float64) float64 { return 2 * x }
func square2(float64) float64   { return 2 }

func sqrt(x float64) float64  { return math.Sqrt(x) }
func sqrt1(x float64) float64 { return 0.5 / math.Sqrt(x) }
func sqrt2(x float64) float64 { return -0.25 / (x * math.Sqrt(x)) }
func sqrt3(x float64) float64 { return 0.375 / (x * x * math.Sqrt(x)) }

func inverse(x float64) float64  { return 1 / x }
func inverse1(x float64) float64 { return -1 / (x * x) }
func inverse2(x float64) float64 { return 2 / (x * x * x) }
func inverse3(x float64) float64 { return -6 / (x * x * x * x) }

func neg(x float64) float64 { return -x }
func neg1(float64) float64  { return -1 }
