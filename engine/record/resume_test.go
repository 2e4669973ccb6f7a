package record

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const stepsPerEpoch = 5

// logSteps logs the steps from begin to end of a made-up run, and the epochs
// that end in them. What it logs depends on the step alone.
func logSteps(t *testing.T, f *Folder, begin, end int) {
	t.Helper()
	for i := begin; i < end; i++ {
		s := fullStep()
		s.Step, s.Epoch, s.Loss = i, i/stepsPerEpoch, 1/float64(i+3)
		at := wall.Add(time.Duration(i) * time.Second)
		if err := f.Step(s, at); err != nil {
			t.Fatal(err)
		}
		if (i+1)%stepsPerEpoch == 0 {
			if err := f.Epoch(&Epoch{Epoch: s.Epoch, Step: i, TestLoss: Some(s.Loss)}, at); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestReplayAfterResumeGivesTheSameFiles(t *testing.T) {
	whole := t.TempDir()
	f := mustCreate(t, whole)
	logSteps(t, f, 0, 23)
	f.Close()
	want := contents(t, whole)

	for checkpoint := range 23 {
		dir := t.TempDir()
		f := mustCreate(t, dir)
		logSteps(t, f, 0, 22)
		f.Close()
		// The kill came in the middle of a line.
		for _, name := range []string{"steps.jsonl", "epochs.jsonl", "events.out.tfevents.1700000000.sgflow"} {
			file, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			file.WriteString(`{"step":22,"ep`)
			file.Close()
		}
		writeFile(t, filepath.Join(dir, "checkpoints", ".sgflow-step-000000022.safetensors-k.tmp"), "cut")
		writeFile(t, filepath.Join(dir, ".sgflow-run.json-k.tmp"), "cut")
		f, err := Resume(dir, checkpoint)
		if err != nil {
			t.Fatalf("at step %d: %v", checkpoint, err)
		}
		logSteps(t, f, checkpoint, 23)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := contents(t, dir); !maps.Equal(got, want) {
			t.Errorf("resumed at step %d: the files differ from those of one run", checkpoint)
		}
	}
}

// One process at a time has a run folder; another is told, and nothing is touched.
func TestAFolderIsOneProcessesAtATime(t *testing.T) {
	dir := t.TempDir()
	f := mustCreate(t, dir)
	logSteps(t, f, 0, 7)
	before := contents(t, dir)
	_, resumed := Resume(dir, 3)
	_, replaced := Create(dir, true)
	for _, err := range []error{resumed, replaced} {
		if err == nil || !strings.Contains(err.Error(), dir+": another process is training there") {
			t.Errorf("a second process: %v", err)
		}
	}
	if !maps.Equal(contents(t, dir), before) {
		t.Error("a second process has changed files")
	}
	f.Close()
	f, err := Resume(dir, 3)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if f, err = Create(dir, true); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestResumeRefusesALogWithMissingSteps(t *testing.T) {
	dir := t.TempDir()
	f := mustCreate(t, dir)
	logSteps(t, f, 0, 10)
	f.Close()
	before := contents(t, dir)
	_, err := Resume(dir, 12)
	if err == nil || !strings.Contains(err.Error(), "the last step before 12 is 9") {
		t.Errorf("%v", err)
	}
	if !maps.Equal(contents(t, dir), before) {
		t.Error("the refused folder was changed")
	}

	path := filepath.Join(dir, "steps.jsonl")
	text := before["steps.jsonl"]
	writeFile(t, path, strings.Replace(text, "\n", "\n}{\n", 1))
	if _, err := Resume(dir, 9); err == nil || !strings.Contains(err.Error(), path+": line 2: ") {
		t.Errorf("a damaged line: %v", err)
	}
	writeFile(t, path, strings.Replace(text, `"step":0`, `"stop":0`, 1))
	if _, err := Resume(dir, 9); err == nil || !strings.Contains(err.Error(), path+": line 1: it has no step") {
		t.Errorf("a line without a step: %v", err)
	}
	if _, err := Resume(filepath.Join(dir, "nowhere"), 0); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("no folder: %v", err)
	}
}

func TestResumeRemovesLaterCheckpoints(t *testing.T) {
	dir := t.TempDir()
	f := mustCreate(t, dir)
	for _, step := range []int{5, 10} {
		logSteps(t, f, step-5, step)
		if err := f.SaveCheckpoint(testCheckpoint(step)); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	f, err := Resume(dir, 5)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if c, damaged, err := LatestCheckpoint(dir); err != nil || len(damaged) > 0 || c.Step != 5 {
		t.Errorf("%v, %v, %v", c, damaged, err)
	}
}
