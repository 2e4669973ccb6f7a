package optim

import (
	"fmt"
	"math"
	"slices"
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
	// Adam scales the step of each parameter by the root of its gradient's second
	// moment, with the decay in the gradient (see AdamStep).
	Adam = "adam"
	// AdamW is Adam with decoupled weight decay.
	AdamW = "adamw"
	// SGLD adds normal noise ξ to the step of SGD, with the decay in the gradient:
	// θ ← θ − ηg + √(2ηT)·ξ (Welling and Teh 2011, eq. 4). With exact gradients and
	// as η goes to 0 it samples the density exp(−L(θ)/T), decay and all; the
	// posterior exp(−N·L(θ)) of N samples is that of T = 1/N.
	SGLD = "sgld"
	// SAM is SGD along the gradient at the point of steepest ascent of the batch's
	// loss within the radius ρ, and ASAM with the radius measured in units of the
	// parameters' sizes: sharpness-aware minimisation (Foret et al. 2021,
	// arXiv:2010.01412; Kwon et al. 2021, arXiv:2102.11600; measure.Ascend).
	SAM  = "sam"
	ASAM = "asam"
)

// optimizers lists the names that Config.Name takes.
var optimizers = []string{SGD, SGDW, Adam, AdamW, SGLD, SAM, ASAM}

// Config is an optimizer as a user asks for it. The zero value is plain SGD.
// Settings that belong to other optimizers than the named one have no effect, but
// for a momentum where there is none.
type Config struct {
	// Name is one of the constants above; empty is "sgd".
	Name string
	// Momentum m of the SGDs and SAMs is in [0, 1); 0 is none, and needs no velocity.
	Momentum float64
	// Nesterov looks one momentum step ahead; it needs Momentum > 0.
	Nesterov bool
	// WeightDecay λ ≥ 0.
	WeightDecay float64
	// Beta1 and Beta2, of the Adams, are what the moments of the gradient keep
	// from step to step, in [0, 1); Epsilon > 0 is added to the root of the second.
	Beta1, Beta2, Epsilon float64
	// Temperature T > 0, of SGLD.
	Temperature float64
	// Rho is the radius ρ of the SAMs; 0 is the papers', 0.05 and 0.5.
	Rho float64
}

// The settings of the Adams that the paper and PyTorch have.
const (
	DefaultBeta1   = 0.9
	DefaultBeta2   = 0.999
	DefaultEpsilon = 1e-8
)

// IsAdam reports whether steps are those of AdamStep.
func (c Config) IsAdam() bool { return c.Name == Adam || c.Name == AdamW }

// IsSGD reports whether steps follow the batch's gradient at θ, or the velocity that
// momentum makes of it, so that the noise of the batch has the temperature of SGD.
func (c Config) IsSGD() bool { return c.Name == "" || c.Name == SGD || c.Name == SGDW }

// IsSAM reports whether steps follow the gradient at a point of ascent.
func (c Config) IsSAM() bool { return c.Name == SAM || c.Name == ASAM }

// Plain reports whether the update is −lr·ḡ and nothing else.
func (c Config) Plain() bool { return c.IsSGD() && c.Momentum == 0 && c.WeightDecay == 0 }

// Validate returns an error that names the first setting that makes no
// optimizer, and nil where all are sound.
func (c Config) Validate() error {
	switch {
	case c.Name != "" && !slices.Contains(optimizers, c.Name):
		return fmt.Errorf("optim: optimizer %q is unknown: did you mean %q? (one of %s)",
			c.Name, nearest.Name(c.Name, optimizers), strings.Join(optimizers, ", "))
	case !(c.Momentum >= 0 && c.Momentum < 1):
		return fmt.Errorf("optim: momentum %v is out of range: it must be at least 0 and below 1", c.Momentum)
	case !(c.WeightDecay >= 0) || math.IsInf(c.WeightDecay, 0):
		return fmt.Errorf("optim: weight decay %v is out of range: it must be finite and at least 0", c.WeightDecay)
	case c.Nesterov && c.Momentum == 0:
		return fmt.Errorf("optim: nesterov needs momentum: set a momentum above 0, such as 0.9")
	case c.IsAdam():
		return c.validateAdam()
	case c.IsSAM() && (!(c.Rho >= 0) || math.IsInf(c.Rho, 0)):
		return fmt.Errorf("optim: radius rho %v is out of range: it must be finite and above 0, or 0 for the paper's", c.Rho)
	case c.Name == SGLD && c.Momentum != 0:
		return fmt.Errorf("optim: sgld has no momentum, and momentum is %v: leave it out", c.Momentum)
	case c.Name == SGLD && (!(c.Temperature > 0) || math.IsInf(c.Temperature, 0)):
		return fmt.Errorf("optim: sgld temperature %v is out of range: it must be finite and above 0; 1/N samples the posterior of N samples", c.Temperature)
	}
	return nil
}

// validateAdam checks the settings of the Adams.
func (c Config) validateAdam() error {
	share := func(x float64) bool { return x >= 0 && x < 1 }
	switch {
	case c.Momentum != 0:
		return fmt.Errorf("optim: %s has no momentum of its own, and momentum is %v: its first moment keeps beta1 = %v", c.Name, c.Momentum, c.Beta1)
	case !share(c.Beta1):
		return fmt.Errorf("optim: beta1 %v is out of range: it must be at least 0 and below 1", c.Beta1)
	case !share(c.Beta2):
		return fmt.Errorf("optim: beta2 %v is out of range: it must be at least 0 and below 1", c.Beta2)
	case !(c.Epsilon > 0) || math.IsInf(c.Epsilon, 0):
		return fmt.Errorf("optim: epsilon %v is out of range: it must be finite and above 0", c.Epsilon)
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

// Update returns the numbers for one step along the gradient at learning rate lr.
func (c Config) Update(lr float64) Update {
	return Update{
		LR:          lr,
		Momentum:    c.Momentum,
		WeightDecay: c.WeightDecay,
		Nesterov:    c.Nesterov,
		Decoupled:   c.Name == SGDW,
	}
}

// Diffusion returns √(2ηT), the standard deviation of the noise that SGLD adds to
// each parameter at learning rate lr; 0 for other optimizers.
func (c Config) Diffusion(lr float64) float64 {
	if c.Name != SGLD {
		return 0
	}
	return math.Sqrt(2 * lr * c.Temperature)
}

// AdamUpdate returns the numbers for one step of an Adam at learning rate lr;
// step counts from 0.
func (c Config) AdamUpdate(lr float64, step int) AdamUpdate {
	return AdamUpdate{
		LR: lr, Beta1: c.Beta1, Beta2: c.Beta2, Epsilon: c.Epsilon,
		WeightDecay: c.WeightDecay, Decoupled: c.Name == AdamW, Step: step + 1,
	}
}
