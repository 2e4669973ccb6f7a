package data

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseEmbedded gives back the memory pages of the program's file that are
// read-only, most of which hold the embedded data set once it has been
// unpacked. They are read again where they are needed. Failing costs memory and
// nothing else.
//
// The pages are paged out, not dropped: among them are some that the loader has
// written before it made them read-only (the table of functions of a program
// linked with C), and dropped they would be those of the file again.
func releaseEmbedded() {
	program, err := os.Executable()
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer func() { _ = maps.Close() }()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		// address range, permissions, offset, device, inode, path
		f := strings.Fields(lines.Text())
		if len(f) < 6 || f[1] != "r--p" || f[5] != program {
			continue
		}
		first, last, _ := strings.Cut(f[0], "-")
		from, err1 := strconv.ParseUint(first, 16, 64)
		to, err2 := strconv.ParseUint(last, 16, 64)
		if err1 == nil && err2 == nil {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(from), uintptr(to-from), unix.MADV_PAGEOUT)
		}
	}
}
