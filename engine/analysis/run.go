package analysis

import "sgflow/engine/record"

// Run is a training run as the analysis sees it.
type Run struct {
	Name    string
	Fixed   []Field // what makes its problem: model, data, loss, …
	Setting Setting
	Seed    uint64
	Params  int
	Steps   int     // updates made
	Seconds float64 // of training; 0 where unknown
	// Ended says that the run came to its end; one that did not has no results,
	// and Error says why, where that is known.
	Ended  bool
	Error  string
	Final  Final
	Phases Phases
	// Loss and Accuracy are the training batch's at each step, before the step's
	// update; empty where the log is missing, Accuracy also where it was not
	// measured.
	Loss, Accuracy []float64
	// Noise is what was measured of the gradient's noise at each step; empty where
	// the log is missing.
	Noise []NoiseAt
	// Evaluations of the test set, in their order.
	Evaluations []Evaluation
	// Until is the target that the run was to stop at, as [Target.String] has it,
	// and Reached whether it did.
	Until   string
	Reached bool
}

// NoiseAt is the noise of the gradient at a step: tr Σ̂ and the unbiased |G|², both
// there or neither.
type NoiseAt struct{ VarTrace, NormSq record.Opt }

// Evaluation is an evaluation of the test set.
type Evaluation struct {
	Steps          int // updates made before it
	Loss, Accuracy record.Opt
}

// Field is a named setting, as text.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Setting is what a sweep varies. The seed is no part of it.
type Setting struct {
	Batch    int     `json:"batch"`
	LR       float64 `json:"lr"`
	Momentum float64 `json:"momentum"`
	// Epochs or Steps is the length that was asked for; the other is 0.
	Epochs int `json:"epochs,omitempty"`
	Steps  int `json:"steps,omitempty"`
}

// Temperature returns lr/(batch·(1 − momentum)), the scale of the noise of SGD's
// stationary distribution (Mandt et al. 2017, arXiv:1704.04289; Jastrzębski et
// al. 2017, arXiv:1711.04623).
func (s Setting) Temperature() float64 {
	return s.LR / (float64(s.Batch) * (1 - s.Momentum))
}

// Final is how a run ended.
type Final struct {
	TrainLoss     record.Opt // mean over the batches of the last epoch
	TrainAccuracy record.Opt
	TestLoss      record.Opt // after the last step
	TestAccuracy  record.Opt
}

// Gap returns the generalisation gap, test loss − training loss.
func (f Final) Gap() record.Opt { return difference(f.TestLoss, f.TrainLoss) }

// AccuracyGap returns training accuracy − test accuracy.
func (f Final) AccuracyGap() record.Opt { return difference(f.TrainAccuracy, f.TestAccuracy) }

func difference(a, b record.Opt) record.Opt {
	x, okX := a.Get()
	y, okY := b.Get()
	if !okX || !okY {
		return record.Opt{}
	}
	return record.Some(x - y)
}
