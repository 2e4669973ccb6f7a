package measure

import (
	"context"
	"math"

	"sgflow/engine"
	"sgflow/engine/record"
	"sgflow/engine/rng"
)

// SpectrumConfig says how finely Spectrum resolves the density of eigenvalues.
// Zero values are the defaults.
type SpectrumConfig struct {
	Order  int     // Lanczos steps for each probe; default 80
	Probes int     // random probes; default 10
	Sigma  float64 // standard deviation of the Gaussian broadening; default below
	Points int     // cells of the grid; default 2048
	Seed   uint64
	// Progress, if not nil, is called before every product with how many of at
	// most total are done.
	Progress func(done, total int)
}

// The defaults of SpectrumConfig.
const (
	DefaultOrder          = 80
	DefaultSpectrumProbes = 10
	DefaultPoints         = 2048
)

// relativeSigma is the default Sigma as a share of the range that holds 0 and
// all nodes: √1e-5, which on a range of 1 is the σ² = 1e-5 of the code published
// with Ghorbani et al. 2019.
const relativeSigma = 0.0031622776601683794

// Quadrature is the Gauss quadrature that Lanczos iteration from one unit
// vector v makes: vᵀf(A)v ≈ Σᵢ τᵢ f(θᵢ), exact for polynomials of degree up to
// 2m−1 with m nodes (Golub & Welsch 1969). Nodes θᵢ ascend, weights τᵢ are ≥ 0
// and sum to 1.
type Quadrature struct {
	Nodes   []float64 `json:"nodes"`
	Weights []float64 `json:"weights"`
}

// Sum returns Σᵢ τᵢ f(θᵢ).
func (q Quadrature) Sum(f func(float64) float64) float64 {
	sum := 0.0
	for i, x := range q.Nodes {
		sum += q.Weights[i] * f(x)
	}
	return sum
}

// SpectrumResult is the distribution of the P eigenvalues of a symmetric matrix
// A, normally the Hessian, as `sgflow spectrum` prints it. Errors are standard
// errors over the probes, absent for a single one.
type SpectrumResult struct {
	Loss    float64 `json:"loss"`
	Samples int     `json:"samples"`
	Params  int     `json:"params"`
	Order   int     `json:"order"` // steps asked for; a probe whose space is smaller has fewer nodes
	Probes  int     `json:"probes"`
	HV      int     `json:"hv"` // products in all

	// The largest and smallest node of all, with the residuals ‖Au − θu‖ of
	// their unit vectors u: an eigenvalue lies within the residual.
	LambdaMax         float64 `json:"lambda_max"`
	LambdaMaxResidual float64 `json:"lambda_max_residual"`
	LambdaMin         float64 `json:"lambda_min"`
	LambdaMinResidual float64 `json:"lambda_min_residual"`

	Trace             float64    `json:"trace"` // tr A
	TraceStderr       record.Opt `json:"trace_stderr,omitzero"`
	FrobeniusSq       float64    `json:"frobenius_sq"` // ‖A‖_F² = tr A²
	FrobeniusSqStderr record.Opt `json:"frobenius_sq_stderr,omitzero"`

	Density
	Quadratures []Quadrature `json:"quadratures"` // one for each probe
}

// TraceOf estimates tr f(A) = P·E[vᵀf(A)v] by the mean over the probes'
// quadratures, with its standard error, which is absent for a single probe.
// The error is that of the random probes; that of the quadrature, none for
// polynomials of degree below twice the order, is not in it.
func (r *SpectrumResult) TraceOf(f func(float64) float64) (trace float64, stderr record.Opt) {
	values := make([]float64, len(r.Quadratures))
	for k, q := range r.Quadratures {
		values[k] = float64(r.Params) * q.Sum(f)
	}
	m, e, ok := mean(values)
	return m, opt(e, ok)
}

// Spectrum estimates the spectral density of the Hessian of the mean loss of
// the samples at the session's parameters: see SpectrumOf. A loss that is not
// finite ends it with ErrDiverged.
func Spectrum[T engine.Float](ctx context.Context, o *Objective[T], indices []int32, c SpectrumConfig) (*SpectrumResult, error) {
	loss, _ := o.Gradient(indices, false)
	if !finite(loss) {
		return nil, errLoss(loss)
	}
	r, err := SpectrumOf[T](ctx, o, c)
	if err != nil {
		return nil, err
	}
	r.Loss, r.Samples = loss, len(indices)
	return r, nil
}

