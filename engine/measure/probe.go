package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"sgflow/engine"
	"sgflow/engine/record"
)

// ProbeConfig says how thoroughly Probe measures. Zero values are the defaults.
type ProbeConfig struct {
	Top         int     // largest eigenvalues to report; default 1
	Probes      int     // Hutchinson probes for the trace; default 32
	ExactTrace  bool    // the trace by one product for every parameter
	Tol         float64 // relative residual of eigenpairs; default 1e-5 (float64: 1e-7)
	MaxProducts int     // most products for the eigenvalues at either end; default 1000
	Seed        uint64
	Batch       int // size of the batches for sharpness over many; default DefaultBatch
	Reach       Reach
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

	m := newMemory(s.NewVector)
	point := &Point[T]{ctx: ctx, o: o, c: &Config{Select: c.Select, Seed: c.Seed, Converge: true, Tol: c.Tol, MaxProducts: c.MaxProducts, Window: c.Probes, Batch: c.Batch, Reach: c.Reach}, memory: &m}
	point.report = func(stage string) { c.Progress(stage, o.Products()) }
	point.begin(len(indices))
	point.found(loss, correct)
	if total, ok := point.Noise(); ok {
		r.Layers = recordLayers(s, point.layers, nil)
	} else {
		r.Noise.Set("grad_norm_sq", total.NormSq)
	}
	measure := func(q *Quantity) error {
		point.report(q.Name)
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
	var err error
	if s.Program().HasProduct() && c.Select.Flatness() {
		p := &prober[T]{ctx: ctx, point: point, c: c}
		if err = p.flatness(&r.Flatness); err != nil && !errors.Is(err, ErrNotConverged) {
			return r, err
		}
	}
	// What the prober measured in its own, more thorough way is not measured
	// again.
	point.out = &r.Flatness.Numbers
	for _, q := range c.Select.of(Flatness) {
		if r.Flatness.Numbers.Get(q.LogKeys()[0]).IsZero() && q.Needs&Training == 0 {
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
	if c.Batch < 1 {
		c.Batch = DefaultBatch
	}
	c.Reach.setDefaults()
	if c.Select.list == nil {
		c.Select, _ = ParseSelection("all") // which is a selection
	}
	if c.Progress == nil {
		c.Progress = func(string, int) {}
	}
}

// prober measures in Probe's thorough way what training follows from step to
// step.
type prober[T engine.Float] struct {
	ctx   context.Context
	point *Point[T]
	c     ProbeConfig
}

func (p *prober[T]) flatness(out *ProbeFlatness) error {
	n, sel := &out.Numbers, p.c.Select
	if gg := p.point.gradNormSq(); sel.Has(batchSharpness.Name) && gg > 0 {
		_, gHg := p.point.GradientProduct()
		n.Set("batch_sharpness", gHg/gg)
	}
	if needs(sel.list)&TraceProbes != 0 {
		if err := p.trace(n, sel.Has(trace.Name)); err != nil {
			return err
		}
	}
	if !sel.Has(lambdaMax.Name) {
		return nil
	}
	top, err := p.extremes(p.c.Top, false, "largest eigenvalues")
	for _, e := range top {
		out.TopEigenvalues = append(out.TopEigenvalues, e.Value)
		out.TopResiduals = append(out.TopResiduals, e.Residual)
	}
	if len(top) > 0 {
		n.Set("lambda_max", top[0].Value)
		n.Set("lambda_max_residual", top[0].Residual)
	}
	if err != nil && !errors.Is(err, ErrNotConverged) {
		return err
	}
	bottom, err2 := p.extremes(1, true, "smallest eigenvalue")
	if len(bottom) > 0 {
		n.Set("lambda_min", bottom[0].Value)
		n.Set("lambda_min_residual", bottom[0].Residual)
	}
	return errors.Join(err, err2)
}

// trace is exact, or the mean over independent probes with its standard error.
// It is the point's afterwards.
func (p *prober[T]) trace(out *record.Numbers, log bool) error {
	var t TraceEstimate
	var err error
	if p.c.ExactTrace {
		var trace, frobeniusSq float64
		trace, frobeniusSq, err = ExactTrace[T](p.ctx, p.point.o, p.point.progress("exact trace"))
		t = TraceEstimate{Trace: exactly(trace), FrobeniusSq: exactly(frobeniusSq)}
	} else {
		t, err = Hutchinson[T](p.ctx, p.point.o, TraceConfig{Probes: p.c.Probes, Seed: p.c.Seed, Progress: p.point.progress("trace")})
	}
	if err != nil {
		return err
	}
	p.point.setTrace(t)
	if !log {
		return nil
	}
	out.Set("trace", t.Trace.Value)
	if e, ok := t.Trace.Stderr.Get(); ok {
		out.Set("trace_stderr", e)
	}
	return nil
}

func (p *prober[T]) extremes(k int, smallest bool, stage string) ([]Eigenpair[T], error) {
	pairs, err := Eigenpairs[T](p.ctx, p.point.o, EigenConfig{
		K: k, Smallest: smallest, Tol: p.c.Tol, MaxProducts: p.c.MaxProducts, Seed: p.c.Seed, Progress: p.point.progress(stage),
	})
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stage)
	}
	return pairs, err
}
