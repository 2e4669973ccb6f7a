package record

// Step is a line of steps.jsonl: what was measured at one step, before its
// update. Numbers that were not measured are absent, and so is a group with
// nothing in it. Every number means what the field's comment says, with n
// samples in the batch, gᵢ the gradient of sample i's loss, ḡ their mean and
// H the Hessian of the mean loss.
type Step struct {
	Step     int     `json:"step"`    // counted from 0
	Epoch    int     `json:"epoch"`   // counted from 0
	Samples  int     `json:"samples"` // n
	LR       float64 `json:"lr"`
	Loss     float64 `json:"loss"`              // mean over the batch
	Accuracy Opt     `json:"accuracy,omitzero"` // share of the batch classified rightly

	Noise    Noise    `json:"noise"`
	Flatness Flatness `json:"flatness"`
	// Layers holds parameters in the model's order. The slice is the
	// caller's, and may be used again for the next step.
	Layers Layers `json:"layers"`
	MS     MS     `json:"ms"`
}

// Noise is the noise in the gradient of one batch.
type Noise struct {
	GradNormSq         Opt `json:"grad_norm_sq,omitzero"`          // ‖ḡ‖²
	GradVarTrace       Opt `json:"grad_var_trace,omitzero"`        // tr Σ̂ = Σ‖gᵢ − ḡ‖²/(n−1)
	GradNormSqUnbiased Opt `json:"grad_norm_sq_unbiased,omitzero"` // ‖ḡ‖² − tr Σ̂/n
	NoiseScale         Opt `json:"noise_scale,omitzero"`           // tr Σ̂ / grad_norm_sq_unbiased
	NoiseScaleEMA      Opt `json:"noise_scale_ema,omitzero"`       // the same of exponential averages
	FisherTrace        Opt `json:"fisher_trace,omitzero"`          // Σ‖gᵢ‖²/n
	GradCosine         Opt `json:"grad_cosine,omitzero"`           // cosine between this ḡ and the last
}

// Flatness is the curvature of the loss.
type Flatness struct {
	LambdaMax         Opt `json:"lambda_max,omitzero"`          // largest eigenvalue λ of H
	LambdaMaxResidual Opt `json:"lambda_max_residual,omitzero"` // ‖Hv − λv‖
	Trace             Opt `json:"trace,omitzero"`               // tr H, estimated
	TraceStderr       Opt `json:"trace_stderr,omitzero"`        // its standard error
	BatchSharpness    Opt `json:"batch_sharpness,omitzero"`     // ḡᵀHḡ/‖ḡ‖²
	// HV counts the Hessian-vector products spent on this step's flatness.
	// It is logged, 0 included, wherever the group is.
	HV int `json:"hv"`
}

// Layer is the noise in the gradient of one parameter.
type Layer struct {
	Name         string `json:"-"` // as in the model: "fc1.weight"
	GradNormSq   Opt    `json:"grad_norm_sq,omitzero"`
	GradVarTrace Opt    `json:"grad_var_trace,omitzero"`
}

// Layers is a JSON object of layers by name, in the order of the slice.
type Layers []Layer

// MS is where the time of a step went, in milliseconds.
type MS struct {
	Step     Opt `json:"step,omitzero"` // all of it
	Noise    Opt `json:"noise,omitzero"`
	Flatness Opt `json:"flatness,omitzero"`
}

// Epoch is a line of epochs.jsonl.
type Epoch struct {
	Epoch int `json:"epoch"` // counted from 0
	// Step is the number of the epoch's last step, counted from 0 over the
	// run: Resume keeps the line if that step is kept. Log an epoch before
	// the checkpoint that follows it.
	Step          int     `json:"step"`
	TrainLoss     Opt     `json:"train_loss,omitzero"`
	TrainAccuracy Opt     `json:"train_accuracy,omitzero"`
	TestLoss      Opt     `json:"test_loss,omitzero"`
	TestAccuracy  Opt     `json:"test_accuracy,omitzero"`
	Seconds       float64 `json:"seconds"`
}

// scalar is one number of a line with the tag TensorBoard shows it under; the
// part of the tag after the last slash is its JSON key.
type scalar struct {
	tag   string
	value Opt
}

// The methods named scalars list the numbers of a group in the order of their
// keys: the one list of them, for the lines and the events alike.

func (s *Step) scalars() [3]scalar {
	return [...]scalar{
		{"lr", Some(s.LR)},
		{"loss", Some(s.Loss)},
		{"accuracy", s.Accuracy},
	}
}

func (n *Noise) scalars() [7]scalar {
	return [...]scalar{
		{"noise/grad_norm_sq", n.GradNormSq},
		{"noise/grad_var_trace", n.GradVarTrace},
		{"noise/grad_norm_sq_unbiased", n.GradNormSqUnbiased},
		{"noise/noise_scale", n.NoiseScale},
		{"noise/noise_scale_ema", n.NoiseScaleEMA},
		{"noise/fisher_trace", n.FisherTrace},
		{"noise/grad_cosine", n.GradCosine},
	}
}

func (f *Flatness) scalars() [6]scalar {
	list := [...]scalar{
		{"flatness/lambda_max", f.LambdaMax},
		{"flatness/lambda_max_residual", f.LambdaMaxResidual},
		{"flatness/trace", f.Trace},
		{"flatness/trace_stderr", f.TraceStderr},
		{"flatness/batch_sharpness", f.BatchSharpness},
		{tag: "flatness/hv"},
	}
	measured := f.HV != 0
	for _, s := range list {
		measured = measured || s.value.ok
	}
	if measured {
		list[5].value = Some(float64(f.HV))
	}
	return list
}

func (m *MS) scalars() [3]scalar {
	return [...]scalar{
		{"ms/step", m.Step},
		{"ms/noise", m.Noise},
		{"ms/flatness", m.Flatness},
	}
}

func (l *Layer) scalars() [2]scalar {
	return [...]scalar{
		{"grad_norm_sq", l.GradNormSq},
		{"grad_var_trace", l.GradVarTrace},
	}
}

func (e *Epoch) scalars() [5]scalar {
	return [...]scalar{
		{"epoch/train_loss", e.TrainLoss},
		{"epoch/train_accuracy", e.TrainAccuracy},
		{"epoch/test_loss", e.TestLoss},
		{"epoch/test_accuracy", e.TestAccuracy},
		{"epoch/seconds", Some(e.Seconds)},
	}
}
