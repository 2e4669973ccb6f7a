package engine

import (
	"fmt"

	"sgflow/engine/cpu"
	"sgflow/engine/cuda/driver"
	"sgflow/engine/optim"
	"sgflow/engine/program"
	"sgflow/engine/rng"
)

// Float is the type of a run: float32 or float64.
type Float interface{ float32 | float64 }

// Config says how a Session runs a Program.
type Config struct {
	Batch   int // the largest number of samples in one run
	Threads int // of the processor; 0 is all cores
	// CUDA is the device to compute on, in float32; nil is the processor.
	CUDA *driver.Device
	TF32 bool // round the factors of its large products to TF32, for tensor cores
}

// Session runs a Program: it owns parameters, gradient and activations. It is
// not for concurrent use; slices it returns are its own memory and stay valid
// until Close.
type Session[T Float] struct {
	program *program.Program
	machine backend[T]
	started []started
}

// NewSession plans and allocates everything a run needs. All parameters are
// zero.
func NewSession[T Float](p *program.Program, c Config) (*Session[T], error) {
	if c.Batch < 1 {
		return nil, fmt.Errorf("engine: batch size %d: it must be at least 1", c.Batch)
	}
	var m backend[T]
	var err error
	if c.CUDA != nil {
		m, err = newCUDA[T](p, c)
	} else {
		m, err = cpu.New[T](p, cpu.Options{Capacity: c.Batch, Threads: c.Threads})
	}
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	return &Session[T]{program: p, machine: m}, nil
}

// Close frees the session and stops its workers.
func (s *Session[T]) Close() { s.machine.Close() }

// Err returns the first error of the device that s computes on, nil where there was
// none. After one, nothing is computed and numbers are NaN. The processor has none.
func (s *Session[T]) Err() error {
	if d, ok := s.machine.(device[T]); ok {
		return d.Err()
	}
	return nil
}

// NewVector returns a vector of n zeros near to where s computes: operations on it
// copy nothing, while other slices are copied to a GPU and back at each. It lives
// until Close.
func (s *Session[T]) NewVector(n int) []T {
	if d, ok := s.machine.(device[T]); ok {
		return d.NewVector(n)
	}
	return make([]T, n)
}

// Program returns the program that s runs.
func (s *Session[T]) Program() *program.Program { return s.program }

// Capacity returns the largest number of samples in one run.
func (s *Session[T]) Capacity() int { return s.machine.Capacity() }

// Params returns θ, all parameters flat in the program's order. Writing to it
// sets them.
func (s *Session[T]) Params() []T { return s.machine.Theta() }

// Grad returns ḡ, the gradient of the mean loss by the last Gradient, in the
// layout of Params.
func (s *Session[T]) Grad() []T { return s.machine.Grad() }

// Input returns the k-th input with room for Capacity samples, row-major. A
// run of n samples reads the first n rows.
func (s *Session[T]) Input(k int) []T { return s.machine.Input(k) }

// Forward computes the loss of the first n samples.
func (s *Session[T]) Forward(n int) { s.machine.Forward(n) }

// Gradient computes the loss of the first n samples and its gradient, and
// with noise the per-sample gradient norms too.
func (s *Session[T]) Gradient(n int, noise bool) { s.machine.Gradient(n, noise) }

// Product computes out = H·v, H being the Hessian of the mean loss of the
// samples of the last Gradient at the parameters it saw. It reuses that run's
// activations, so parameters and inputs must not have changed since. out and
// v have the length of Params and must not overlap.
func (s *Session[T]) Product(out, v []T) { s.machine.Product(out, v) }

// Loss returns the mean loss of the last run.
func (s *Session[T]) Loss() float64 { return s.machine.Loss() }

// Correct returns the number of samples of the last run that were classified
// rightly; −1 where the program knows no logits.
func (s *Session[T]) Correct() int { return s.machine.Correct() }

// Logits returns the logits of the last run's n samples, n×classes.
func (s *Session[T]) Logits(n int) []T { return s.machine.Logits(n) }

// SampleNorms returns ‖gᵢ‖² of every sample of the last Gradient with noise,
// for the k-th parameter; nil if no rule gives it for that parameter.
func (s *Session[T]) SampleNorms(k int) []float64 { return s.machine.Norms(k) }

// Update moves the parameters by one optimizer step along the gradient.
// velocity has the length of Params, or is nil for an update without momentum.
func (s *Session[T]) Update(velocity []T, u optim.Update) { s.machine.Step(velocity, u) }

// Adam moves the parameters by one step of Adam along the gradient (see
// optim.AdamStep). The moments have the length of Params.
func (s *Session[T]) Adam(first, second []T, u optim.AdamUpdate) { s.machine.Adam(first, second, u) }

// Dot returns Σ aᵢbᵢ, accumulated in float64 in a fixed order.
func (s *Session[T]) Dot(a, b []T) float64 { return s.machine.Dot(a, b) }

// DistanceSq returns Σ (aᵢ − bᵢ)², accumulated in float64 in a fixed order.
func (s *Session[T]) DistanceSq(a, b []T) float64 { return s.machine.DistanceSq(a, b) }

// Exchange stores old = x and returns in the same pass Σ oldᵢxᵢ, with what old
// was, and Σ xᵢ², each as Dot does.
func (s *Session[T]) Exchange(old, x []T) (dot, normSq float64) { return s.machine.Exchange(old, x) }

// ExchangeParts does for every parameter's part of old and x what Exchange does, and
// stores the results by parameter. old may be nil, then dots are 0.
func (s *Session[T]) ExchangeParts(dots, normSqs []float64, old, x []T) {
	if d, ok := s.machine.(device[T]); ok {
		d.ExchangeParts(dots, normSqs, old, x)
		return
	}
	for k, p := range s.program.Params {
		part := x[p.Offset : p.Offset+p.Size]
		if old == nil {
			dots[k], normSqs[k] = 0, s.NormSq(part)
		} else {
			dots[k], normSqs[k] = s.Exchange(old[p.Offset:p.Offset+p.Size], part)
		}
	}
}

// Signs fills x with the Rademacher probe of the given stream (see rng.Signs).
func (s *Session[T]) Signs(x []T, stream rng.Stream) { s.machine.Signs(x, stream) }

// NormSq returns Σ xᵢ², accumulated in float64 in a fixed order.
func (s *Session[T]) NormSq(x []T) float64 { return s.machine.NormSq(x) }

// Axpy computes y += alpha·x.
func (s *Session[T]) Axpy(alpha float64, x, y []T) { s.machine.Axpy(alpha, x, y) }

// Copy stores x in y, of the same length.
func (s *Session[T]) Copy(y, x []T) {
	if d, ok := s.machine.(device[T]); ok {
		d.Copy(y, x)
		return
	}
	copy(y, x)
}

// Scale computes x *= alpha.
func (s *Session[T]) Scale(alpha float64, x []T) { s.machine.Scale(alpha, x) }
