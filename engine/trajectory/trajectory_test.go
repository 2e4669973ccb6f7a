package trajectory

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sgflow/engine/record"
	"sgflow/engine/rng"
)

// small is the model of these tests: 7 parameters.
var small = []record.ParamSpec{{Name: "fc1.weight", Shape: []int{2, 3}}, {Name: "fc1.bias", Shape: []int{1}}}

// normals returns n standard normal numbers of a stream.
func normals[T Float](n int, seed, stream uint64) []T {
	s := rng.New(rng.Probes, seed, stream)
	x := make([]T, n)
	for i := range x {
		x[i] = T(s.NormFloat64())
	}
	return x
}

// stored writes points of the steps to a new folder and returns it with them.
func stored[T Float](t testing.TB, h Header, steps ...int) (dir string, points [][]T) {
	t.Helper()
	dir = t.TempDir()
	w, err := Create[T](dir, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		x := normals[T](h.Size(), 1, uint64(step))
		points = append(points, x)
		if err := w.Add(step, float64(step)/10, x); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, points
}

// mustOpen opens a trajectory until the test ends.
func mustOpen(t testing.TB, dir string) *Trajectory {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// wantPoints fails the test unless r has exactly the points of the steps.
func wantPoints[T Float](t *testing.T, r *Trajectory, steps []int, points [][]T) {
	t.Helper()
	if len(r.Points) != len(steps) {
		t.Fatalf("%d points, want those of steps %v", len(r.Points), steps)
	}
	got := make([]float64, r.Dim())
	for i, step := range steps {
		if r.Points[i] != (Point{step, float64(step) / 10}) {
			t.Errorf("point %d is %+v, want that of step %d", i, r.Points[i], step)
		}
		if err := r.Read(got, i, 0); err != nil {
			t.Fatal(err)
		}
		for k, x := range points[i] {
			if got[k] != float64(x) {
				t.Fatalf("point %d, number %d is %v, want %v", i, k, got[k], x)
			}
		}
	}
}

func TestPointsComeBackBitForBit(t *testing.T) {
	steps := []int{0, 1, 5, 70}
	dir, points := stored[float32](t, Header{Params: small}, steps...)
	r := mustOpen(t, dir)
	wantPoints(t, r, steps, points)
	if r.DType != "float32" || r.Ignored != 0 || r.Dim() != 7 || r.Fits(small) != nil {
		t.Errorf("header %+v, %d bytes ignored", r.Header, r.Ignored)
	}
	part := make([]float64, 3)
	if err := r.Read(part, 2, 4); err != nil || part[0] != float64(points[2][4]) || part[2] != float64(points[2][6]) {
		t.Errorf("numbers 4 to 6 are %v, %v", part, err)
	}
	dir, doubles := stored[float64](t, Header{Params: small}, steps...)
	wantPoints(t, mustOpen(t, dir), steps, doubles)
}

func TestFileCutAnywhereKeepsAllWholeRows(t *testing.T) {
	steps := []int{0, 1, 2}
	dir, points := stored[float32](t, Header{Params: small}, steps...)
	path := filepath.Join(dir, rowsFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := len(whole) / 3
	for cut := 0; cut <= len(whole); cut++ {
		if err := os.WriteFile(path, whole[:cut], 0o666); err != nil {
			t.Fatal(err)
		}
		r, err := Open(dir)
		if err != nil {
			t.Fatalf("%d bytes: %v", cut, err)
		}
		wantPoints(t, r, steps[:cut/size], points)
		if r.Ignored != int64(cut%size) {
			t.Errorf("%d bytes: %d ignored", cut, r.Ignored)
		}
		r.Close()
	}
}

func TestRowsFromTheFirstDamagedOneAreIgnored(t *testing.T) {
	steps := []int{0, 1, 2, 3}
	dir, points := stored[float64](t, Header{Params: small}, steps...)
	path := filepath.Join(dir, rowsFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.IntRange(0, len(whole)-1).Draw(rt, "byte")
		bad := append([]byte(nil), whole...)
		bad[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		if err := os.WriteFile(path, bad, 0o666); err != nil {
			rt.Fatal(err)
		}
		r, err := Open(dir)
		if err != nil {
			rt.Fatal(err)
		}
		defer r.Close()
		wantPoints(t, r, steps[:at/(len(whole)/4)], points)
	})
}

func TestResumedPathIsThatOfOneThatNeverStopped(t *testing.T) {
	every, err := ParseSteps("2")
	if err != nil {
		t.Fatal(err)
	}
	h := Header{Params: small}
	want, _ := stored[float32](t, h, 0, 2, 4, 6)
	dir, _ := stored[float32](t, h, 0, 2, 4, 6)
	path := filepath.Join(dir, rowsFile)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-3); err != nil { // killed in the row of step 6
		t.Fatal(err)
	}
	for _, step := range []int{3, 2, 5} {
		w, err := Resume[float32](dir, h, step, every.Due)
		if err != nil {
			t.Fatal(err)
		}
		for s := step + 1; s <= 6; s++ {
			if every.Due(s) {
				if err := w.Add(s, float64(s)/10, normals[float32](7, 1, uint64(s))); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{headerFile, rowsFile} {
			a, errA := os.ReadFile(filepath.Join(dir, name))
			b, errB := os.ReadFile(filepath.Join(want, name))
			if errA != nil || errB != nil || string(a) != string(b) {
				t.Errorf("from step %d: %s differs (%v, %v)", step, name, errA, errB)
			}
		}
	}
}

func TestResumeRefusesAPathThatLacksPoints(t *testing.T) {
	every, _ := ParseSteps("2")
	h := Header{Params: small}
	for _, steps := range [][]int{{0, 4}, {0, 2}, {2, 4}, {}} {
		dir, _ := stored[float32](t, h, steps...)
		before, err := os.ReadFile(filepath.Join(dir, rowsFile))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Resume[float32](dir, h, 5, every.Due); err == nil || !strings.Contains(err.Error(), "no point of step") {
			t.Errorf("points %v: %v", steps, err)
		}
		if after, err := os.ReadFile(filepath.Join(dir, rowsFile)); err != nil || len(after) != len(before) {
			t.Errorf("points %v: the file changed: %v", steps, err)
		}
	}
	dir, _ := stored[float32](t, h, 0, 2, 4)
	for what, f := range map[string]func() error{
		"type":  func() error { _, err := Resume[float64](dir, h, 4, every.Due); return err },
		"model": func() error { _, err := Resume[float32](dir, Header{Params: small[:1]}, 4, every.Due); return err },
		"projection": func() error {
			_, err := Resume[float32](dir, Header{Params: small, Projection: &Projection{Dim: 2}}, 4, every.Due)
			return err
		},
	} {
		if f() == nil {
			t.Errorf("a path of another %s goes on", what)
		}
	}
}

func TestWrongPointsAreRefused(t *testing.T) {
	dir := t.TempDir()
	w, err := Create[float32](dir, Header{Params: small})
	if err != nil {
		t.Fatal(err)
	}
	good := normals[float32](7, 1, 0)
	if err := w.Add(3, 0, good); err != nil {
		t.Fatal(err)
	}
	bad := append([]float32(nil), good...)
	bad[5] = float32(math.NaN())
	for what, err := range map[string]error{
		"step 3 after step 3": w.Add(3, 0, good),
		"6 numbers":           w.Add(4, 0, good[:6]),
		"number 5":            w.Add(4, 0, bad),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("error %v, want one with %q", err, what)
		}
	}
	if err := errors.Join(w.Add(4, 0, good), w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if r := mustOpen(t, dir); len(r.Points) != 2 {
		t.Errorf("%d points", len(r.Points))
	}
}

func TestCreateReplacesAnOlderTrajectory(t *testing.T) {
	dir, _ := stored[float64](t, Header{Params: small}, 0, 1)
	w, err := Create[float32](dir, Header{Params: small})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if r := mustOpen(t, dir); len(r.Points) != 0 || r.Ignored != 0 {
		t.Errorf("%d points, %d bytes ignored", len(r.Points), r.Ignored)
	}
}

func TestWrongFoldersSayWhatIsWrong(t *testing.T) {
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "trajectory.json") {
		t.Errorf("an empty folder: %v", err)
	}
	dir, _ := stored[float32](t, Header{Params: small}, 0)
	path := filepath.Join(dir, headerFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][3]string{
		{`"version": 1`, `"version": 2`, "version 2"},
		{`"float32"`, `"float16"`, "float16"},
		{`"dim": 7`, `"dim": 8`, "8 numbers"},
		{`2,`, `-2,`, "shape"},
		{`2,`, `9000000000000000000,`, "shape"},
		{`{`, ``, "invalid"},
	} {
		bad := strings.Replace(string(text), change[0], change[1], 1)
		if bad == string(text) {
			t.Fatalf("%q is not in the header", change[0])
		}
		if err := os.WriteFile(path, []byte(bad), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), change[2]) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one with %q and the file", change[1], err, change[2])
		}
	}
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, rowsFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), rowsFile) {
		t.Errorf("without rows: %v", err)
	}
}

