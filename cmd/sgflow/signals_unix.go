//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// keepFileLimit makes a write past the limit on the size of files (ulimit -f)
// an error of that write, as on a full disk, where it would end the process.
func keepFileLimit() { signal.Ignore(syscall.SIGXFSZ) }
