package train

import (
	"math"
	"path/filepath"
	"testing"

	"sgflow/data"
	"sgflow/engine/measure"
	"sgflow/engine/optim"
	"sgflow/engine/problem"
	"sgflow/engine/record"
)

// replayed is a training set's loss surface for loops that are written out by hand.
type replayed struct {
	*measure.Objective[float64]
	sampler *data.Sampler
	theta   []float64 // the session's parameters, as SetWeights left them
}

// newReplayed opens what a float64 run of c trains on.
func newReplayed(t *testing.T, c *Config) *replayed {
	t.Helper()
	p, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Compile(true); err != nil {
		t.Fatal(err)
	}
	s, err := problem.NewSession[float64](p, p.Train.N)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := problem.SetWeights(p, s); err != nil {
		t.Fatal(err)
	}
	sampler, err := data.NewSampler(data.Sampling(c.Sampling), p.Train.N, c.Batch, c.Seed)
	if err != nil {
		t.Fatal(err)
	}
	return &replayed{problem.NewObjective(p, s, p.Train), sampler, s.Params()}
}

// gradient returns a copy of the batch's gradient at theta.
func (r *replayed) gradient(theta []float64, batch []int32) []float64 {
	copy(r.theta, theta)
	r.Gradient(batch, false)
	return append([]float64(nil), r.Grad()...)
}

// finalWeights returns the parameters that the run in dir ended with.
func finalWeights(t *testing.T, path string, c *Config) []float64 {
	t.Helper()
	p, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Compile(false); err != nil {
		t.Fatal(err)
	}
	var specs []record.ParamSpec
	for _, q := range p.Program.Params {
		specs = append(specs, record.ParamSpec{Name: q.Name, Shape: q.Shape})
	}
	parts, err := record.LoadWeights[float64](path, specs)
	if err != nil {
		t.Fatal(err)
	}
	var all []float64
	for _, x := range parts {
		all = append(all, x...)
	}
	return all
}

// wantNear fails the test where vectors differ by more than tol times the largest
// element.
func wantNear(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	size := 1e-300
	for _, x := range want {
		size = max(size, math.Abs(x))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= tol*size) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

func TestAdamRunsAreTheTextbooksLoop(t *testing.T) {
	for _, name := range []string{optim.Adam, optim.AdamW} {
		c := smallConfig(t)
		c.DType, c.Optimizer, c.Momentum, c.LR, c.Measure = problem.Float64, name, 0, 0.01, "none"
		c.Beta1, c.Beta2, c.Epsilon, c.WeightDecay = 0.8, 0.99, 1e-6, 0.05
		mustRun(t, c)
		r := newReplayed(t, &c)
		theta := append([]float64(nil), r.theta...)
		m, v := make([]float64, len(theta)), make([]float64, len(theta))
		for step := range 2 * r.sampler.StepsPerEpoch() {
			g := r.gradient(theta, r.sampler.Batch(step, nil))
			for i := range theta {
				if name == optim.Adam {
					g[i] += c.WeightDecay * theta[i]
				}
				m[i] = c.Beta1*m[i] + (1-c.Beta1)*g[i]
				v[i] = c.Beta2*v[i] + (1-c.Beta2)*g[i]*g[i]
				mHat := m[i] / (1 - math.Pow(c.Beta1, float64(step+1)))
				vHat := v[i] / (1 - math.Pow(c.Beta2, float64(step+1)))
				move := mHat / (math.Sqrt(vHat) + c.Epsilon)
				if name == optim.AdamW {
					move += c.WeightDecay * theta[i]
				}
				theta[i] -= c.LR * move
			}
		}
		// 20 steps of float64; gradients near 0, divided by their own size, lose the most.
		wantNear(t, name, finalWeights(t, record.WeightsPath(c.Out), &c), theta, 1e-9)
	}
}

// The ascent as the papers have it: ε = ρ·ḡ/‖ḡ‖, and ε = ρ·T²ḡ/‖Tḡ‖ with
// T = diag|θ|; then SGD with momentum and coupled decay at θ, by the gradient there.
func TestSAMRunsAreTheTextbooksLoop(t *testing.T) {
	for name, rho := range map[string]float64{optim.SAM: 0, optim.ASAM: 0.3} {
		c := smallConfig(t)
		c.DType, c.Optimizer, c.Rho, c.WeightDecay, c.Measure = problem.Float64, name, rho, 0.01, "noise"
		mustRun(t, c)
		r := newReplayed(t, &c)
		theta := append([]float64(nil), r.theta...)
		v, there := make([]float64, len(theta)), make([]float64, len(theta))
		for step := range 2 * r.sampler.StepsPerEpoch() {
			batch := r.sampler.Batch(step, nil)
			g, scale := r.gradient(theta, batch), 0.05
			norm := 0.0
			for i, x := range g {
				if name == optim.ASAM {
					x *= math.Abs(theta[i])
				}
				norm += x * x
			}
			if name == optim.ASAM {
				scale = rho
			}
			for i, x := range g {
				if name == optim.ASAM {
					x *= theta[i] * theta[i]
				}
				there[i] = theta[i] + scale*x/math.Sqrt(norm)
			}
			for i, x := range r.gradient(there, batch) {
				v[i] = c.Momentum*v[i] + x + c.WeightDecay*theta[i]
				theta[i] -= c.LR * v[i]
			}
		}
		wantNear(t, name, finalWeights(t, record.WeightsPath(c.Out), &c), theta, 1e-11) // 20 steps of float64
	}
}

func TestTemperatureIsLoggedForSGDOnly(t *testing.T) {
	for name, want := range map[string]bool{optim.SGD: true, optim.SGDW: true, optim.Adam: false, optim.AdamW: false, optim.SGLD: false, optim.SAM: false, optim.ASAM: false} {
		c := smallConfig(t)
		c.Optimizer, c.Measure, c.Steps = name, "temperature,cabs,alpha,update_size", 3
		c.SGLDTemperature = 1e-4
		if name == optim.Adam || name == optim.AdamW || name == optim.SGLD {
			c.Momentum = 0
		}
		mustRun(t, c)
		steps, err := record.ReadSteps(filepath.Join(c.Out, "steps.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		last := steps[len(steps)-1].Noise
		for _, q := range []string{"temperature", "cabs"} {
			if got := !last.Get(q).IsZero(); got != want {
				t.Errorf("%s: %s logged: %v", name, q, got)
			}
		}
		for _, q := range []string{"alpha", "update_size"} {
			sam := name == optim.SAM || name == optim.ASAM
			if last.Get(q).IsZero() != (sam && q == "alpha") {
				t.Errorf("%s: %s logged: %v", name, q, !last.Get(q).IsZero())
			}
		}
	}
}

func TestUpdateSizeIsThatOfTheOptimizersStep(t *testing.T) {
	c := smallConfig(t)
	c.DType, c.Optimizer, c.Momentum, c.Measure, c.Steps = problem.Float64, optim.Adam, 0, "update_size", 1
	mustRun(t, c)
	steps, err := record.ReadSteps(filepath.Join(c.Out, "steps.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	r := newReplayed(t, &c)
	sum := 0.0
	for i, x := range finalWeights(t, record.WeightsPath(c.Out), &c) {
		sum += (x - r.theta[i]) * (x - r.theta[i])
	}
	got, _ := steps[0].Noise.Get("update_size").Get()
	if want := math.Sqrt(sum); math.Abs(got-want) > 1e-12*want {
		t.Errorf("update_size %v, the weights moved by %v", got, want)
	}
}
