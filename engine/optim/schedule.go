package optim

import (
	"fmt"
	"math"
)

// The schedules by name.
const (
	Constant = "constant"
	StepDown = "step"
	Cosine   = "cosine"
	Linear   = "linear"
	OneCycle = "one-cycle"
)

// schedules lists the names that Schedule.Name takes.
var schedules = []string{Constant, StepDown, Cosine, Linear, OneCycle}

// Schedule gives the learning rate of every step. The zero value is a
// constant rate. [ParseSchedule] reads one from text; a caller sets Warmup
// and, for a period in epochs, StepsPerEpoch.
type Schedule struct {
	// Name is "constant", "step", "cosine", "linear" or "one-cycle"; empty
	// is "constant".
	Name string

	// Every k, of "step": the rate is multiplied by Factor after every k
	// steps, or every k epochs where EveryEpochs is set.
	Every       int
	EveryEpochs bool
	// Factor f of "step", above 0.
	Factor float64

	// Final, of "cosine" and "linear", is the share of the base rate that
	// the schedule ends at, in [0, 1].
	Final float64

	// Peak, of "one-cycle", is the share of the run in which the rate rises,
	// in (0, 1); 0 is 0.3.
	Peak float64
	// Div, of "one-cycle": the run starts at the base rate divided by Div
	// (0 is 25), and ends at that starting rate divided by FinalDiv (0 is
	// 10,000).
	Div, FinalDiv float64

	// Warmup is the number of steps in which the rate rises linearly to the
	// schedule. "one-cycle" has its own rise and takes none.
	Warmup int
	// StepsPerEpoch turns Every into steps where EveryEpochs is set.
	StepsPerEpoch int
}

// Validate returns an error that names the first setting that makes no
// schedule, and nil where all are sound. It expects the caller's fields,
// Warmup and StepsPerEpoch, to be set.
func (s Schedule) Validate() error {
	if err := s.validateShape(); err != nil {
		return err
	}
	switch {
	case s.Warmup < 0:
		return fmt.Errorf("optim: warm-up of %d steps: it must be at least 0", s.Warmup)
	case s.Warmup > 0 && s.Name == OneCycle:
		return fmt.Errorf("optim: schedule one-cycle has its own warm-up: leave out the %d warm-up steps", s.Warmup)
	case s.Name == StepDown && s.EveryEpochs && s.StepsPerEpoch < 1:
		return fmt.Errorf("optim: schedule %v counts epochs, and an epoch has %d steps", s, s.StepsPerEpoch)
	}
	return nil
}

// validateShape checks what the text of a schedule fixes.
func (s Schedule) validateShape() error {
	bad := func(what string, value any, want string) error {
		return fmt.Errorf("optim: schedule %s: %s %v: it must be %s", s.name(), what, value, want)
	}
	positive := func(x float64) bool { return x > 0 && !math.IsInf(x, 0) }
	switch s.name() {
	case Constant:
	case StepDown:
		if s.Every < 1 {
			return bad("period", s.Every, "at least 1")
		}
		if !positive(s.Factor) {
			return bad("factor", s.Factor, "finite and above 0")
		}
	case Cosine, Linear:
		if !(s.Final >= 0 && s.Final <= 1) {
			return bad("final share", s.Final, "from 0 to 1")
		}
	case OneCycle:
		peak, div, finalDiv := s.oneCycle()
		if !(peak > 0 && peak < 1) {
			return bad("peak", peak, "above 0 and below 1")
		}
		if !positive(div) {
			return bad("divisor", div, "finite and above 0")
		}
		if !positive(finalDiv) {
			return bad("final divisor", finalDiv, "finite and above 0")
		}
	default:
		return unknownSchedule(s.Name)
	}
	return nil
}

func (s Schedule) name() string {
	if s.Name == "" {
		return Constant
	}
	return s.Name
}

// oneCycle returns the settings of "one-cycle" with its defaults, those of
// torch.optim.lr_scheduler.OneCycleLR, in place of zeros.
func (s Schedule) oneCycle() (peak, div, finalDiv float64) {
	peak, div, finalDiv = 0.3, 25, 1e4
	if s.Peak != 0 {
		peak = s.Peak
	}
	if s.Div != 0 {
		div = s.Div
	}
	if s.FinalDiv != 0 {
		finalDiv = s.FinalDiv
	}
	return peak, div, finalDiv
}

// LR returns the learning rate of step t, counted from 0, in a run of
// totalSteps = T steps at the given base rate: base·w(t)·s(t), where the
// warm-up of W steps is
//
//	w(t) = (t+1)/W for t < W, then 1
//
// and, with p = (t−W)/(T−W) the share done after the warm-up (0 before it)
// and f = Final,
//
//	constant   s = 1
//	step       s = Factor^⌊t/k⌋
//	cosine     s = f + (1−f)·(1 + cos πp)/2
//	linear     s = f + (1−f)·(1 − p)
//
// One-cycle (Smith and Topin 2018, in the cosine form of PyTorch's
// OneCycleLR) rises from base/Div to base over the steps 0 … Peak·T−1 and
// falls to base/(Div·FinalDiv) at step T−1, both along half a cosine.
//
// Steps past the last keep the last value. LR is a pure function, defined for
// every valid schedule and any step and totalSteps.
func (s Schedule) LR(base float64, step, totalSteps int) float64 {
	step = max(step, 0)
	if s.Name == OneCycle {
		return base * s.oneCycleShare(step, totalSteps)
	}
	if step < s.Warmup {
		base *= float64(step+1) / float64(s.Warmup)
	}
	done := 0.0 // p of the equations above
	if after, rest := step-s.Warmup, totalSteps-s.Warmup; after > 0 {
		done = 1
		if after < rest {
			done = float64(after) / float64(rest)
		}
	}
	switch s.Name {
	case StepDown:
		if s.EveryEpochs {
			step /= max(s.StepsPerEpoch, 1)
		}
		return base * math.Pow(s.Factor, float64(step/max(s.Every, 1)))
	case Cosine:
		return base * between(1, s.Final, done)
	case Linear:
		return base * (s.Final + (1-s.Final)*(1-done))
	}
	return base
}

// oneCycleShare returns the rate of "one-cycle" as a share of its peak.
func (s Schedule) oneCycleShare(step, totalSteps int) float64 {
	peak, div, finalDiv := s.oneCycle()
	var (
		first = 1 / div
		last  = first / finalDiv
		end   = float64(totalSteps - 1)
		top   = peak*float64(totalSteps) - 1 // the step of the peak; need not be whole
		t     = min(float64(step), end)
	)
	switch {
	case top > 0 && t <= top:
		return between(first, 1, t/top)
	case end > top:
		return between(1, last, (t-top)/(end-top))
	}
	return last // a run of no steps
}

// between goes from a at p = 0 to b at p = 1 along half a cosine.
func between(a, b, p float64) float64 {
	return b + (a-b)*(1+math.Cos(math.Pi*p))/2
}
