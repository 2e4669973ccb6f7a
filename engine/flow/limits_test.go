package flow

import (
	"context"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"sgflow/engine/flow/model"
)

// order returns the power with which an error falls, from its values at a step and at
// half of it.
func order(whole, half float64) float64 { return math.Log2(math.Abs(whole) / math.Abs(half)) }

func TestDescentApproachesGradientFlowWithOrderOne(t *testing.T) {
	p, a, _, minimum := bowl()
	start := []float64{3, -2, 5}
	want := exact(a, minimum, start, 2)
	last := 0.0
	for _, rate := range []float64{0.02, 0.01, 0.005} {
		gd := must(NewDescent[float64](p, start, rate))
		walk[float64](t, gd, int(math.Round(2/rate)))
		e := distance(gd.Theta(), want)
		if o := order(last, e); last > 0 && math.Abs(o-1) > 0.03 {
			t.Errorf("rate %v: error %v, of order %v", rate, e, o)
		}
		last = e
	}
}

// E‖θ_η(t) − θ(t)‖² is tr S + ‖bias‖², both known: it falls as η, as the noise of t/η
// steps of variance η² does.
func TestSGDApproachesGradientFlowAsItsRateFalls(t *testing.T) {
	p, a, centres, minimum := bowl()
	start := []float64{3, -2, 5}
	const end, batch, seeds = 2, 2, 1500
	flow := exact(a, minimum, start, end)
	var last float64
	for _, rate := range []float64{0.1, 0.05, 0.025} {
		m, q := contraction(a, rate), noise(a, covariance(centres), rate, batch)
		s := mat.NewDense(3, 3, nil)
		mean := mat.NewVecDense(3, nil)
		for k := range 3 {
			mean.SetVec(k, start[k]-minimum[k])
		}
		steps := int(math.Round(end / rate))
		for range steps {
			s.Add(product(m, s, m.T()), q)
			var next mat.VecDense
			next.MulVec(m, mean)
			mean.CopyVec(&next)
		}
		want := mat.Trace(s)
		for k := range 3 {
			off := minimum[k] + mean.AtVec(k) - flow[k]
			want += off * off
		}
		squares := make([]float64, seeds)
		for seed := range seeds {
			sgd := must(NewSGD[float64](p, start, SGDConfig{Rate: rate, Batch: batch, Seed: uint64(seed)}))
			walk[float64](t, sgd, steps)
			d := distance(sgd.Theta(), flow)
			squares[seed] = d * d
		}
		within(t, "E‖θ_η − θ‖²", squares, want)
		e := stat.Mean(squares, nil)
		if o := order(last, e); last > 0 && (o < 0.8 || o > 1.3) { // ± 0.05 is noise; bias² falls as η²
			t.Errorf("rate %v: mean square distance %v, of order %v", rate, e, o)
		}
		last = e
	}
}

// Gradient descent follows the flow of L + η/4‖∇L‖² to second order in η, that of L to
// first order (Li, Tai & E 2017, arXiv:1511.06251).
func TestSecondOrderDriftIsCloserToDescent(t *testing.T) {
	p := model.DoubleWell(0.5, []float64{0, 0})
	start := []float64{0.3}
	const end = 1.6
	var last [3]float64
	for _, rate := range []float64{0.05, 0.025, 0.0125} {
		gd := must(NewDescent[float64](p, start, rate))
		walk[float64](t, gd, int(math.Round(end/rate)))
		var e [3]float64
		for o := 1; o <= 2; o++ {
			const divide = 4000 // so that Euler's own error, of η/divide, is none beside η²
			d := must(NewDiffusion[float64](p, start, DiffusionConfig{Rate: rate, Batch: 1, Noise: NoNoise, Order: o, Divide: divide}))
			walk[float64](t, d, int(math.Round(end/rate*divide)))
			e[o] = math.Abs(d.Theta()[0] - gd.Theta()[0])
			if last[o] > 0 && math.Abs(order(last[o], e[o])-float64(o)) > 0.2 {
				t.Errorf("rate %v: a drift of order %d is %v off, of order %v", rate, o, e[o], order(last[o], e[o]))
			}
		}
		if e[2] > e[1]/5 {
			t.Errorf("rate %v: with second order %v off, with first %v", rate, e[2], e[1])
		}
		last = e
	}
}

// springs is a loss of one parameter with noise that depends on the point, and what
// its moments obey: E of the slope is stiffness·E[x] − pull, and the variance of the
// samples' gradients v[2]x² + v[1]x + v[0].
type springs struct {
	*model.Problem
	stiffness, pull float64
	v               [3]float64
}

func newSprings() springs {
	k, c := []float64{0.2, 0.5, 1.1, 0.4}, []float64{1, -0.5, 0.3, 2}
	s := springs{Problem: model.Springs(k, c)}
	n := float64(len(k))
	for i := range k {
		s.stiffness += k[i] / n
		s.pull += k[i] * c[i] / n
		s.v[2] += k[i] * k[i] / n
		s.v[1] -= 2 * k[i] * k[i] * c[i] / n
		s.v[0] += k[i] * k[i] * c[i] * c[i] / n
	}
	s.v[2] -= s.stiffness * s.stiffness
	s.v[1] += 2 * s.stiffness * s.pull
	s.v[0] -= s.pull * s.pull
	return s
}

// variance returns E of the variance of the samples' gradients.
func (s *springs) variance(m1, m2 float64) float64 { return s.v[2]*m2 + s.v[1]*m1 + s.v[0] }

