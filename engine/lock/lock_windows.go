// Package lock locks files across processes.
package lock

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// ErrHeld is the error of a lock that another has.
var ErrHeld = errors.New("another process has it")

// Try locks the file at path, made if missing, for as long as it is open:
// closing it, and the end of the process however it comes, unlocks it. It does
// not wait: where another has the lock the error is ErrHeld, wrapped.
func Try(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	if err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped)); err != nil {
		f.Close()
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			err = ErrHeld
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
