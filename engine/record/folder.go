package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sgflow/engine/lock"
)

// Names in a run folder.
const (
	runFile       = "run.json"
	stepsFile     = "steps.jsonl"
	epochsFile    = "epochs.jsonl"
	eventsPrefix  = "events.out.tfevents."
	checkpointDir = "checkpoints"
	weightsFile   = "weights.safetensors"
	varianceFile  = "variance.safetensors"
	lockFile      = ".lock"
)

// The files of a trajectory in a run folder, which package trajectory writes.
const (
	TrajectoryFile     = "trajectory.json"
	TrajectoryRowsFile = "trajectory.bin"
)

// Folder is the open folder of a run under way. One goroutine uses it at a
// time, and one process, which has its lock.
type Folder struct {
	dir     string
	lock    *os.File
	steps   *logFile
	epochs  *logFile
	events  *logFile // nil until the first record gives a time to name it by
	held    bool     // by Hold
	encoder lineEncoder
	event   eventEncoder
}

// Create makes the run folder dir and opens it. A folder that is there and
// not empty is refused unless force is set; then the files of the run in it
// are removed, and no other file.
func Create(dir string, force bool) (*Folder, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("record: create run folder: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == lockFile }) // which stays
	if err := clearable(dir, entries, force); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("record: create run folder: %w", err)
	}
	held, err := take(dir)
	if err != nil {
		return nil, fmt.Errorf("record: create run folder: %w", err)
	}
	if err = clearRun(dir, entries); err == nil {
		if err = os.MkdirAll(filepath.Join(dir, checkpointDir), 0o777); err != nil {
			err = fmt.Errorf("record: create run folder: %w", err)
		}
	}
	if err != nil {
		held.Close()
		return nil, err
	}
	return openFolder(dir, held)
}

// take locks the run folder for this process, until the lock is closed.
func take(dir string) (*os.File, error) {
	held, err := lock.Try(filepath.Join(dir, lockFile))
	if errors.Is(err, lock.ErrHeld) {
		return nil, fmt.Errorf("%s: another process is training there: wait for it to end, or stop it", dir)
	}
	return held, err
}

// clearable refuses a folder that is not empty unless force is set.
func clearable(dir string, entries []fs.DirEntry, force bool) error {
	if len(entries) > 0 && !force {
		what := "is not empty"
		for _, entry := range entries {
			if owned(entry.Name()) {
				what = "already holds a run (" + entry.Name() + ")"
				break
			}
		}
		return fmt.Errorf("record: create run folder: %s %s: choose another folder, or --force to replace the run", dir, what)
	}
	return nil
}

// clearRun removes the run that dir holds, if any.
func clearRun(dir string, entries []fs.DirEntry) (err error) {
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		switch {
		case !owned(entry.Name()):
			continue
		case entry.Name() == checkpointDir && entry.IsDir():
			err = clearCheckpoints(path)
		default:
			err = os.Remove(path)
		}
		if err != nil {
			return fmt.Errorf("record: replace run: %w", err)
		}
	}
	return nil
}

// owned reports whether a name in a run folder is the run's.
func owned(name string) bool {
	switch name {
	case runFile, stepsFile, epochsFile, checkpointDir, TrajectoryFile, TrajectoryRowsFile:
		return true
	}
	return strings.HasPrefix(name, eventsPrefix) || isTemp(name)
}

// openFolder opens the logs of dir, whose lock is held, for appending.
func openFolder(dir string, held *os.File) (*Folder, error) {
	f := &Folder{dir: dir, lock: held}
	var err error
	if f.steps, err = openLog(filepath.Join(dir, stepsFile)); err == nil {
		f.epochs, err = openLog(filepath.Join(dir, epochsFile))
	}
	if err != nil {
		f.steps.close()
		held.Close()
		return nil, fmt.Errorf("record: open run folder: %w", err)
	}
	return f, nil
}

