package record

// Step is a line of steps.jsonl: what was measured at one step, before its
// update. What was not measured is absent, and so is a group with nothing in
// it. What the numbers in the groups mean is said by the quantities of package
// measure.
type Step struct {
	Step     int     `json:"step"`    // counted from 0
	Epoch    int     `json:"epoch"`   // counted from 0
	Samples  int     `json:"samples"` // in the batch
	LR       float64 `json:"lr"`
	Loss     float64 `json:"loss"`              // mean over the batch
	Accuracy Opt     `json:"accuracy,omitzero"` // share of the batch classified rightly

	// The slices of the groups are the caller's, and may be used again for the
	// next step.
	Noise    Numbers `json:"noise,omitempty"`    // of the batch's gradient
	Flatness Numbers `json:"flatness,omitempty"` // of the loss, with "hv", the Hessian-vector products it took
	Layers   Layers  `json:"layers,omitempty"`   // in the model's order
	MS       Numbers `json:"ms,omitempty"`       // where the time went, in milliseconds
	Bytes    Numbers `json:"bytes,omitempty"`    // what each quantity keeps in memory from step to step, where it does
}

// Layer is what was measured of one parameter.
type Layer struct {
	Name    string // as in the model: "fc1.weight"
	Numbers Numbers
}

// Layers is a JSON object of layers by name, in the order of the slice.
type Layers []Layer

// Epoch is a line of epochs.jsonl.
type Epoch struct {
	Epoch int `json:"epoch"` // counted from 0
	// Step is the number of the epoch's last step, counted from 0 over the
	// run: Resume keeps the line if that step is kept. Log an epoch before
	// the checkpoint that follows it.
	Step          int `json:"step"`
	TrainLoss     Opt `json:"train_loss,omitzero"`
	TrainAccuracy Opt `json:"train_accuracy,omitzero"`
	TestLoss      Opt `json:"test_loss,omitzero"`
	TestAccuracy  Opt `json:"test_accuracy,omitzero"`
	Averaged
	Seconds float64 `json:"seconds"`
}

// scalar is one number of a line with the tag TensorBoard shows it under; the
// part of the tag after the last slash is its JSON key.
type scalar struct {
	tag   string
	value Opt
}

// The methods named scalars list the numbers of a line that are fields, in the
// order of their keys: the one list of them, for the lines and the events
// alike.

func (s *Step) scalars() [3]scalar {
	return [...]scalar{
		{"lr", Some(s.LR)},
		{"loss", Some(s.Loss)},
		{"accuracy", s.Accuracy},
	}
}

// group is an object of numbers of a step's line; its name is also the first
// part of the tags of its numbers.
type group struct {
	name   string
	values Numbers
}

func (s *Step) groups() [2]group { return [...]group{{"noise", s.Noise}, {"flatness", s.Flatness}} }

func (e *Epoch) scalars() [9]scalar {
	return [...]scalar{
		{"epoch/train_loss", e.TrainLoss},
		{"epoch/train_accuracy", e.TrainAccuracy},
		{"epoch/test_loss", e.TestLoss},
		{"epoch/test_accuracy", e.TestAccuracy},
		{"epoch/ema_test_loss", e.EMATestLoss},
		{"epoch/ema_test_accuracy", e.EMATestAccuracy},
		{"epoch/swa_test_loss", e.SWATestLoss},
		{"epoch/swa_test_accuracy", e.SWATestAccuracy},
		{"epoch/seconds", Some(e.Seconds)},
	}
}
