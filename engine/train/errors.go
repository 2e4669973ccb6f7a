package train

import "errors"

// ErrInterrupted is the error of a run whose context was cancelled: its state
// is saved, and Resume goes on from there.
var ErrInterrupted = errors.New("interrupted")

// ErrDiverged is the error of a run whose numbers stopped being finite. It
// comes again whenever the run is repeated.
var ErrDiverged = errors.New("training diverged")

// divergence is ErrDiverged with what happened in its place.
type divergence struct{ text string }

func (d *divergence) Error() string        { return d.text }
func (d *divergence) Is(target error) bool { return target == ErrDiverged }
