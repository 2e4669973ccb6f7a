package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sgflow/engine/rng"
)

// asProgram makes the test binary the program itself.
const asProgram = "SGFLOW_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program returns the command that runs the program in a process of its own.
func program(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	return c
}

// sgflow runs the program in this process.
func sgflow(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(context.Background(), args, &out, &err)
	return code, out.String(), err.String()
}

// smallData writes an IDX folder: 320 and 50 samples of 6×6 pixels in 4
// classes that are easy to tell apart.
func smallData(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	stream := rng.New(rng.Labels, 1, 0)
	write := func(name string, dims []int, body []byte) {
		head := []byte{0, 0, 8, byte(len(dims))}
		for _, d := range dims {
			head = binary.BigEndian.AppendUint32(head, uint32(d))
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(head, body...), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for i, prefix := range []string{"train", "t10k"} {
		n := []int{320, 50}[i]
		var pixels, labels []byte
		for k := range n {
			labels = append(labels, byte(k%4))
			for at := range 36 {
				bright := 0
				if at%4 == k%4 {
					bright = 120
				}
				pixels = append(pixels, byte(bright+int(stream.Uint32n(130))))
			}
		}
		write(prefix+"-images-idx3-ubyte", []int{n, 6, 6}, pixels)
		write(prefix+"-labels-idx1-ubyte", []int{n}, labels)
	}
	return dir
}

// smallRun returns the flags of a run of the given number of steps on small
// data in a new folder, and the folder.
func smallRun(t testing.TB, steps string) (flags []string, out string) {
	t.Helper()
	out = filepath.Join(t.TempDir(), "run")
	return []string{"--data", smallData(t), "--model", "mlp:36-8-4", "--batch", "32",
		"--momentum", "0.9", "--lr", "0.05", "--seed", "3", "--steps", steps, "--out", out}, out
}

// train runs `sgflow train` with flags and more, and fails the test if that
// fails.
func mustTrain(t testing.TB, flags []string, more ...string) (stdout, stderr string) {
	t.Helper()
	code, stdout, stderr := sgflow(append(append([]string{"train"}, flags...), more...)...)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	return stdout, stderr
}

var times = regexp.MustCompile(`,"(ms":\{[^}]*\}|seconds":[^,}]*)`)

// wantSameOutcome fails the test unless both run folders hold the same weights
// and logs, times aside.
func wantSameOutcome(t testing.TB, got, want string) {
	t.Helper()
	for _, name := range []string{"checkpoints/weights.safetensors", "steps.jsonl", "epochs.jsonl"} {
		a, errA := os.ReadFile(filepath.Join(got, name))
		b, errB := os.ReadFile(filepath.Join(want, name))
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if !bytes.Equal(times.ReplaceAll(a, nil), times.ReplaceAll(b, nil)) {
			t.Errorf("%s differs", name)
		}
	}
}

// parseObject reads text as exactly one JSON object on one line.
func parseObject(t testing.TB, text string) map[string]any {
	t.Helper()
	if strings.Contains(strings.TrimSuffix(text, "\n"), "\n") {
		t.Errorf("standard output is not one line: %q", text)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return v
}
