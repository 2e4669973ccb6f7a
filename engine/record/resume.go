package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Resume opens the run folder dir to go on at the given step: the number of
// steps done, as in the checkpoint that the caller starts from. The logs are
// cut back to the lines of earlier steps, and later checkpoints removed, so
// that a replay writes what the first run would have. A log that lacks earlier
// steps is an error, before anything is cut.
func Resume(dir string, step int) (f *Folder, err error) {
	held, err := take(dir)
	if err != nil {
		return nil, fmt.Errorf("record: resume: %w", err)
	}
	defer func() {
		if err != nil {
			held.Close()
		}
	}()
	stepsPath, epochsPath := filepath.Join(dir, stepsFile), filepath.Join(dir, epochsFile)
	steps, last, err := linesBefore(stepsPath, step)
	if err != nil {
		return nil, fmt.Errorf("record: resume: %w", err)
	}
	if last != step-1 {
		return nil, fmt.Errorf("record: resume: %s: the last step before %d is %d: lines are missing, so the run cannot go on from its checkpoint",
			stepsPath, step, last)
	}
	epochs, _, err := linesBefore(epochsPath, step)
	if err != nil {
		return nil, fmt.Errorf("record: resume: %w", err)
	}
	events, err := eventFiles(dir)
	if err != nil {
		return nil, fmt.Errorf("record: resume: %w", err)
	}

	// Cutting a file at the end of a record is atomic by itself: each file
	// is a run's log up to some step at any moment.
	for _, cut := range []struct {
		path string
		size int64
	}{{stepsPath, steps}, {epochsPath, epochs}} {
		if err := os.Truncate(cut.path, cut.size); err != nil {
			return nil, fmt.Errorf("record: resume: %w", err)
		}
	}
	for _, path := range events {
		if err := cutEvents(path, step); err != nil {
			return nil, fmt.Errorf("record: resume: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, checkpointDir), 0o777); err != nil {
		return nil, fmt.Errorf("record: resume: %w", err)
	}
	if err := removeCheckpointsAfter(dir, step); err != nil {
		return nil, err
	}
	for _, d := range []string{dir, filepath.Join(dir, checkpointDir)} {
		if err := removeTemps(d); err != nil {
			return nil, fmt.Errorf("record: resume: %w", err)
		}
	}
	if f, err = openFolder(dir, held); err != nil {
		return nil, err
	}
	if len(events) > 0 {
		if f.events, err = openLog(events[len(events)-1]); err != nil {
			f.Close()
			return nil, fmt.Errorf("record: resume: %w", err)
		}
	}
	return f, nil
}

// eventFiles returns the paths of the event files in dir, oldest first.
func eventFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted by name, which begins with the time
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), eventsPrefix) {
			paths = append(paths, filepath.Join(dir, entry.Name()))
		}
	}
	return paths, nil
}

// linesBefore returns the length of the lines at the start of the file whose
// step is below step, and the last such step, or -1. A line cut short ends
// them.
func linesBefore(path string, step int) (size int64, last int, err error) {
	last = -1
	err = eachLine(path, func(number int, line []byte, whole bool) error {
		if !whole {
			return io.EOF
		}
		var at struct{ Step *int }
		if err := json.Unmarshal(line, &at); err != nil {
			return fmt.Errorf("%s: line %d: %w", path, number, err)
		}
		if at.Step == nil {
			return fmt.Errorf("%s: line %d: it has no step", path, number)
		}
		if *at.Step >= step {
			return io.EOF
		}
		size, last = size+int64(len(line))+1, *at.Step
		return nil
	})
	return size, last, err
}

// eachLine calls visit with every line of the file, counted from 1, and
// whether it is whole, that is, ends in a newline. visit may keep nothing of
// line, and stops the reading with an error; io.EOF is none.
func eachLine(path string, visit func(number int, line []byte, whole bool) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<16)
	for number := 1; ; number++ {
		line, err := r.ReadBytes('\n')
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("%s: line %d: %w", path, number, err)
		}
		text, whole := bytes.CutSuffix(line, []byte{'\n'})
		if err := visit(number, text, whole); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}
