package measure

import (
	"math"

	"sgflow/engine"
)

var alpha = Quantity{
	Name:  "alpha",
	Group: Noise,
	Sets:  []string{setEconomy, setBusiness, setFull},
	Formula: "where the last step landed on the quadratic fitted, by weighted least squares, to loss and slope along the step at both of its ends: " +
		"−1 where it began, 0 in the minimum, 1 on the other side at the same height, above 1 higher; −1 where the fit is concave; " +
		"weights are the inverse variances over the samples (1e-10 for a variance of 0); absent at the first step, for n = 1 at either end, " +
		"after a step of length 0, where the fit has no minimum nor maximum (both losses equal, both slopes 0), " +
		"with SAM, whose steps leave nothing of the samples' gradients at their start, and with momentum or weight decay where the model's sample gradients have no factors",
	Source:  "Schneider et al. 2021 (Cockpit), arXiv:2102.06604, section 3.1",
	Unit:    "1",
	Cost:    "0.2 steps for the samples' slopes at the ends; 1 with momentum",
	Needs:   SampleNorms | SampleGrads | Training,
	queue:   rule{queueNoise[float32], queueNoise[float64]},
	measure: rule{measureAlpha[float32], measureAlpha[float64]},
	updated: rule{alphaUpdated[float32], alphaUpdated[float64]},
}

// ending is what alpha knows of one end of a step of length t: mean and
// variance over the samples of the loss and of the slope along the step.
type ending struct{ f, varF, df, varDF float64 }

// Names of what alpha remembers of the step that led to the next point.
const (
	alphaStart  = "alpha.start" // f, varF, df, varDF at its start, its length, and how far it is along −ḡ′: 0 where it is alphaStep
	alphaStep   = "alpha.step"  // Δθ, where slopes are not those along kept samples
	alphaFields = 6
	alphaLength = 4
	alphaRate   = 5
)

func measureAlpha[T engine.Float](p *Point[T]) error {
	g, ok := p.Noise()
	if !ok || p.step.Ascends {
		return nil
	}
	start := p.list(alphaStart)
	if start == nil {
		start = make([]float64, alphaFields)
		p.remember(alphaStart, start)
	}
	if p.n < 2 {
		start[alphaLength] = 0
		return nil
	}
	p.slopes = grow(p.slopes, p.n)
	varF, _ := variance(p.SampleLosses())
	if length := start[alphaLength]; length > 0 {
		along := 1.0
		if rate := start[alphaRate]; rate > 0 {
			p.o.CrossDots(p.slopes) // gᵢᵀḡ′ of a step −rate·ḡ′
			along = -rate
		} else {
			step, _ := p.vector(alphaStep, len(p.o.Grad()))
			p.o.SampleDots(p.slopes, step)
		}
		v, m := variance(p.slopes)
		along /= length
		a, ok := fitAlpha(length, ending{start[0], start[1], start[2], start[3]}, ending{p.loss, varF, along * m, along * along * v})
		p.logIf("alpha", a, ok)
	}
	start[0], start[1], start[alphaLength] = p.loss, varF, 0
	if p.step.Plain && g.NormSq > 0 {
		p.o.KeepSamples()
		norm := math.Sqrt(g.NormSq)
		v, _ := variance(p.MeanDots())
		start[2], start[3], start[alphaLength], start[alphaRate] = -norm, v/g.NormSq, p.step.LR*norm, p.step.LR
	}
	return nil
}

// alphaUpdated completes the start of a step whose samples were not kept.
func alphaUpdated[T engine.Float](p *Point[T]) error {
	start := p.list(alphaStart)
	// Without factors, the samples' gradients would be those at the new θ.
	if start == nil || p.n < 2 || start[alphaLength] > 0 || p.before == nil || !p.o.s.Program().Factored() {
		return nil
	}
	step, _ := p.vector(alphaStep, len(p.o.Grad()))
	p.o.s.Copy(step, p.o.s.Params())
	p.o.s.Axpy(-1, p.before, step)
	length := math.Sqrt(p.o.s.NormSq(step))
	if start[alphaLength], start[alphaRate] = length, 0; length > 0 {
		p.o.SampleDots(p.slopes, step)
		v, m := variance(p.slopes)
		start[2], start[3] = m/length, v/(length*length)
	}
	return nil
}

// fitAlpha fits w₀ + w₁u + w₂u², u the share of the step of length t, to
// the losses and slopes at u = 0 and 1, and returns −2w₂/w₁ − 1, or −1 where
// w₂ < 0; ok is false where the fit has no answer.
func fitAlpha(t float64, start, end ending) (alpha float64, ok bool) {
	const known = 1e-10 // in place of a variance of 0
	variance := [4]float64{start.varF, end.varF, start.varDF, end.varDF}
	least := math.Inf(1)
	for i := range variance {
		if variance[i] == 0 {
			variance[i] = known
		}
		if i >= 2 {
			variance[i] *= t * t
		}
		least = min(least, variance[i])
	}
	if least == 0 {
		return 0, false
	}
	var weight [4]float64 // up to a common factor, with which they stay in range
	for i, v := range variance {
		weight[i] = least / v
	}
	rows := [4][3]float64{{1, 0, 0}, {1, 1, 1}, {0, 1, 0}, {0, 1, 2}}
	y := [4]float64{start.f, end.f, start.df * t, end.df * t}
	var a [3][4]float64 // normal equations with their right side
	for k, row := range rows {
		for i := range 3 {
			for j := range 3 {
				a[i][j] += weight[k] * row[i] * row[j]
			}
			a[i][3] += weight[k] * row[i] * y[k]
		}
	}
	w, ok := solve3(a)
	switch {
	case !ok:
		return 0, false
	case w[2] < 0:
		return -1, true
	case w[1] == 0:
		return 0, false
	}
	alpha = -2*w[2]/w[1] - 1
	return alpha, finite(alpha)
}

// solve3 solves three linear equations by elimination with partial pivoting;
// ok is false for a singular system.
func solve3(a [3][4]float64) (x [3]float64, ok bool) {
	for c := range 3 {
		best := c
		for r := c + 1; r < 3; r++ {
			if math.Abs(a[r][c]) > math.Abs(a[best][c]) {
				best = r
			}
		}
		a[c], a[best] = a[best], a[c]
		if a[c][c] == 0 {
			return x, false
		}
		for r := c + 1; r < 3; r++ {
			f := a[r][c] / a[c][c]
			for k := c; k < 4; k++ {
				a[r][k] -= f * a[c][k]
			}
		}
	}
	for c := 2; c >= 0; c-- {
		x[c] = a[c][3]
		for k := c + 1; k < 3; k++ {
			x[c] -= a[c][k] * x[k]
		}
		x[c] /= a[c][c]
	}
	return x, true
}
