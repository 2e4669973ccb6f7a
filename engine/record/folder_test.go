package record

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wall is a time for events.
var wall = time.Unix(1_700_000_000, 250_000_000)

// contents returns every file under dir by its slash-separated path.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func mustCreate(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := Create(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFolderHoldsWhatWasLogged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "first")
	f := mustCreate(t, dir)
	if f.Dir() != dir {
		t.Errorf("the folder is %s", f.Dir())
	}
	for i := range 3 {
		if err := f.Step(&Step{Step: i, Loss: 1}, wall); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Epoch(&Epoch{Step: 2, TestAccuracy: Some(0.5), Seconds: 1}, wall); err != nil {
		t.Fatal(err)
	}
	if err := f.SaveWeights([]Tensor{NewTensor("fc1.bias", []int{2}, []float32{1, 2})}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	steps, err := ReadSteps(filepath.Join(dir, "steps.jsonl"))
	if err != nil || len(steps) != 3 || steps[2].Step != 2 {
		t.Errorf("%+v, %v", steps, err)
	}
	epochs, err := ReadEpochs(filepath.Join(dir, "epochs.jsonl"))
	if err != nil || !slices.Equal(epochs, []Epoch{{Step: 2, TestAccuracy: Some(0.5), Seconds: 1}}) {
		t.Errorf("%+v, %v", epochs, err)
	}
	weights, err := LoadWeights[float64](WeightsPath(dir), []ParamSpec{{"fc1.bias", []int{2}}})
	if err != nil || !slices.Equal(weights[0], []float64{1, 2}) {
		t.Errorf("%v, %v", weights, err)
	}
	for name := range contents(t, dir) {
		if !slices.Contains([]string{"steps.jsonl", "epochs.jsonl", "events.out.tfevents.1700000000.sgflow", "checkpoints/weights.safetensors", lockFile}, name) {
			t.Errorf("there is a file %s", name)
		}
	}
}

func TestCreateRefusesAFolderThatIsNotEmpty(t *testing.T) {
	dir := t.TempDir()
	if f, err := Create(dir, false); err != nil {
		t.Fatalf("an empty folder is refused: %v", err)
	} else {
		f.Close()
	}
	_, err := Create(dir, false)
	if err == nil || !strings.Contains(err.Error(), dir+" already holds a run (") || !strings.Contains(err.Error(), "--force") {
		t.Errorf("a run is not protected: %v", err)
	}
	other := t.TempDir()
	writeFile(t, filepath.Join(other, "thesis.tex"), "x")
	if _, err := Create(other, false); err == nil || !strings.Contains(err.Error(), other+" is not empty") {
		t.Errorf("a foreign folder is not protected: %v", err)
	}
}

func TestForceRemovesTheRunAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	foreign := map[string]string{
		"thesis.tex":               "a",
		"steps.jsonl.bak":          "b",
		"checkpoints/mine.txt":     "c",
		"checkpoints/step-5.copy":  "d",
		"checkpoints/step-7.txt":   "e",
		"notes/steps.jsonl":        "f",
		"checkpoints/sub/run.json": "g",
	}
	for name, text := range foreign {
		writeFile(t, filepath.Join(dir, name), text)
	}
	for _, name := range []string{
		"steps.jsonl", "epochs.jsonl", "run.json", "events.out.tfevents.1.x", "events.out.tfevents.2.y", ".sgflow-run.json-1.tmp",
		"checkpoints/weights.safetensors", "checkpoints/step-000000010.safetensors", "checkpoints/.sgflow-weights.safetensors-z.tmp",
	} {
		writeFile(t, filepath.Join(dir, name), "old")
	}
	f, err := Create(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	got := contents(t, dir)
	for name, text := range foreign {
		if got[name] != text {
			t.Errorf("%s is gone or changed", name)
		}
		delete(got, name)
	}
	delete(got, lockFile)
	if len(got) != 2 || got["steps.jsonl"] != "" || got["epochs.jsonl"] != "" {
		t.Errorf("left of the old run: %q", got)
	}
}

func TestCreateSaysWhyItCannotWrite(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), "x")
	path := filepath.Join(dir, "file", "run")
	if _, err := Create(path, true); err == nil || !strings.HasPrefix(err.Error(), "record: create run folder: ") || !strings.Contains(err.Error(), filepath.Join(dir, "file")) {
		t.Errorf("%v", err)
	}
	writeFile(t, filepath.Join(dir, "run", "steps.jsonl", "x"), "x")
	if _, err := Create(filepath.Join(dir, "run"), true); err == nil || !strings.Contains(err.Error(), "steps.jsonl") {
		t.Errorf("a folder in place of steps.jsonl: %v", err)
	}
}

// fullDisk takes room bytes and then says that the disk is full, as write(2)
// does: the last write is a short one.
type fullDisk struct {
	file *os.File
	room int
}

func (d *fullDisk) Write(b []byte) (int, error) {
	n := min(len(b), d.room)
	d.room -= n
	if n, err := d.file.Write(b[:n]); err != nil {
		return n, err
	}
	if n < len(b) {
		return n, &fs.PathError{Op: "write", Path: d.file.Name(), Err: syscall.ENOSPC}
	}
	return n, nil
}

