package analysis

import "sgflow/engine/record"

// Phases are the start, the middle and the end of a run: the first tenth of its
// steps, the tenth around the middle and the last tenth, each rounded up to whole
// steps.
type Phases [3]Phase

// The phases, as indices.
const (
	Start = iota
	Middle
	End
)

// PhaseNames are the phases' names.
var PhaseNames = [3]string{"start", "middle", "end"}

// Phase is what was measured in a part of a run: means over the steps at which it
// was, by the names of the log. "noise_scale" is the ratio of the means of
// "grad_var_trace" and "grad_norm_sq_unbiased" (McCandlish et al. 2018,
// arXiv:1812.06162, B_simple, numerator and denominator averaged apart as in
// appendix A.1), absent where the latter is not positive.
type Phase struct {
	First, Last int // steps, both within
	Means       record.Numbers
}

// In returns the mean of the named number in a phase, for [Group.Mean].
func In(phase int, name string) func(*Run) record.Opt {
	return func(r *Run) record.Opt { return r.Phases[phase].Means.Get(name) }
}
