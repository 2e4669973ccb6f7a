package measure

import (
	"errors"
	"fmt"
	"math"
	"time"

	"sgflow/engine"
	"sgflow/engine/record"
)

// Defaults of Config.
const (
	DefaultWindow      = 32
	DefaultTol         = 0.01
	DefaultMaxProducts = 50
)

// Config says what a Monitor measures. Zero values are the defaults.
type Config struct {
	Select Selection
	// Every is the number of steps from one measurement of flatness to the
	// next; noise is measured at every step. With 1, lambda_max is followed
	// from step to step (see eigenStream); with more, each measurement
	// iterates until the residual is at most Tol·|lambda_max| or MaxProducts
	// Hessian-vector products are spent.
	Every       int
	Window      int     // trace is the mean of the last so many probes
	Tol         float64 // relative residual at which an eigenvalue counts as found
	MaxProducts int
	Seed        uint64
	// Subset names fixed samples whose mean loss flatness is measured of; nil
	// means the current batch.
	Subset []int32
}

func (c *Config) setDefaults() {
	if c.Every < 1 {
		c.Every = 1
	}
	if c.Window < 1 {
		c.Window = DefaultWindow
	}
	if c.Tol <= 0 {
		c.Tol = DefaultTol
	}
	if c.MaxProducts < 1 {
		c.MaxProducts = DefaultMaxProducts
	}
}

// ErrDiverged is returned when loss or gradient stop being finite.
var ErrDiverged = errors.New("measure: training diverged")

// Monitor measures what training logs at every step. It is deterministic and
// its state can be saved and restored exactly.
type Monitor[T engine.Float] struct {
	c Config
	o *Objective[T]

	layers  []GradientNoise
	average noiseAverage
	last    []T // the last step's gradient
	hasLast bool
	lastSq  float64

	stream  eigenStream[T]
	hg, tmp []T
	scratch []T
	window  []float64 // the last values of zᵀHz, oldest first
	probes  uint64    // how many probes have been drawn
}

// NewMonitor returns a monitor of the steps taken with o.
func NewMonitor[T engine.Float](o *Objective[T], c Config) *Monitor[T] {
	c.setDefaults()
	m := &Monitor[T]{c: c, o: o, layers: make([]GradientNoise, 0, len(o.s.Program().Params))}
	p := len(o.s.Params())
	if c.Select.Has("grad_cosine") {
		m.last = make([]T, p)
	}
	if c.Select.Flatness() {
		m.stream = newEigenStream[T](p)
		m.hg, m.tmp, m.scratch = make([]T, p), m.stream.d, m.stream.hd // free between its steps
		m.window = make([]float64, 0, c.Window)
	}
	return m
}

// Step computes loss and gradient of the samples and measures what is due.
// It fills out's Samples, Loss, Accuracy, Noise, Flatness, Layers and the
// times of noise and flatness, and leaves ḡ in the objective. The error is
// ErrDiverged, wrapped, where the loss is not finite, or the gradient where
// its noise is measured.
func (m *Monitor[T]) Step(step int, indices []int32, out *record.Step) error {
	out.Noise, out.Flatness, out.Layers = record.Noise{}, record.Flatness{}, out.Layers[:0]
	out.MS = record.MS{}
	due := m.c.Select.Flatness() && step%m.c.Every == 0
	if due && m.c.Subset != nil {
		start := time.Now()
		m.o.Gradient(m.c.Subset, false)
		if finite(m.o.s.NormSq(m.o.Grad())) {
			m.flatness(&out.Flatness)
		}
		out.MS.Flatness = record.Some(milliseconds(start))
	}
	noise := m.c.Select.Noise()
	loss, correct := m.o.Gradient(indices, noise)
	out.Samples, out.Loss = len(indices), loss
	out.Accuracy = opt(float64(correct)/float64(len(indices)), correct >= 0)
	if !finite(loss) {
		return fmt.Errorf("%w: loss %g", ErrDiverged, loss)
	}
	if noise {
		start := time.Now()
		if gradSq := m.noise(out); !finite(gradSq) {
			return fmt.Errorf("%w: loss %g, squared gradient norm %g", ErrDiverged, loss, gradSq)
		}
		out.MS.Noise = record.Some(milliseconds(start))
	}
	if due && m.c.Subset == nil {
		start := time.Now()
		m.flatness(&out.Flatness)
		out.MS.Flatness = record.Some(milliseconds(start))
	}
	return nil
}

