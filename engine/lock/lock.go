// Package lock locks files across processes.
package lock

import (
	"errors"
	"fmt"
	"os"
)

// ErrHeld is the error of a lock that another has.
var ErrHeld = errors.New("another process has it")

// Try locks the file at path, made if missing, for as long as it is open:
// closing it, and the end of the process however it comes, unlocks it. It does
// not wait: where another has the lock the error is ErrHeld, wrapped.
func Try(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	if err := hold(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
