//go:build unix

package record

import (
	"errors"
	"os"
	"syscall"
)

// syncDir makes the names in dir durable. File systems that cannot sync a
// folder say EINVAL or ENOTSUP; nothing more can be done there.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}
