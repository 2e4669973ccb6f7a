package model

import "gonum.org/v1/gonum/mat"

// tilted is a loss U(θ) + tᵢᵀθ with slopes tᵢ of mean zero: noise of one covariance,
// that of the slopes, on any surface U that is a sum over its coordinates.
type tilted struct {
	tilts *mat.Dense // N×d
	u     func(k int, x float64) (value, slope, curvature float64)
}

func newTilted(tilts *mat.Dense, u func(k int, x float64) (value, slope, curvature float64)) *Problem {
	n, d := tilts.Dims()
	centred := mat.DenseCopyOf(tilts)
	for k := range d {
		mean := mat.Sum(tilts.ColView(k)) / float64(n)
		for i := range n {
			centred.Set(i, k, tilts.At(i, k)-mean)
		}
	}
	return newProblem(d, n, &tilted{centred, u})
}

func (s *tilted) loss(i int, theta []float64) (loss float64) {
	for k, x := range theta {
		value, _, _ := s.u(k, x)
		loss += value + s.tilts.At(i, k)*x
	}
	return loss
}

func (s *tilted) addGradient(out []float64, w float64, i int, theta []float64) {
	for k, x := range theta {
		_, slope, _ := s.u(k, x)
		out[k] += w * (slope + s.tilts.At(i, k))
	}
}

func (s *tilted) addProduct(out []float64, w float64, _ int, theta, v []float64) {
	for k, x := range theta {
		_, _, curvature := s.u(k, x)
		out[k] += w * curvature * v[k]
	}
}

// Saddle returns the loss with samples
//
//	ℓᵢ(θ) = ½ Σ λₖ θₖ² + tᵢᵀθ,
//
// of curvatures λₖ of any sign, with the rows of tilts, less their mean, as tᵢ.
func Saddle(curvatures []float64, tilts *mat.Dense) *Problem {
	return newTilted(tilts, func(k int, x float64) (value, slope, curvature float64) {
		c := curvatures[k]
		return c * x * x / 2, c * x, c
	})
}

// DoubleWell returns the loss of one parameter with samples
//
//	ℓᵢ(θ) = h (θ² − 1)² + tᵢθ,
//
// of two wells at ±1 of curvature 8h with a barrier of height h and curvature −4h
// between them, with tilts, less their mean, as tᵢ.
func DoubleWell(h float64, tilts []float64) *Problem {
	return newTilted(mat.NewDense(len(tilts), 1, tilts), func(_ int, x float64) (value, slope, curvature float64) {
		e := x*x - 1
		return h * e * e, 4 * h * x * e, h * (12*x*x - 4)
	})
}
