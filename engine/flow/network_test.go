package flow

import (
	"fmt"
	"math"
	"testing"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/problem"
	"sgflow/engine/rng"
)

// pool is how many samples the test networks have.
const pool = 20

// randomSet has 3×3 images in three classes.
func randomSet() *data.Set {
	s := rng.New(rng.Labels, 8, 0)
	split := &data.Split{N: pool, C: 1, H: 3, W: 3}
	for i := range pool {
		split.Labels = append(split.Labels, int32(i%3))
		for range 9 {
			split.Pixels = append(split.Pixels, uint8(s.Uint32n(256)))
		}
	}
	return &data.Set{Name: "random", Train: split, Test: split, Classes: 3, Channels: 1, Height: 3, Width: 3}
}

// network returns the surface of a model on random data, in chunks of at most so
// many samples.
func network[T engine.Float](t *testing.T, model, loss string, capacity int) *Network[T] {
	t.Helper()
	c := problem.Default()
	c.Model, c.Loss, c.Device, c.DType, c.Data = model, loss, "cpu", problem.Float32, "random"
	if _, double := any(T(0)).(float64); double {
		c.DType = problem.Float64
	}
	p, err := c.Open(problem.WithData(func(string) (*data.Set, error) { return randomSet(), nil }))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Compile(true); err != nil {
		t.Fatal(err)
	}
	s, err := engine.NewSession[T](p.Program, engine.Config{Batch: capacity, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := problem.SetWeights(p, s); err != nil {
		t.Fatal(err)
	}
	return NewNetwork(problem.NewObjective(p, s, p.Train), pool)
}

// oneByOne returns losses and gradients of single samples at theta, each of a run of
// its own.
func oneByOne(w *Network[float64], theta []float64) (losses []float64, grads [][]float64) {
	for i := range int32(pool) {
		g := make([]float64, w.Dim())
		losses = append(losses, w.Gradient(g, theta, []int32{i}))
		grads = append(grads, g)
	}
	return losses, grads
}

// near fails the test where a and b differ by more than tol of b's norm.
func near[T engine.Float](t *testing.T, what string, a []T, b []float64, tol float64) {
	t.Helper()
	off, norm := 0.0, 0.0
	for i := range b {
		d := float64(a[i]) - b[i]
		off += d * d
		norm += b[i] * b[i]
	}
	if !(math.Sqrt(off) <= tol*math.Sqrt(norm)) || norm == 0 {
		t.Errorf("%s is %.2g of %.3g off", what, math.Sqrt(off), math.Sqrt(norm))
	}
}

// eachNetwork runs f for networks of both losses, whole and in chunks.
func eachNetwork(t *testing.T, f func(t *testing.T, model, loss string, capacity int)) {
	for _, model := range []string{"mlp:9-5-3,act=tanh", "cnn:conv2k2,tanh,fc3"} {
		for _, loss := range []string{problem.CrossEntropy, problem.MSE} {
			for _, capacity := range []int{pool, 7} {
				t.Run(fmt.Sprintf("%s %s in chunks of %d", model, loss, capacity), func(t *testing.T) { f(t, model, loss, capacity) })
			}
		}
	}
}

func TestNetworksAreTheirSamplesOneByOne(t *testing.T) {
	indices := []int32{3, 19, 0, 3, 7, 8, 11, 12, 2, 5} // one twice
	eachNetwork(t, func(t *testing.T, model, loss string, capacity int) {
		w := network[float64](t, model, loss, capacity)
		single := network[float32](t, model, loss, capacity)
		theta := append([]float64{}, w.Params()...)
		losses, grads := oneByOne(w, theta)
		rounded := make([]float32, len(theta))
		for k, x := range theta {
			rounded[k] = float32(x)
		}
		for _, list := range [][]int32{nil, indices} {
			all := list
			if all == nil {
				all = problem.Sequence(0, pool)
			}
			n := float64(len(all))
			weights := make([]float64, len(all))
			s := rng.New(rng.Probes, 1, 2)
			loss := 0.0
			mean, combined, squares, variances := make([]float64, w.Dim()), make([]float64, w.Dim()), make([]float64, w.Dim()), make([]float64, w.Dim())
			for at, i := range all {
				weights[at] = s.NormFloat64()
				loss += losses[i] / n
				for k, g := range grads[i] {
					mean[k] += g / n
					combined[k] += weights[at] * g
					squares[k] += g * g / n
				}
			}
			trace := 0.0
			for k := range mean {
				variances[k] = squares[k] - mean[k]*mean[k]
				trace += variances[k]
			}
			check(t, w, theta, list, loss, mean, combined, variances, trace, weights, 1e-12)
			check(t, single, rounded, list, loss, mean, combined, variances, trace, weights, 2e-5) // a few hundred roundings
		}
	})
}

// check compares a network at theta with what its samples say. theta is taken away
// after the gradient, which the surface has to remember.
func check[T engine.Float](t *testing.T, w *Network[T], theta []T, list []int32, loss float64, mean, combined, variances []float64, trace float64, weights []float64, tol float64) {
	t.Helper()
	out, moved := make([]T, w.Dim()), append([]T{}, theta...)
	if got := w.Gradient(out, moved, list); math.Abs(got-loss) > tol*loss {
		t.Errorf("loss %v, want %v", got, loss)
	}
	clear(moved)
	near(t, "gradient", out, mean, tol)
	w.Combine(out, weights)
	near(t, "combination", out, combined, tol)
	if got := w.Variances(nil); math.Abs(got-trace) > tol*trace {
		t.Errorf("trace alone %v, want %v", got, trace)
	}
	if got := w.Variances(out); math.Abs(got-trace) > tol*trace {
		t.Errorf("trace %v, want %v", got, trace)
	}
	near(t, "variances", out, variances, tol)
}

func TestNetworksHaveTheDerivativesOfTheirLoss(t *testing.T) {
	eachNetwork(t, func(t *testing.T, model, loss string, capacity int) {
		w := network[float64](t, model, loss, capacity)
		theta := append([]float64{}, w.Params()...)
		v, grad, hv := make([]float64, w.Dim()), make([]float64, w.Dim()), make([]float64, w.Dim())
		s := rng.New(rng.Probes, 4, 2)
		for k := range v {
			v[k] = s.NormFloat64()
		}
		w.Gradient(grad, theta, nil)
		w.Product(hv, v)
		slope := 0.0
		for k := range v {
			slope += grad[k] * v[k]
		}
		// Central differences err by h² times third derivatives, and by rounding
		// over h.
		const h = 1e-5
		ahead, behind := append([]float64{}, theta...), append([]float64{}, theta...)
		for k := range v {
			ahead[k] += h * v[k]
			behind[k] -= h * v[k]
		}
		after, before := make([]float64, w.Dim()), make([]float64, w.Dim())
		up, down := w.Gradient(after, ahead, nil), w.Gradient(before, behind, nil)
		if d := (up - down) / (2 * h); math.Abs(d-slope) > 1e-7*math.Abs(slope) {
			t.Errorf("slope %v, by differences %v", slope, d)
		}
		for k := range after {
			after[k] = (after[k] - before[k]) / (2 * h)
		}
		near(t, "product", hv, after, 1e-6)
	})
}

func TestStepsOnNetworksAllocateNothing(t *testing.T) {
	w := network[float32](t, "mlp:9-5-3", problem.CrossEntropy, pool)
	start := append([]float32{}, w.Params()...)
	for name, path := range map[string]Path[float32]{
		"SGD":       must(NewSGD[float32](w, start, SGDConfig{Rate: 0.01, Batch: 3})),
		"flow":      must(NewGradientFlow[float32](w, start, 0.01, 0)),
		"full":      must(NewDiffusion[float32](w, start, DiffusionConfig{Rate: 0.01, Batch: 3, Order: 2})),
		"diagonal":  must(NewDiffusion[float32](w, start, DiffusionConfig{Rate: 0.01, Batch: 3, Noise: Diagonal})),
		"isotropic": must(NewDiffusion[float32](w, start, DiffusionConfig{Rate: 0.01, Batch: 3, Noise: Isotropic})),
		"SVAG":      must(NewSVAG[float32](w, start, SVAGConfig{Rate: 0.01, Batch: 3, L: 4})),
		"Langevin":  must(NewLangevin[float32](w, start, LangevinConfig{Rate: 0.01, Temperature: 1e-5})),
	} {
		walk(t, path, 3)
		if n := testing.AllocsPerRun(20, func() { walk(t, path, 1) }); n > 0 {
			t.Errorf("%s: %v allocations a step", name, n)
		}
	}
}

// Paths that share a network do not disturb each other.
func TestPathsInTurnAreThoseOfEachAlone(t *testing.T) {
	open := func(w *Network[float32]) []Path[float32] {
		start := append([]float32{}, w.Params()...)
		return []Path[float32]{
			must(NewSGD[float32](w, start, SGDConfig{Rate: 0.1, Batch: 3, Sampling: data.Shuffle})),
			must(NewGradientFlow[float32](w, start, 0.1, 0)),
			must(NewDiffusion[float32](w, start, DiffusionConfig{Rate: 0.1, Batch: 3, Order: 2})),
			must(NewSVAG[float32](w, start, SVAGConfig{Rate: 0.1, Batch: 3, L: 4})),
		}
	}
	together := open(network[float32](t, "mlp:9-5-3", problem.CrossEntropy, pool))
	for range 6 {
		for _, p := range together {
			walk(t, p, 1)
		}
	}
	for i, p := range together {
		alone := open(network[float32](t, "mlp:9-5-3", problem.CrossEntropy, pool))[i]
		walk(t, alone, 6)
		if d := distance(p.Theta(), alone.Theta()); d != 0 || alone.Time() != p.Time() {
			t.Errorf("path %d: %v apart at t = %v and %v", i, d, p.Time(), alone.Time())
		}
	}
}
