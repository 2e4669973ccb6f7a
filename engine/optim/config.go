package optim

import (
	"fmt"
	"math"
	"strings"

	"sgflow/engine/nearest"
)

// The optimizers by name.
const (
	// SGD adds the decay to the gradient, g ← g + λθ, before momentum sees
	// it: L2 regularisation, as torch.optim.SGD.
	SGD = "sgd"
	// SGDW shrinks the parameters beside the gradient step, θ ← θ − ηλθ:
	// decoupled weight decay.
	SGDW = "sgdw"
)

// optimizers lists the names that Config.Name takes.
var optimizers = []string{SGD, SGDW}

// Config is an optimizer as a user asks for it. The zero value is plain SGD.
type Config struct {
	// Name is "sgd" or "sgdw"; empty is "sgd".
	Name string
	// Momentum m is in [0, 1); 0 is none, and needs no velocity.
	Momentum float64
	// Nesterov looks one momentum step ahead; it needs Momentum > 0.
	Nesterov bool
	// WeightDecay λ ≥ 0.
	WeightDecay float64
}

// Plain reports whether the update is −lr·ḡ and nothing else.
func (c Config) Plain() bool { return c.Momentum == 0 && c.WeightDecay == 0 }

// Validate returns an error that names the first setting that makes no
// optimizer, and nil where all are sound.
func (c Config) Validate() error {
	switch {
	case c.Name != "" && c.Name != SGD && c.Name != SGDW:
		return fmt.Errorf("optim: optimizer %q is unknown: did you mean %q? (one of %s)",
			c.Name, nearest.Name(c.Name, optimizers), strings.Join(optimizers, ", "))
	case !(c.Momentum >= 0 && c.Momentum < 1):
		return fmt.Errorf("optim: momentum %v is out of range: it must be at least 0 and below 1", c.Momentum)
	case !(c.WeightDecay >= 0) || math.IsInf(c.WeightDecay, 0):
		return fmt.Errorf("optim: weight decay %v is out of range: it must be finite and at least 0", c.WeightDecay)
	case c.Nesterov && c.Momentum == 0:
		return fmt.Errorf("optim: nesterov needs momentum: set a momentum above 0, such as 0.9")
	}
	return nil
}

// ValidateLR returns an error unless lr can be the base rate of a run: finite
// and at least 0. Zero is allowed: it measures without moving.
func ValidateLR(lr float64) error {
	if !(lr >= 0) || math.IsInf(lr, 0) {
		return fmt.Errorf("optim: learning rate %v is out of range: it must be finite and at least 0", lr)
	}
	return nil
}

// Update returns the numbers for one step at learning rate lr.
func (c Config) Update(lr float64) Update {
	return Update{
		LR:          lr,
		Momentum:    c.Momentum,
		WeightDecay: c.WeightDecay,
		Nesterov:    c.Nesterov,
		Decoupled:   c.Name == SGDW,
	}
}
