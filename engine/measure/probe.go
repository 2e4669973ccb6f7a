package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"sgflow/engine"
	"sgflow/engine/record"
	"sgflow/engine/rng"
)

// ProbeConfig says how thoroughly Probe measures. Zero values are the defaults.
type ProbeConfig struct {
	Top         int     // largest eigenvalues to report; default 1
	Probes      int     // Hutchinson probes for the trace; default 32
	ExactTrace  bool    // the trace by one product for every parameter
	Tol         float64 // relative residual of eigenpairs; default 1e-5 (float64: 1e-7)
	MaxProducts int     // most products for the eigenvalues at either end; default 1000
	Seed        uint64
	Select      Selection // default "all"
	// Progress, if not nil, is called now and then with what is being
	// computed and how many products have been done.
	Progress func(stage string, products int)
}

// ProbeResult is what Probe measures, as `sgflow probe` prints it.
type ProbeResult struct {
	Loss     float64        `json:"loss"`
	Accuracy record.Opt     `json:"accuracy,omitzero"`
	Samples  int            `json:"samples"`
	Params   int            `json:"params"`
	Noise    record.Numbers `json:"noise,omitempty"`
	Flatness ProbeFlatness  `json:"flatness"`
	Layers   record.Layers  `json:"layers,omitempty"`
}

// ProbeFlatness is the flatness of one point in detail.
type ProbeFlatness struct {
	Numbers        record.Numbers
	TopEigenvalues []float64 // largest first
	TopResiduals   []float64 // ‖Hv − λv‖ of each
}

// MarshalJSON writes the numbers and the two lists as one object.
func (f ProbeFlatness) MarshalJSON() ([]byte, error) {
	text, err := f.Numbers.MarshalJSON()
	if err != nil {
		return nil, err
	}
	lists, err := json.Marshal(struct {
		TopEigenvalues []float64 `json:"top_eigenvalues,omitempty"`
		TopResiduals   []float64 `json:"top_residuals,omitempty"`
	}{f.TopEigenvalues, f.TopResiduals})
	if err != nil || len(lists) == 2 {
		return text, err
	}
	if len(text) > 2 {
		lists[0] = ','
		return append(text[:len(text)-1], lists...), nil
	}
	return lists, nil
}

// ErrNotConverged is returned, with the result so far, where eigenvalues were
// not found to the tolerance within MaxProducts.
var ErrNotConverged = errors.New("measure: eigenvalues not found to the tolerance")

// Probe measures noise and flatness of the mean loss of the samples at the
// session's parameters: noise exactly, eigenvalues by Lanczos iteration to
// tolerance, the trace by Hutchinson's estimator or exactly, and whatever else
// c selects.
func Probe[T engine.Float](ctx context.Context, o *Objective[T], indices []int32, c ProbeConfig) (*ProbeResult, error) {
	c.setDefaults(isDouble[T]())
	s := o.s
	loss, correct := o.Gradient(indices, true)
	if !finite(loss) {
		return nil, fmt.Errorf("%w: the loss is %g", ErrDiverged, loss)
	}
	r := &ProbeResult{Loss: loss, Samples: len(indices), Params: len(s.Params())}
	r.Accuracy = opt(float64(correct)/float64(len(indices)), correct >= 0)

	m := newMemory[T]()
	point := &Point[T]{ctx: ctx, o: o, c: &Config{Select: c.Select, Seed: c.Seed, Converge: true, Tol: c.Tol, MaxProducts: c.MaxProducts, Window: c.Probes}, memory: &m}
	point.begin(loss, correct, len(indices))
	if total, ok := point.Noise(); ok {
		r.Layers = recordLayers(s, point.layers, nil)
	} else {
		r.Noise.Set("grad_norm_sq", total.NormSq)
	}
	measure := func(q *Quantity) error {
		c.Progress(q.Name, o.Products())
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := run(q.measure, point); err != nil {
			return fmt.Errorf("measure: %s: %w", q.Name, err)
		}
		if !point.ok {
			return fmt.Errorf("%w: %s is %g", ErrDiverged, point.bad.Name, point.bad.X)
		}
		return nil
	}
	point.out = &r.Noise
	for _, q := range c.Select.of(Noise) {
		if q.Needs&Training == 0 && r.Noise.Get(q.LogKeys()[0]).IsZero() {
			if err := measure(q); err != nil {
				return r, err
			}
		}
	}
	if !s.Program().HasProduct() || len(c.Select.of(Flatness)) == 0 {
		return r, nil
	}
	p := &prober[T]{ctx: ctx, o: o, c: c, a: make([]T, len(s.Params())), b: make([]T, len(s.Params()))}
	err := p.flatness(&r.Flatness, point.gradNormSq())
	if err != nil && !errors.Is(err, ErrNotConverged) {
		return r, err
	}
	// What the prober measures in its own, more thorough way is not measured
	// again.
	point.out = &r.Flatness.Numbers
	for _, q := range c.Select.of(Flatness) {
		if q != &lambdaMax && q != &trace && q != &batchSharpness && q.Needs&Training == 0 {
			if err := measure(q); err != nil {
				return r, err
			}
		}
	}
	r.Flatness.Numbers.Set("hv", float64(o.Products()))
	o.Restore()
	return r, err
}