// Dir returns the folder's path as it was given.
func (f *Folder) Dir() string { return f.dir }

// WeightsPath returns where the final weights of the run folder dir are.
func WeightsPath(dir string) string { return filepath.Join(dir, checkpointDir, weightsFile) }

// Step logs s, as a line of steps.jsonl and to TensorBoard with the given
// time. A number that is not finite is refused before anything is written.
// After the first step nothing is allocated. On an error what was logged
// before stays readable, and the error names the file and the step.
func (f *Folder) Step(s *Step, wall time.Time) error {
	line, err := f.encoder.step(s)
	if err != nil {
		return fmt.Errorf("record: log %w", err)
	}
	f.steps.append(line)
	err = f.appendEvent(f.event.step(s, wall), wall)
	if err == nil && !f.held {
		err = f.flush()
	}
	if err != nil {
		return fmt.Errorf("record: log step %d: %w", s.Step, err)
	}
	return nil
}

// Hold makes Step keep what it logs until the next Flush: for steps whose numbers come many
// at a time, for which a write each would take longer than the rest.
func (f *Folder) Hold() { f.held = true }

// Flush writes what was kept since Hold, and ends that.
func (f *Folder) Flush() error {
	f.held = false
	if err := f.flush(); err != nil {
		return fmt.Errorf("record: log steps: %w", err)
	}
	return nil
}

// flush writes what was appended to the logs. Where one fails, those after it are left
// without what was meant for them.
func (f *Folder) flush() (err error) {
	for _, l := range []*logFile{f.steps, f.epochs, f.events} {
		if l == nil {
			continue
		}
		if err != nil {
			l.kept = l.kept[:0]
		} else if failed := l.flush(); failed != nil {
			err = fmt.Errorf("%s: %w", l.path, cause(failed))
		}
	}
	return err
}

// Epoch logs e, as Step does a step, to epochs.jsonl and TensorBoard.
func (f *Folder) Epoch(e *Epoch, wall time.Time) error {
	line, err := f.encoder.epoch(e)
	if err != nil {
		return fmt.Errorf("record: log %w", err)
	}
	f.epochs.append(line)
	if err = f.appendEvent(f.event.epoch(e, wall), wall); err == nil {
		err = f.flush()
	}
	if err != nil {
		return fmt.Errorf("record: log epoch %d: %w", e.Epoch, err)
	}
	return nil
}

// appendEvent appends an event, to a new file if there is none yet.
func (f *Folder) appendEvent(event []byte, wall time.Time) error {
	if f.events == nil {
		path := filepath.Join(f.dir, fmt.Sprintf("%s%d.sgflow", eventsPrefix, wall.Unix()))
		events, err := openLog(path)
		if err != nil {
			return err
		}
		var header eventEncoder
		events.append(header.version(wall))
		f.events = events
	}
	f.events.append(event)
	return nil
}

// cause strips the path that a file's own error repeats.
func cause(err error) error {
	if pathErr, ok := err.(*fs.PathError); ok {
		return pathErr.Err
	}
	return err
}

// sync makes durable what was logged.
func (f *Folder) sync() error {
	if err := f.flush(); err != nil {
		return fmt.Errorf("record: sync: %w", err)
	}
	for _, l := range []*logFile{f.steps, f.epochs} {
		if err := l.file.Sync(); err != nil {
			return fmt.Errorf("record: sync: %w", err)
		}
	}
	return nil
}

// Close makes durable what was logged and closes the files. Closing twice
// does nothing.
func (f *Folder) Close() error {
	var first error
	for _, l := range []*logFile{f.steps, f.epochs, f.events} {
		if err := l.close(); err != nil && first == nil {
			first = fmt.Errorf("record: close run folder: %w", err)
		}
	}
	if f.lock != nil {
		if err := f.lock.Close(); err != nil && first == nil {
			first = fmt.Errorf("record: close run folder: %w", err)
		}
		f.lock = nil
	}
	return first
}
