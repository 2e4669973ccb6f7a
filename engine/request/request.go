// Package request marks the errors that are the fault of what was asked for: a
// setting out of range, data that cannot be read, a model that does not fit. They
// come before any work, and the program ends with exit code 2.
package request

import (
	"fmt"
	"strings"

	"sgflow/engine/nearest"
)

// Error says that what was asked for cannot be done.
type Error struct{ Err error }

// Error returns the cause's text.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Wrap marks err as the request's fault; nil stays nil.
func Wrap(err error) error {
	if err == nil {
		return nil
	}
	return &Error{err}
}

// BadValue is the error for a flag's value out of its range; advice says what
// would be right.
func BadValue(flag string, value any, advice string, args ...any) error {
	return Wrap(fmt.Errorf("--%s %v: %s", flag, value, fmt.Sprintf(advice, args...)))
}

// Unknown is the error for a flag's value that is none of the choices.
func Unknown(flag, value string, choices ...string) error {
	return BadValue(flag, fmt.Sprintf("%q", value), "did you mean %s? There are %s", nearest.Name(value, choices), strings.Join(choices, ", "))
}
