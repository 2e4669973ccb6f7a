package record

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func testCheckpoint(step int) *Checkpoint {
	return &Checkpoint{
		Step: step,
		Tensors: []Tensor{
			NewTensor("flatness/vector", []int{3}, []float64{0.1, float64(step), -3}),
			NewTensor("fc1.weight", []int{2, 1}, []float32{1, float32(step)}),
			NewTensor("velocity/fc1.weight", []int{2, 1}, []float32{0, -1}),
		},
		State: json.RawMessage(`{"epoch":1,"ema":[0.25,1e-9]}`),
	}
}

func TestLatestCheckpointIsWhatWasSaved(t *testing.T) {
	dir := t.TempDir()
	f := mustCreate(t, dir)
	if _, _, err := LatestCheckpoint(dir); err == nil || !strings.Contains(err.Error(), dir+" has no checkpoint") {
		t.Errorf("no checkpoint: %v", err)
	}
	for _, step := range []int{5, 10, 1_000_000_000_000, 20} {
		if err := f.SaveCheckpoint(testCheckpoint(step)); err != nil {
			t.Fatal(err)
		}
	}
	c, damaged, err := LatestCheckpoint(dir)
	if want := testCheckpoint(1_000_000_000_000); err != nil || damaged != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("%v, %v\n got %+v\nwant %+v", damaged, err, c, want)
	}
	if got, ok := c.Tensor("velocity/fc1.weight"); !ok || !slices.Equal(Values[float32](got), []float32{0, -1}) {
		t.Errorf("%v, %v", got, ok)
	}
	if _, ok := c.Tensor("velocity/fc9"); ok {
		t.Error("there is a tensor that was not saved")
	}
}

func TestTheLastTwoCheckpointsAreKept(t *testing.T) {
	dir := t.TempDir()
	f := mustCreate(t, dir)
	for step := 10; step <= 50; step += 10 {
		if err := f.SaveCheckpoint(testCheckpoint(step)); err != nil {
			t.Fatal(err)
		}
	}
	names := slices.Sorted(maps.Keys(contents(t, filepath.Join(dir, "checkpoints"))))
	if want := []string{"step-000000040.safetensors", "step-000000050.safetensors"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}

// Every byte of a checkpoint counts: one that is changed, and any that are
// missing, make it fall back to the one before.
func TestADamagedCheckpointFallsBackToTheOneBefore(t *testing.T) {
	dir := t.TempDir()
	f := mustCreate(t, dir)
	for _, step := range []int{10, 20} {
		if err := f.SaveCheckpoint(testCheckpoint(step)); err != nil {
			t.Fatal(err)
		}
	}
	newest := checkpointPath(dir, 20)
	good, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	fallsBack := func(what string, i int) {
		t.Helper()
		c, damaged, err := LatestCheckpoint(dir)
		if err != nil || c.Step != 10 || len(damaged) != 1 || !strings.Contains(damaged[0].Error(), newest) || strings.Contains(damaged[0].Error(), "\n") {
			t.Fatalf("%s at byte %d: %+v, %v, %v", what, i, c, damaged, err)
		}
	}
	header := good[8:]
	padding := strings.IndexByte(string(header), '\x00') // the padding ends before the first zero byte of data
	for i := range good {
		if good[i] == ' ' && i < 8+padding {
			continue // spaces after the header may as well be other white space
		}
		bad := slices.Clone(good)
		bad[i] ^= 1
		writeFile(t, newest, string(bad))
		fallsBack("a flipped bit", i)
	}
	writeFile(t, newest, string(good))
	for i := len(good) - 1; i >= 0; i-- {
		if err := os.Truncate(newest, int64(i)); err != nil {
			t.Fatal(err)
		}
		fallsBack("a cut", i)
	}

	writeFile(t, checkpointPath(dir, 10), "")
	if _, damaged, err := LatestCheckpoint(dir); err == nil || len(damaged) != 2 || !strings.Contains(err.Error(), newest) {
		t.Errorf("both damaged: %v, %v", damaged, err)
	}
	writeFile(t, checkpointPath(dir, 30), string(good))
	if _, damaged, err := LatestCheckpoint(dir); err == nil || !strings.Contains(damaged[0].Error(), `of step "20" by its content`) {
		t.Errorf("renamed: %v", damaged)
	}
}

func TestForeignFilesAreNoCheckpoints(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"step-.safetensors", "step-5.safetensors", "step-000000005.safetensors.bak", "step--00000005.safetensors", "weights.safetensors", ".sgflow-step-000000005.safetensors-q.tmp"} {
		writeFile(t, filepath.Join(dir, "checkpoints", name), "x")
	}
	if steps, err := checkpointSteps(dir); err != nil || len(steps) > 0 {
		t.Errorf("%v, %v", steps, err)
	}
	if _, _, err := LatestCheckpoint(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "is no run folder") {
		t.Error(err)
	}
}

func TestSaveCheckpointRefusesWhatIsNotJSON(t *testing.T) {
	f := mustCreate(t, t.TempDir())
	if err := f.SaveCheckpoint(&Checkpoint{Step: 3}); err == nil || !strings.Contains(err.Error(), "step 3: its state is not JSON") {
		t.Error(err)
	}
	if err := os.RemoveAll(filepath.Join(f.Dir(), "checkpoints")); err != nil {
		t.Fatal(err)
	}
	if err := f.SaveCheckpoint(testCheckpoint(3)); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "step-000000003.safetensors") {
		t.Error(err)
	}
}