func TestAFullDiskLeavesWholeLines(t *testing.T) {
	for _, room := range []int{0, 1, len(fullLine) - 1, len(fullLine), len(fullLine) + 30} {
		dir := t.TempDir()
		f := mustCreate(t, dir)
		disk := &fullDisk{f.steps.file, room}
		f.steps.w = disk
		var err error
		logged := 0
		for ; err == nil; logged++ {
			err = f.Step(fullStep(), wall)
		}
		logged--
		path := filepath.Join(dir, "steps.jsonl")
		if want := "record: log step 7: " + path + ": no space left on device"; err.Error() != want || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("room for %d bytes: %v, want %s", room, err, want)
		}
		text, readErr := os.ReadFile(path)
		if want := strings.Repeat(fullLine, room/len(fullLine)); readErr != nil || string(text) != want || logged != room/len(fullLine) {
			t.Errorf("room for %d bytes: %d steps logged, the file is %q", room, logged, text)
		}
		disk.room = 1 << 20 // the user made room
		if err := f.Step(fullStep(), wall); err != nil {
			t.Errorf("with room again: %v", err)
		}
		if steps, err := ReadSteps(path); err != nil || len(steps) != logged+1 {
			t.Errorf("with room again: %d steps, %v", len(steps), err)
		}
	}
}

func TestStepsThatAreHeldAreWrittenTogether(t *testing.T) {
	ends := map[string]func(f *Folder) error{
		"Flush": (*Folder).Flush,
		"Epoch": func(f *Folder) error { return f.Epoch(&Epoch{}, wall) },
		"sync":  (*Folder).sync,
		"Close": (*Folder).Close,
	}
	for name, end := range ends {
		f := mustCreate(t, t.TempDir())
		lines := func() int {
			text, err := os.ReadFile(f.steps.path)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Count(string(text), fullLine)
		}
		events := func() int {
			text, err := os.ReadFile(f.events.path)
			if err != nil {
				t.Fatal(err)
			}
			return len(parseEvents(t, text))
		}
		f.Hold()
		for range 3 {
			if err := f.Step(fullStep(), wall); err != nil {
				t.Fatal(err)
			}
		}
		if n := lines(); n != 0 {
			t.Errorf("%s: %d lines are written although they are held", name, n)
		}
		if err := end(f); err != nil {
			t.Fatal(err)
		}
		if n, m := lines(), events(); n != 3 || m < 4 { // with the file's version
			t.Errorf("%s: %d lines and %d events, want 3 and 4 or more", name, n, m)
		}
	}
}

func TestAFullDiskTakesNoneOfTheStepsThatAreHeld(t *testing.T) {
	f := mustCreate(t, t.TempDir())
	if err := f.Step(fullStep(), wall); err != nil {
		t.Fatal(err)
	}
	f.steps.w = &fullDisk{f.steps.file, len(fullLine) + 30}
	f.Hold()
	for range 3 {
		if err := f.Step(fullStep(), wall); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Flush(); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), f.steps.path) {
		t.Errorf("%v", err)
	}
	if err := f.Flush(); err != nil {
		t.Errorf("when all is given up: %v", err)
	}
	text, _ := os.ReadFile(f.steps.path)
	events, _ := os.ReadFile(f.events.path)
	if n := len(parseEvents(t, events)); string(text) != fullLine || n != 2 {
		t.Errorf("the file is %q, and there are %d events", text, n)
	}
}

func TestAPartialLineThatCannotBeCutEndsTheLog(t *testing.T) {
	dir := t.TempDir()
	f := mustCreate(t, dir)
	disk := &fullDisk{f.steps.file, 10}
	f.steps.w = disk
	f.steps.truncate = func(int64) error { return syscall.EIO }
	first := f.Step(fullStep(), wall)
	disk.room = 1 << 20
	second := f.Step(fullStep(), wall)
	for _, err := range []error{first, second} {
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "could not be cut back") {
			t.Errorf("%v", err)
		}
	}
	if text, err := os.ReadFile(f.steps.path); err != nil || string(text) != fullLine[:10] {
		t.Errorf("the file is %q, %v", text, err)
	}
}

func TestAFullDiskForEventsNamesTheirFile(t *testing.T) {
	f := mustCreate(t, t.TempDir())
	if err := f.Step(fullStep(), wall); err != nil {
		t.Fatal(err)
	}
	f.events.w = &fullDisk{f.events.file, 5}
	err := f.Epoch(&Epoch{Epoch: 4}, wall)
	if want := "record: log epoch 4: " + f.events.path + ": no space left on device"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if text, _ := os.ReadFile(f.events.path); len(parseEvents(t, text)) != 2 {
		t.Errorf("the event file is not what it was: %q", text)
	}
}

func TestLoggingAllocatesNothing(t *testing.T) {
	f := mustCreate(t, t.TempDir())
	s, e := fullStep(), &Epoch{TrainLoss: Some(1)}
	log := func() {
		if f.Step(s, wall) != nil || f.Epoch(e, wall) != nil {
			t.Error("logging failed")
		}
	}
	log()
	if n := testing.AllocsPerRun(50, log); n != 0 {
		t.Errorf("%v allocations a step", n)
	}
}

func TestEqualValuesGiveEqualBytes(t *testing.T) {
	var files [2]map[string]string
	for i := range files {
		dir := t.TempDir()
		f := mustCreate(t, dir)
		logSteps(t, f, 0, 20)
		if err := f.SaveCheckpoint(testCheckpoint(20)); err != nil {
			t.Fatal(err)
		}
		f.Close()
		files[i] = contents(t, dir)
	}
	for name, text := range files[0] {
		if !bytes.Equal([]byte(text), []byte(files[1][name])) {
			t.Errorf("%s differs", name)
		}
	}
}
