//go:build gpu && cgo && linux && amd64

package driver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sgflow/engine/cuda/shim"
)

// helperVariable makes the test binary print what Devices returns. A process loads
// one driver only.
const helperVariable = "SGFLOW_DRIVER_HELPER"

func TestHelper(t *testing.T) {
	if os.Getenv(helperVariable) == "" {
		t.Skip("for the other tests")
	}
	devices, err := Devices()
	fmt.Println("devices:", devices)
	fmt.Println("error:", err)
	for _, d := range devices {
		fmt.Println("usable:", d.Usable())
	}
}

// devicesWith returns what a process with that environment says.
func devicesWith(t *testing.T, environment ...string) string {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestHelper$", "-test.v")
	c.Env = append(append(os.Environ(), helperVariable+"=1"), environment...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// library compiles a libcuda from C with only these functions.
func library(t *testing.T, source string) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed")
	}
	dir := t.TempDir()
	c, so := filepath.Join(dir, "fake.c"), filepath.Join(dir, "libcuda.so.1")
	if err := os.WriteFile(c, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", so, c).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return so
}

func TestDevicesSaysWhyThereIsNone(t *testing.T) {
	empty := library(t, "int cuInit(unsigned f) { return 0; }")
	old := library(t, `int cuInit(unsigned f) { return 0; } int cuDriverGetVersion(int *v) { *v = 11040; return 0; }`)
	noInit := library(t, "int nothing;")
	for _, test := range []struct {
		name        string
		environment []string
		want        []string
	}{
		{"no driver", []string{shim.LibraryVariable + "=/nowhere/libcuda.so.1"}, []string{"error: no NVIDIA driver", "/nowhere/libcuda.so.1"}},
		{"not a driver", []string{shim.LibraryVariable + "=" + noInit}, []string{"error: no NVIDIA driver", "cuInit"}},
		{"an old driver", []string{shim.LibraryVariable + "=" + old}, []string{"supports CUDA 11.4", "needs 11.8 or later", "update the driver"}},
		{"a driver without functions", []string{shim.LibraryVariable + "=" + empty}, []string{"error: ", "lacks cuDriverGetVersion"}},
		{"a driver that doesn't start", []string{"SGFLOW_EMULATOR_INIT=100"}, []string{"error: ", "CUDA 12.4", "does not start", "CUDA_ERROR_NO_DEVICE"}},
		{"no device", []string{"SGFLOW_EMULATOR_DEVICES=0"}, []string{"error: ", "CUDA_ERROR_NO_DEVICE"}},
		{"an old device", []string{"SGFLOW_EMULATOR_CAPABILITY=70"}, []string{"error: <nil>", "usable: sgflow CUDA emulator has compute capability 7.0; sgflow needs 7.5"}},
		{"two devices", []string{"SGFLOW_EMULATOR_DEVICES=2"}, []string{"cuda:0: sgflow CUDA emulator", "cuda:1: sgflow CUDA emulator", "usable: <nil>"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := devicesWith(t, test.environment...)
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in:\n%s", want, out)
				}
			}
		})
	}
}

// functionCall matches calls in C, quotedFunction the names of calls in Go, which are
// there for errors.
var (
	functionCall   = regexp.MustCompile(`\b(cu[A-Z]\w+)\(`)
	quotedFunction = regexp.MustCompile(`"(cu[A-Z]\w+)"`)
)

// A driver that has all that the program asks of it but one function.
func TestAFunctionThatTheDriverLacksIsNamedAndNotCalled(t *testing.T) {
	var b strings.Builder
	b.WriteString("int cuInit(unsigned f) { return 0; }\nint cuDriverGetVersion(int *v) { *v = 12040; return 0; }\n")
	for _, name := range required {
		if name != "cuDriverGetVersion" && name != "cuGraphLaunch" {
			fmt.Fprintf(&b, "int %s(void) { __builtin_trap(); }\n", name)
		}
	}
	out := devicesWith(t, shim.LibraryVariable+"="+library(t, b.String()))
	if !strings.Contains(out, "lacks cuGraphLaunch: update the driver") {
		t.Errorf("got:\n%s", out)
	}
}

// The list of functions that a driver must have is that of the calls in this
// package's C and, through cu, in its Go.
func TestRequiredFunctionsAreThoseOfThisPackage(t *testing.T) {
	source, err := os.ReadFile("extra.c")
	if err != nil {
		t.Skip("the sources are not here")
	}
	header, err := shim.Headers.ReadFile("include/cuda.h")
	if err != nil {
		t.Fatal(err)
	}
	// Names in the sources are those of the documentation; the header has the
	// versions.
	version := map[string]string{}
	for _, line := range strings.Split(string(header), "\n") {
		var name, exported string
		if n, _ := fmt.Sscanf(line, "#define %s %s", &name, &exported); n == 2 && strings.HasPrefix(name, "cu") {
			version[name] = exported
		}
	}
	var called []string
	for _, m := range functionCall.FindAllStringSubmatch(string(source), -1) {
		called = append(called, m[1])
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "required.go" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quotedFunction.FindAllStringSubmatch(string(text), -1) {
			called = append(called, m[1])
		}
	}
	for _, name := range called {
		if v, ok := version[name]; ok {
			name = v
		}
		if !slices.Contains(required, name) && !slices.Contains(optional, name) {
			t.Errorf("%s is called and in neither list", name)
		}
	}
	if len(called) < 40 {
		t.Errorf("only %d calls found", len(called))
	}
}
