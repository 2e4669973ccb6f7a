package flow

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine/flow/model"
	"sgflow/engine/rng"
)

// bowl is a quadratic of three parameters over 12 samples with random centres, and
// its Hessian and the mean of the centres, its minimum.
func bowl() (p *model.Problem, a *mat.SymDense, centres *mat.Dense, minimum []float64) {
	a = mat.NewSymDense(3, []float64{2, 0.5, 0, 0.5, 1, -0.2, 0, -0.2, 0.6})
	centres = mat.NewDense(12, 3, nil)
	s := rng.New(rng.Labels, 11, 0)
	minimum = make([]float64, 3)
	for i := range 12 {
		for k := range 3 {
			x := s.NormFloat64() * float64(1+k)
			centres.Set(i, k, x)
			minimum[k] += x / 12
		}
	}
	return model.Quadratic(a, centres), a, centres, minimum
}

// walk takes steps of a path.
func walk[T float32 | float64](t testing.TB, p Path[T], steps int) {
	t.Helper()
	for range steps {
		if err := p.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// must returns p of a constructor.
func must[P any](p P, err error) P {
	if err != nil {
		panic(err)
	}
	return p
}

// exact returns gradient flow's point at time t from start: minimum +
// exp(−At)(start − minimum).
func exact(a *mat.SymDense, minimum, start []float64, t float64) []float64 {
	d := len(start)
	at, decay := mat.NewDense(d, d, nil), mat.NewDense(d, d, nil)
	at.Scale(-t, a)
	decay.Exp(at)
	var e mat.VecDense
	from := mat.NewVecDense(d, nil)
	for k := range d {
		from.SetVec(k, start[k]-minimum[k])
	}
	e.MulVec(decay, from)
	out := make([]float64, d)
	for k := range d {
		out[k] = minimum[k] + e.AtVec(k)
	}
	return out
}

func distance[T float32 | float64](a, b []T) float64 {
	sum := 0.0
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		sum += d * d
	}
	return math.Sqrt(sum)
}

func TestGradientFlowIsTheExponentialOnAQuadratic(t *testing.T) {
	p, a, _, minimum := bowl()
	start := []float64{3, -2, 5}
	for _, tol := range []float64{1e-4, 1e-6, 1e-8, 1e-10} {
		f := must(NewGradientFlow[float64](p, start, 0.5, tol))
		for _, end := range []float64{0.1, 1, 3.7} {
			if err := f.To(context.Background(), end); err != nil {
				t.Fatal(err)
			}
			// Errors of steps, each at most tol·‖θ‖, add up; contraction makes
			// them fewer. 20 steps' worth is more than any of these takes.
			want := exact(a, minimum, start, end)
			if d := distance(f.Theta(), want); d > 20*tol*6 || f.Time() != end {
				t.Errorf("tolerance %g, t = %v: %v off after %d steps", tol, f.Time(), d, f.steps)
			}
		}
	}
}

func TestGradientFlowTakesStepsOfOrderFive(t *testing.T) {
	p, a, _, minimum := bowl()
	start := []float64{3, -2, 5}
	var last float64
	for _, h := range []float64{0.2, 0.1, 0.05, 0.025} {
		f := must(NewGradientFlow[float64](p, start, h, 0.9)) // which no step here exceeds
		for range int(math.Round(2 / h)) {
			f.h = h
			walk[float64](t, f, 1)
		}
		e := distance(f.Theta(), exact(a, minimum, start, 2))
		// Halving h divides the error by 2⁵ = 32 in the limit.
		if order := math.Log2(last / e); last > 0 && (order < 4.7 || order > 5.5) {
			t.Errorf("h = %v: error %g, of order %.2f", h, e, order)
		}
		last = e
	}
}

func TestStepsOfDescentAndSGDOfEverySampleAgree(t *testing.T) {
	p, _, _, _ := bowl()
	start := []float64{3, -2, 5}
	gd := must(NewDescent[float64](p, start, 0.3))
	sgd := must(NewSGD[float64](p, start, SGDConfig{Rate: 0.3, Batch: 12, Sampling: "shuffle", Seed: 4}))
	still := must(NewDiffusion[float64](p, start, DiffusionConfig{Rate: 0.3, Batch: 4, Noise: NoNoise}))
	walk[float64](t, gd, 7)
	walk[float64](t, sgd, 7)
	walk[float64](t, still, 7)
	for name, theta := range map[string][]float64{"SGD": sgd.Theta(), "diffusion": still.Theta()} {
		if d := distance(gd.Theta(), theta); d > 1e-13 {
			t.Errorf("%s: %v off", name, d)
		}
	}
	if gd.Time() != 7*0.3 || sgd.Time() != gd.Time() {
		t.Errorf("times %v and %v", gd.Time(), sgd.Time())
	}
}

func TestSVAGOfOneIsSGD(t *testing.T) {
	p, _, _, _ := bowl()
	start := []float64{3, -2, 5}
	sgd := must(NewSGD[float64](p, start, SGDConfig{Rate: 0.1, Batch: 3, Seed: 4}))
	svag := must(NewSVAG[float64](p, start, SVAGConfig{Rate: 0.1, Batch: 3, L: 1, Seed: 4}))
	walk[float64](t, sgd, 20)
	walk[float64](t, svag, 20)
	if d := distance(sgd.Theta(), svag.Theta()); d != 0 {
		t.Errorf("%v apart", d)
	}
}

func TestPathsThatLeaveAreErrors(t *testing.T) {
	p, _, _, _ := bowl() // λmax is 2.2: rates above 0.91 are unstable
	gd := must(NewDescent[float64](p, []float64{3, -2, 5}, 1.5))
	var err error
	for range 5000 {
		if err = gd.Step(context.Background()); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrDiverged) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := must(NewGradientFlow[float64](p, []float64{3, -2, 5}, 0.1, 0)).Step(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v of a cancelled step", err)
	}
}

func TestWrongPathsAreErrors(t *testing.T) {
	p, _, _, _ := bowl()
	start := []float64{0, 0, 0}
	for want, err := range map[string]error{
		"2 elements":      second(NewDescent[float64](p, start[:2], 0.1)),
		"rate 0":          second(NewDescent[float64](p, start, 0)),
		"rate NaN":        second(NewSGD[float64](p, start, SGDConfig{Rate: math.NaN(), Batch: 1})),
		"batch of 13":     second(NewSGD[float64](p, start, SGDConfig{Rate: 1, Batch: 13})),
		"batch of 0":      second(NewSVAG[float64](p, start, SVAGConfig{Rate: 1})),
		"first step":      second(NewGradientFlow[float64](p, start, -1, 0)),
		"tolerance 2":     second(NewGradientFlow[float64](p, start, 1, 2)),
		"did you mean":    second(NewDiffusion[float64](p, start, DiffusionConfig{Rate: 1, Batch: 1, Noise: "ful"})),
		"order 3":         second(NewDiffusion[float64](p, start, DiffusionConfig{Rate: 1, Batch: 1, Order: 3})),
		"0 samples":       second(NewDiffusion[float64](p, start, DiffusionConfig{Rate: 1})),
		"temperature -1":  second(NewLangevin[float64](p, start, LangevinConfig{Rate: 1, Temperature: -1})),
		"batch of 99":     second(NewLangevin[float64](p, start, LangevinConfig{Rate: 1, Batch: 99})),
		"temperature Inf": second(NewLangevin[float64](p, start, LangevinConfig{Rate: 1, Temperature: math.Inf(1)})),
	} {
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "+Inf", "Inf"), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func second[P any](_ P, err error) error { return err }

func TestStepsAllocateNothing(t *testing.T) {
	p, _, _, _ := bowl()
	start := []float64{3, -2, 5}
	for name, path := range map[string]Path[float64]{
		"SGD":       must(NewSGD[float64](p, start, SGDConfig{Rate: 0.01, Batch: 3})),
		"descent":   must(NewDescent[float64](p, start, 0.01)),
		"flow":      must(NewGradientFlow[float64](p, start, 0.01, 0)),
		"full":      must(NewDiffusion[float64](p, start, DiffusionConfig{Rate: 0.01, Batch: 3, Order: 2})),
		"diagonal":  must(NewDiffusion[float64](p, start, DiffusionConfig{Rate: 0.01, Batch: 3, Noise: Diagonal})),
		"isotropic": must(NewDiffusion[float64](p, start, DiffusionConfig{Rate: 0.01, Batch: 3, Noise: Isotropic})),
		"SVAG":      must(NewSVAG[float64](p, start, SVAGConfig{Rate: 0.01, Batch: 3, L: 4})),
		"Langevin":  must(NewLangevin[float64](p, start, LangevinConfig{Rate: 0.01, Temperature: 1})),
	} {
		walk(t, path, 2)
		if n := testing.AllocsPerRun(20, func() { walk(t, path, 1) }); n > 0 {
			t.Errorf("%s: %v allocations a step", name, n)
		}
	}
}
