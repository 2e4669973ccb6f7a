package record

// Averaged is how averages of a run's weights do on the test set, where it keeps
// any: the exponential moving average (EMA) and the one of equal weights (SWA). It
// is a part of lines and summaries.
type Averaged struct {
	EMATestLoss     Opt `json:"ema_test_loss,omitzero"`
	EMATestAccuracy Opt `json:"ema_test_accuracy,omitzero"`
	SWATestLoss     Opt `json:"swa_test_loss,omitzero"`
	SWATestAccuracy Opt `json:"swa_test_accuracy,omitzero"`
}

// The averages of weights that a run saves beside its own.
const (
	EMA = "ema"
	SWA = "swa"
)
