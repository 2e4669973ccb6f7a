package record

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

type testConfig struct {
	Model string  `json:"model"`
	LR    float64 `json:"lr"`
	Batch int     `json:"batch"`
}

func TestReadRunReadsWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	f := mustCreate(t, dir)
	run := &Run{
		Config:   &testConfig{"mlp", 0.1, 64},
		Seed:     math.MaxUint64,
		Versions: map[string]string{"sgflow": "0.1", "go": "1.26"},
		Device:   "cpu",
		Data:     map[string]string{"train-images": "ba89"},
		Started:  wall.UTC(),
	}
	if err := f.WriteRun(run); err != nil {
		t.Fatal(err)
	}
	if text := contents(t, dir)["run.json"]; strings.Contains(text, "summary") || strings.Contains(text, "finished") {
		t.Errorf("a run under way has an end: %s", text)
	}
	run.Finished = wall.UTC().Add(1e9)
	run.Summary = &Summary{Steps: 10, Epochs: 1, Seconds: 2.5, Device: "cpu", TrainLoss: Some(0.5), TestAccuracy: Some(0.9), Params: 7, Out: "runs/x"}
	if err := f.WriteRun(run); err != nil {
		t.Fatal(err)
	}
	got, err := ReadRun(dir, new(testConfig))
	if err != nil || !reflect.DeepEqual(got, run) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, run)
	}
	text := contents(t, dir)["run.json"]
	if !strings.Contains(text, `"config": {
    "model": "mlp",
    "lr": 0.1,
    "batch": 64
  },
  "seed": 18446744073709551615,`) {
		t.Errorf("the configuration's order is lost: %s", text)
	}
	if strings.Contains(text, "test_loss") {
		t.Errorf("an absent number is written: %s", text)
	}
	if untyped, err := ReadRun(dir, nil); err != nil || untyped.Config.(map[string]any)["batch"] != 64.0 {
		t.Errorf("%v, %v", untyped, err)
	}
}

func TestRunErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	f := mustCreate(t, dir)
	if err := f.WriteRun(&Run{Summary: &Summary{Seconds: math.NaN()}}); err == nil || !strings.Contains(err.Error(), "run.json") {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "run.json")); err == nil {
		t.Error("a run that cannot be written left a file")
	}
	if _, err := ReadRun(dir, nil); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "run.json")) {
		t.Error(err)
	}
	writeFile(t, filepath.Join(dir, "run.json"), `{"seed":-1}`)
	if _, err := ReadRun(dir, nil); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "run.json")) {
		t.Error(err)
	}
}
