package kernel

import (
	"fmt"
	"os"
	"strings"
)

// Float is the set of element types that the kernels work on.
type Float interface{ ~float32 | ~float64 }

// Path is a family of instruction sets that the kernels are written for.
type Path uint8

// The paths, slowest first. A machine that has one has all before it.
const (
	Portable Path = iota // plain Go, any machine
	AVX2                 // amd64 with AVX2 and FMA
	AVX512               // amd64 with AVX-512 F, BW, DQ and VL
)

// PathVariable is the environment variable by which a user forces a path.
const PathVariable = "SGFLOW_KERNEL"

var pathNames = [...]string{Portable: "portable", AVX2: "avx2", AVX512: "avx512"}

// String is the path's name as [PathVariable] spells it.
func (p Path) String() string {
	if int(p) < len(pathNames) {
		return pathNames[p]
	}
	return fmt.Sprintf("Path(%d)", uint8(p))
}

// Detect reports the fastest path that this machine can run.
func Detect() Path { return detect() }

// Available lists every path that this machine can run, slowest first.
func Available() []Path {
	all := []Path{Portable, AVX2, AVX512}
	return all[:int(Detect())+1]
}

// FromEnv reports the path that the environment variable SGFLOW_KERNEL names
// (portable, avx2 or avx512), or [Detect] where it is unset or empty. A name
// that is unknown, or a path that this machine lacks, is an error.
func FromEnv() (Path, error) {
	name := os.Getenv(PathVariable)
	if name == "" {
		return Detect(), nil
	}
	for p, s := range pathNames {
		if strings.EqualFold(name, s) {
			if err := usable(Path(p)); err != nil {
				return Portable, err
			}
			return Path(p), nil
		}
	}
	return Portable, fmt.Errorf("kernel: reading %s: %q is not a path; use one of %s",
		PathVariable, name, strings.Join(pathNames[:], ", "))
}

// usable reports an error that names p where this machine cannot run it.
func usable(p Path) error {
	if p > Detect() {
		return fmt.Errorf("kernel: choosing path %s: this CPU lacks it; the best it has is %s", p, Detect())
	}
	return nil
}