func TestHeaderNamesTheDifferenceToAnotherModel(t *testing.T) {
	h := Header{Params: small}
	for _, other := range [][]record.ParamSpec{
		small[:1],
		append(append([]record.ParamSpec(nil), small...), record.ParamSpec{Name: "fc2.bias", Shape: []int{4}}),
		{{Name: "fc1.weight", Shape: []int{3, 2}}, small[1]},
	} {
		if err := h.Fits(other); err == nil || !strings.Contains(err.Error(), "another model") {
			t.Errorf("%v: %v", other, err)
		}
	}
}

func TestHeaderStatesTheErrorOfDistances(t *testing.T) {
	dir, _ := stored[float32](t, Header{Params: []record.ParamSpec{{Name: "w", Shape: []int{900}}}, Projection: &Projection{Dim: 800, Seed: 4}}, 0)
	text, err := os.ReadFile(filepath.Join(dir, headerFile))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Projection struct {
			Dim    int
			Stderr float64 `json:"distance_sq_relative_stderr"`
			About  string
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Projection.Dim != 800 || math.Abs(got.Projection.Stderr-0.05) > 1e-12 || !strings.Contains(got.Projection.About, "100 points") {
		t.Errorf("header %s", text)
	}
	if r := mustOpen(t, dir); *r.Projection != (Projection{800, 4}) || r.Dim() != 800 || r.Size() != 900 {
		t.Errorf("read as %+v", r.Header)
	}
}

func TestStepsAreThoseAskedFor(t *testing.T) {
	due := func(text string, to int) (list []int) {
		s, err := ParseSteps(text)
		if err != nil {
			t.Fatal(err)
		}
		for i := range to {
			if s.Due(i) {
				list = append(list, i)
			}
		}
		return list
	}
	if got := due("3", 10); len(got) != 4 || got[3] != 9 {
		t.Errorf("every 3: %v", got)
	}
	if got := due("", 10); got != nil {
		t.Errorf("none: %v", got)
	}
	got := due("log", 10001)
	for i := range 8 {
		if got[i] != i {
			t.Errorf("log begins with %v", got[:9])
			break
		}
	}
	count := 0
	for _, s := range got {
		if s > 100 && s <= 1000 {
			count++
		}
	}
	if count != perDecade {
		t.Errorf("log has %d steps from 101 to 1000", count)
	}
	for _, wrong := range []string{"0", "-1", "linear", "1.5"} {
		if _, err := ParseSteps(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