// solved returns E[x] and E[x²] of the first-order equation at time t, by steps of
// Runge and Kutta of order four far shorter than they need to be.
func (s *springs) solved(start, heat, t float64) (m1, m2 float64) {
	m1, m2 = start, start*start
	slope := func(m1, m2 float64) (float64, float64) {
		return -s.stiffness*m1 + s.pull, -2*s.stiffness*m2 + 2*s.pull*m1 + heat*s.variance(m1, m2)
	}
	const steps = 1000
	h := t / steps
	for range steps {
		a1, a2 := slope(m1, m2)
		b1, b2 := slope(m1+h/2*a1, m2+h/2*a2)
		c1, c2 := slope(m1+h/2*b1, m2+h/2*b2)
		d1, d2 := slope(m1+h*c1, m2+h*c2)
		m1 += h / 6 * (a1 + 2*b1 + 2*c1 + d1)
		m2 += h / 6 * (a2 + 2*b2 + 2*c2 + d2)
	}
	return m1, m2
}

// stepped returns E[x²] after steps of length h with the equation's drift and noise:
// those of Euler and Maruyama, and those of SVAG too.
func (s *springs) stepped(start, heat, h float64, steps int) float64 {
	m1, m2 := start, start*start
	for range steps {
		keep := 1 - h*s.stiffness
		m1, m2 = keep*m1+h*s.pull, keep*keep*m2+2*keep*h*s.pull*m1+h*h*s.pull*s.pull+h*heat*s.variance(m1, m2)
	}
	return m2
}

// weakly checks that E[x²] of paths with l steps in each of SGD's is what their
// recursion has, and that its difference from the equation's falls as 1/l.
func weakly(t *testing.T, open func(s *springs, rate float64, l int, seed uint64) Path[float64]) {
	t.Helper()
	s := newSprings()
	const rate, steps, start = 1., 3, 2.5
	const seeds = 120_000
	_, want := s.solved(start, rate, rate*steps) // of batches of 1: η/B is η
	last := 0.0
	for _, l := range []int{1, 2, 4} {
		squares := make([]float64, seeds)
		for seed := range squares {
			p := open(&s, rate, l, uint64(seed))
			for range steps * l {
				if err := p.Step(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			x := p.Theta()[0]
			squares[seed] = x * x
		}
		stderr := within(t, "E[x²]", squares, s.stepped(start, rate, rate/float64(l), steps*l))
		e := stat.Mean(squares, nil) - want
		// The order of the exact recursion is 1.1 to 1.2 at these lengths; the rest
		// is noise.
		if o, noise := order(last, e), 3*stderr/math.Abs(e)/math.Ln2; last != 0 && (o < 1-noise || o > 1.3+noise) {
			t.Errorf("l = %d: E[x²] is %v ± %v off, of order %v", l, e, stderr, o)
		}
		if math.Abs(e) < 5*stderr {
			t.Errorf("l = %d: an error of %v ± %v says nothing of its order", l, e, stderr)
		}
		last = e
	}
}

func TestEulerMaruyamaIsOfWeakOrderOne(t *testing.T) {
	weakly(t, func(s *springs, rate float64, l int, seed uint64) Path[float64] {
		return must(NewDiffusion[float64](s, []float64{2.5}, DiffusionConfig{Rate: rate, Batch: 1, Divide: l, Seed: seed}))
	})
}

func TestSVAGApproachesItsEquation(t *testing.T) {
	weakly(t, func(s *springs, rate float64, l int, seed uint64) Path[float64] {
		return must(NewSVAG[float64](s, []float64{2.5}, SVAGConfig{Rate: rate, Batch: 1, L: l, Seed: seed}))
	})
}

// With noise of one skewed distribution, SGD's points are skewed, those of the
// equation normal. The third cumulant of SVAG falls as (3l − 1)/2l²: κ ← (1−ηk/l)³κ +
// (η/l)³(a₁³ + a₂³)κ₃, with a₁³ + a₂³ = (3l − 1)/2.
func TestSVAGLosesTheSkewnessOfSGD(t *testing.T) {
	centres := []float64{3, -0.5, -0.5, -1, -1}
	p := model.Quadratic(mat.NewSymDense(1, []float64{1}), mat.NewDense(5, 1, centres))
	third := 0.0
	for _, c := range centres {
		third += c * c * c / 5
	}
	const rate, steps, seeds = 0.4, 4, 60_000
	var first float64
	for _, l := range []int{1, 2, 4, 8} {
		h, kappa := rate/float64(l), 0.0
		for range steps * l {
			kappa = math.Pow(1-h, 3)*kappa + h*h*h*float64(3*l-1)/2*third // θ − η(θ − c): skewed as c
		}
		cubes := make([]float64, seeds)
		for seed := range cubes {
			v := must(NewSVAG[float64](p, []float64{0}, SVAGConfig{Rate: rate, Batch: 1, L: l, Seed: uint64(seed)}))
			walk[float64](t, v, steps*l)
			cubes[seed] = math.Pow(v.Theta()[0], 3) // the mean is 0
		}
		stderr := within(t, "E[x³]", cubes, kappa)
		if l == 1 {
			first = kappa
		} else if kappa > 1.6*first/float64(l) || l == 8 && stat.Mean(cubes, nil) > first-20*stderr {
			t.Errorf("l = %d: E[x³] is %v, of SGD %v", l, kappa, first)
		}
	}
}
