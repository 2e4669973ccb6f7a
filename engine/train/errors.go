package train

import (
	"errors"
	"fmt"
	"strings"

	"sgflow/engine/nearest"
)

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

// RequestError says that what was asked for cannot be done: a setting out of
// range, data that cannot be read, a model that does not fit. It comes before
// any work.
type RequestError struct{ Err error }

// Error returns the cause's text.
func (e *RequestError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RequestError) Unwrap() error { return e.Err }

// request marks err, which may be nil, as the request's fault.
func request(err error) error {
	if err == nil {
		return nil
	}
	return &RequestError{err}
}

// badValue is the error for a flag's value out of its range; advice says what
// would be right.
func badValue(flag string, value any, advice string, args ...any) error {
	return request(fmt.Errorf("--%s %v: %s", flag, value, fmt.Sprintf(advice, args...)))
}

// unknownValue is the error for a flag's value that is none of the choices.
func unknownValue(flag, value string, choices ...string) error {
	return badValue(flag, fmt.Sprintf("%q", value), "did you mean %s? There are %s", nearest.Name(value, choices), strings.Join(choices, ", "))
}
