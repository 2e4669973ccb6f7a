package bench

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
)

// The script that is run where a GPU is leaves a file a step and a line in the summary,
// whatever becomes of it.
func TestTheScriptForAGPU(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no bash")
	}
	script, err := os.ReadFile("gpu")
	if err != nil {
		t.Fatal(err)
	}
	root, out := t.TempDir(), filepath.Join(t.TempDir(), "results")
	tests := `#!/bin/sh
case "$*" in
*TestPresets*) echo presets ;;
*Idle*) echo steps ;;
*) echo 'something is wrong' && exit 3 ;;
esac
`
	for name, text := range map[string]string{"bench/gpu": string(script), "bin/gpu/cuda.test": tests} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	gpu := func(args ...string) (code int, output string) {
		text, err := exec.Command(filepath.Join(root, "bench/gpu"), args...).CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode(), string(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		return 0, string(text)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}

	if code, text := gpu("--out", out, "first", "step", "peers"); code != 0 || read("first.txt") != "presets\n" || read("step.txt") != "steps\n" {
		t.Errorf("exit code %d: %s", code, text)
	}
	for _, want := range []string{
		`(?m)^first: exit code 0, \d+ s: presets$`,
		`(?m)^step: exit code 0, \d+ s: steps$`,
		`(?m)^peers: left out, as there is no bin/gpu/peers-product$`,
	} {
		if text := read("summary"); !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no line %s in the summary:\n%s", want, text)
		}
	}
	if code, text := gpu("--out", out, "tests", "first"); code != 1 || !regexp.MustCompile(`first: exit code 0, .*\ntests: exit code 3, \d+ s: something is wrong\n`).MatchString(text) {
		t.Errorf("of two steps the second fails: exit code %d: %s", code, text)
	}
	if code, text := gpu("--minutes", "0", "--out", out, "first"); code != 0 || text != "first: left out, as the time is up\n" {
		t.Errorf("without time: exit code %d: %s", code, text)
	}
	for _, args := range [][]string{{"second"}, {"--hours", "1"}} {
		if code, text := gpu(args...); code != 2 {
			t.Errorf("%v: exit code %d: %s", args, code, text)
		}
	}
}