func isDouble[T engine.Float]() bool {
	var x T
	_, ok := any(x).(float64)
	return ok
}

func (c *ProbeConfig) setDefaults(double bool) {
	if c.Top < 1 {
		c.Top = 1
	}
	if c.Probes < 1 {
		c.Probes = 32
	}
	if c.Tol <= 0 {
		c.Tol = 1e-5
		if double {
			c.Tol = 1e-7
		}
	}
	if c.MaxProducts < 1 {
		c.MaxProducts = 1000
	}
	if c.Select.list == nil {
		c.Select, _ = ParseSelection("all") // which is a selection
	}
	if c.Progress == nil {
		c.Progress = func(string, int) {}
	}
}

// prober holds the work of one Probe.
type prober[T engine.Float] struct {
	ctx  context.Context
	o    *Objective[T]
	c    ProbeConfig
	a, b []T
}

func (p *prober[T]) flatness(out *ProbeFlatness, gradSq float64) error {
	s, n := p.o.s, &out.Numbers
	if gradSq > 0 {
		p.o.Product(p.a, p.o.Grad())
		n.Set("batch_sharpness", s.Dot(p.a, p.o.Grad())/gradSq)
	}
	if err := p.trace(n); err != nil {
		return err
	}
	top, err := p.extremes(p.c.Top, 1, "largest eigenvalues")
	for _, e := range top {
		out.TopEigenvalues = append(out.TopEigenvalues, e.value)
		out.TopResiduals = append(out.TopResiduals, e.residual)
	}
	if len(top) > 0 {
		n.Set("lambda_max", top[0].value)
		n.Set("lambda_max_residual", top[0].residual)
	}
	if err != nil && !errors.Is(err, ErrNotConverged) {
		return err
	}
	bottom, err2 := p.extremes(1, -1, "smallest eigenvalue")
	if len(bottom) > 0 {
		n.Set("lambda_min", bottom[0].value)
		n.Set("lambda_min_residual", bottom[0].residual)
	}
	return errors.Join(err, err2)
}

// trace is exact, or the mean over independent probes with its standard error.
func (p *prober[T]) trace(out *record.Numbers) error {
	if p.c.ExactTrace {
		sum := 0.0
		for i := range p.a {
			if err := p.tick("exact trace"); err != nil {
				return err
			}
			clear(p.a)
			p.a[i] = 1
			p.o.Product(p.b, p.a)
			sum += float64(p.b[i])
		}
		out.Set("trace", sum)
		out.Set("trace_stderr", 0)
		return nil
	}
	values := make([]float64, p.c.Probes)
	for k := range values {
		if err := p.tick("trace"); err != nil {
			return err
		}
		values[k] = quadratic(p.o, p.c.Seed, uint64(k), p.a, p.b)
	}
	m, stderr, ok := mean(values)
	out.Set("trace", m)
	if ok {
		out.Set("trace_stderr", stderr)
	}
	return nil
}

// extremes returns the k largest eigenvalues of sign·H as values of H, with
// the residuals of their vectors by one more product each.
func (p *prober[T]) extremes(k int, sign float64, stage string) ([]estimate, error) {
	l := &lanczos[T]{
		o: p.o, sign: sign, k: k, basis: 2*k + 28, tol: p.c.Tol, maxSteps: p.c.MaxProducts,
		tick: func() error { return p.tick(stage) },
	}
	// A random start has a component along every eigenvector.
	start := rng.New(rng.Probes, p.c.Seed, 1<<40)
	for i := range p.a {
		p.a[i] = T(start.NormFloat64())
	}
	pairs, err := l.run(p.a)
	var list []estimate
	for _, e := range pairs {
		p.o.Product(p.b, e.Vector)
		est := estimate{value: p.o.s.Dot(e.Vector, p.b)}
		p.o.s.Axpy(-est.value, e.Vector, p.b)
		est.residual = math.Sqrt(p.o.s.NormSq(p.b))
		list = append(list, est)
	}
	if err == nil && l.steps >= p.c.MaxProducts && !l.converged {
		err = fmt.Errorf("%w: %s after %d products (residual %.2g)", ErrNotConverged, stage, l.steps, list[len(list)-1].residual)
	}
	return list, err
}

func (p *prober[T]) tick(stage string) error {
	p.c.Progress(stage, p.o.Products())
	return p.ctx.Err()
}