func milliseconds(start time.Time) float64 { return float64(time.Since(start)) / 1e6 }

// noise fills the noise of the batch just evaluated and returns ‖ḡ‖².
func (m *Monitor[T]) noise(out *record.Step) (gradSq float64) {
	total, layers, dot := m.o.noise(m.layers[:0], m.last)
	m.layers = layers
	if m.o.normsOK {
		recordNoise(total, &out.Noise)
		m.average.add(total)
		out.Noise.NoiseScaleEMA = opt(m.average.scale())
		out.Layers = recordLayers(m.o.s, layers, out.Layers)
	} else {
		out.Noise.GradNormSq = record.Some(total.NormSq)
	}
	gradSq = total.NormSq
	if m.last != nil {
		if norm := math.Sqrt(gradSq * m.lastSq); m.hasLast && norm > 0 {
			out.Noise.GradCosine = record.Some(dot / norm)
		}
		m.hasLast, m.lastSq = true, gradSq
	}
	m.keepSelected(&out.Noise)
	return gradSq
}

// keepSelected drops what was computed along the way but not asked for.
func (m *Monitor[T]) keepSelected(n *record.Noise) {
	for name, v := range map[string]*record.Opt{
		"grad_norm_sq": &n.GradNormSq, "grad_var_trace": &n.GradVarTrace, "grad_norm_sq_unbiased": &n.GradNormSqUnbiased,
		"noise_scale": &n.NoiseScale, "noise_scale_ema": &n.NoiseScaleEMA, "fisher_trace": &n.FisherTrace, "grad_cosine": &n.GradCosine,
	} {
		if !m.c.Select.Has(name) {
			*v = record.Opt{}
		}
	}
}

// flatness fills the flatness of the samples of the objective's last Gradient.
func (m *Monitor[T]) flatness(out *record.Flatness) {
	s, g := m.o.s, m.o.Grad()
	sel := m.c.Select
	var gg, gHg float64
	if sel.Has("batch_sharpness") || sel.Has("lambda_max") {
		m.o.Product(m.hg, g)
		gg, gHg = s.NormSq(g), s.Dot(g, m.hg)
		if sel.Has("batch_sharpness") && gg > 0 {
			out.BatchSharpness = record.Some(gHg / gg)
		}
	}
	if sel.Has("trace") {
		m.trace(out)
	}
	if sel.Has("lambda_max") {
		est, ok := m.lambdaMax(gg, gHg)
		out.LambdaMax, out.LambdaMaxResidual = opt(est.value, ok), opt(est.residual, ok)
	}
	out.HV = m.o.Products()
}

// trace draws one probe and averages the window.
func (m *Monitor[T]) trace(out *record.Flatness) {
	q := quadratic(m.o, m.c.Seed, m.probes, m.tmp, m.scratch)
	m.probes++
	if len(m.window) == m.c.Window {
		copy(m.window, m.window[1:])
		m.window = m.window[:len(m.window)-1]
	}
	m.window = append(m.window, q)
	tr, stderr, ok := mean(m.window)
	out.Trace, out.TraceStderr = record.Some(tr), opt(stderr, ok)
}

// lambdaMax follows the eigenvalue for one step, or iterates to tolerance.
func (m *Monitor[T]) lambdaMax(gg, gHg float64) (estimate, bool) {
	est, ok := m.stream.step(m.o, m.o.Grad(), m.hg, gg, gHg)
	if !ok || m.c.Every == 1 {
		return est, ok
	}
	for m.o.Products() < m.c.MaxProducts && est.residual > m.c.Tol*math.Abs(est.value) {
		l := lanczos[T]{o: m.o, sign: 1, k: 1, basis: 12, tol: m.c.Tol / 2, maxSteps: m.c.MaxProducts - m.o.Products() - 1}
		if l.maxSteps < 1 {
			break
		}
		pairs, _ := l.run(m.stream.u) // fails only by a tick, and there is none
		copy(m.stream.u, pairs[0].Vector)
		// The pair's own product gives the residual that is reported.
		m.o.Product(m.stream.hd, m.stream.u)
		est.value = m.o.s.Dot(m.stream.u, m.stream.hd)
		m.o.s.Axpy(-est.value, m.stream.u, m.stream.hd)
		est.residual = math.Sqrt(m.o.s.NormSq(m.stream.hd))
	}
	return est, true
}
