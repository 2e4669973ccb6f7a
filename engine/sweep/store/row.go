package store

import (
	"context"

	"sgflow/engine/record"
)

// Row is a run with its most wanted numbers, a line of `sweep --json`. Noise and
// flatness are means over the last tenth of the run (Window End).
type Row struct {
	Model        string     `json:"model"`
	Data         string     `json:"data"`
	Batch        int        `json:"batch"`
	LR           float64    `json:"lr"`
	Momentum     float64    `json:"momentum"`
	Seed         uint64     `json:"seed"`
	Steps        int        `json:"steps"`
	TrainLoss    record.Opt `json:"train_loss,omitzero"`
	TestAccuracy record.Opt `json:"test_accuracy,omitzero"`
	NoiseScale   record.Opt `json:"noise_scale,omitzero"`
	GradVarTrace record.Opt `json:"grad_var_trace,omitzero"`
	LambdaMax    record.Opt `json:"lambda_max,omitzero"`
	Trace        record.Opt `json:"trace,omitzero"`
	// Temperature is lr/(batch·(1−momentum)), absent where training is not SGD with
	// batches of one size (train.Config.Temperature).
	Temperature record.Opt `json:"temperature,omitzero"`
	ID          string     `json:"run"`
	Status      Status     `json:"status"`
	// Reached says whether the run's target was met, nil where it had none.
	Reached *bool `json:"reached,omitempty"`
	// Error says why the run failed.
	Error string `json:"error,omitempty"`
}

// Rows returns a row for every run, in the order of the sweep.
func (s *Store) Rows(ctx context.Context) ([]Row, error) {
	runs, err := s.Runs(ctx)
	if err != nil {
		return nil, err
	}
	windows, err := s.windows(ctx, "WHERE part = '"+string(End)+"' AND name IN ('noise_scale', 'grad_var_trace', 'lambda_max', 'trace')")
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(runs))
	for i := range runs {
		var end *Window
		if w := windows[runs[i].ID]; len(w) > 0 {
			end = &w[0]
		}
		rows[i] = newRow(&runs[i], end)
	}
	return rows, nil
}

// newRow makes the row of a run; end is nil where it has no means.
func newRow(r *Run, end *Window) Row {
	c := &r.Config
	row := Row{
		Model: c.Model, Data: c.Data, Batch: c.Batch, LR: c.LR, Momentum: c.Momentum, Seed: c.Seed,
		Temperature: c.Temperature(), ID: r.ID, Status: r.Status,
	}
	if r.Status != Done {
		row.Error = r.Error
	}
	if s := r.Summary; s != nil {
		row.Steps, row.TrainLoss, row.TestAccuracy, row.Reached = s.Steps, s.TrainLoss, s.TestAccuracy, s.Reached
	}
	if end != nil {
		row.NoiseScale, row.GradVarTrace = end.Value("noise_scale"), end.Value("grad_var_trace")
		row.LambdaMax, row.Trace = end.Value("lambda_max"), end.Value("trace")
	}
	return row
}