// SpectrumOf estimates the spectral density of A by stochastic Lanczos
// quadrature (Ubaru, Chen & Saad 2017; Ghorbani, Krishnan & Xiao 2019,
// arXiv:1901.10159, algorithm 1). For each probe z_k, of independent entries
// ±1, Order steps of Lanczos iteration with full reorthogonalisation from
// v = z_k/√P give the projection T of A; with the eigenpairs T = S·diag(θ)·Sᵀ,
//
//	vᵀf(A)v ≈ Σᵢ τᵢ f(θᵢ),  τᵢ = S₁ᵢ²
//
// the first component of each eigenvector (a column of S) squared. The density
// is the mean over the probes, broadened: see Density. The probes are those of
// Hutchinson's estimator of the same seed. Loss and Samples are left out.
//
// It takes Order·Probes products and the memory of Order + 1 vectors of
// parameters. A cancelled context ends it with the context's error, a product
// that is not finite with ErrDiverged.
func SpectrumOf[T engine.Float](ctx context.Context, a Operator[T], c SpectrumConfig) (*SpectrumResult, error) {
	c.setDefaults()
	p := size(a)
	r := &SpectrumResult{
		Params: p, Order: c.Order, Probes: c.Probes,
		LambdaMax: math.Inf(-1), LambdaMin: math.Inf(1),
	}
	probe := 0
	steps := min(c.Order, p)
	l := &lanczos[T]{o: a, sign: 1, basis: steps}
	l.tick = func() error {
		c.Progress(probe*steps+l.steps, c.Probes*steps)
		return ctx.Err()
	}
	for ; probe < c.Probes; probe++ {
		l.prepare(p)
		rng.Signs(l.w, rng.New(rng.Probes, c.Seed, uint64(probe)), 0)
		q, residuals, err := l.quadrature(l.w)
		if err != nil {
			return nil, err
		}
		r.HV += l.steps
		r.Quadratures = append(r.Quadratures, q)
		last := len(q.Nodes) - 1
		if x := q.Nodes[last]; x > r.LambdaMax {
			r.LambdaMax, r.LambdaMaxResidual = x, residuals[last]
		}
		if x := q.Nodes[0]; x < r.LambdaMin {
			r.LambdaMin, r.LambdaMinResidual = x, residuals[0]
		}
	}
	r.Trace, r.TraceStderr = r.TraceOf(func(x float64) float64 { return x })
	r.FrobeniusSq, r.FrobeniusSqStderr = r.TraceOf(func(x float64) float64 { return x * x })
	if c.Sigma <= 0 {
		c.Sigma = defaultSigma(r.LambdaMin, r.LambdaMax)
	}
	r.Density = NewDensity(r.Quadratures, c.Sigma, c.Points)
	return r, nil
}

func (c *SpectrumConfig) setDefaults() {
	if c.Order < 1 {
		c.Order = DefaultOrder
	}
	if c.Probes < 1 {
		c.Probes = DefaultSpectrumProbes
	}
	if c.Points < 1 {
		c.Points = DefaultPoints
	}
	if c.Progress == nil {
		c.Progress = func(int, int) {}
	}
}

// defaultSigma is a fixed share of the range that holds 0 and the spectrum, so
// that a Hessian c times as large has a density c times as wide.
func defaultSigma(least, largest float64) float64 {
	if scale := math.Max(largest, 0) - math.Min(least, 0); scale > 0 {
		return relativeSigma * scale
	}
	return relativeSigma // of the zero matrix, any will do
}

// quadrature iterates without restarts until the basis is full or spans an
// invariant space, and returns the Gauss quadrature of start, which must not
// be zero, and the residual of each node's Ritz vector.
func (l *lanczos[T]) quadrature(start []T) (Quadrature, []float64, error) {
	l.prepare(len(start))
	l.setVector(0, start, 1/math.Sqrt(l.o.Session().NormSq(start)))
	for m := 1; ; m++ {
		beta, closed, err := l.extend(m - 1)
		if err != nil {
			return Quadrature{}, nil, err
		}
		if !finite(beta) {
			return Quadrature{}, nil, errProduct
		}
		if !closed && m < l.basis {
			l.setVector(m, l.w, 1/beta)
			continue
		}
		nodes, vectors := l.project(m)
		weights, residuals := make([]float64, m), make([]float64, m)
		for i := range m {
			first := vectors.At(0, i) // of the i-th eigenvector: a column
			weights[i] = first * first
			residuals[i] = math.Abs(beta * vectors.At(m-1, i))
		}
		return Quadrature{nodes, weights}, residuals, nil
	}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
