//go:build unix

package sweep

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a worker into a process group of its own: Ctrl-C in a terminal
// reaches the sweep alone, which stops its workers in good order.
func ownGroup(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
