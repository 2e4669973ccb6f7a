package queue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"sgflow/engine/train"
)

// Job is a run to be done.
type Job struct {
	Sweep string `json:"sweep"` // the sweep's id
	Run   string `json:"run"`   // the run's id
	// Attempt is how often the run has failed before.
	Attempt int `json:"attempt"`
	// Config is what to do. Where it is done is up to the worker: Out and
	// Threads count for nothing.
	Config train.Config `json:"config"`
	// Hashes are the SHA-256 of the data set's files by name, as data.Set has
	// them: the worker's data must have the same.
	Hashes map[string]string `json:"hashes"`
	// Data are the files of the data set where it travels with the sweep, else
	// empty: the worker has it, by its name.
	Data []File `json:"data,omitempty"`
	// Weights is the file that the run starts from, where it has one.
	Weights *File `json:"weights,omitempty"`
	// KeepWeights asks for the final weights beside the logs.
	KeepWeights bool `json:"keep_weights,omitempty"`
	// MostDeliveries is how often the run is handed to a worker before it is
	// given up as one that kills its workers.
	MostDeliveries int `json:"most_deliveries"`
}

// Outcome is how an attempt at a run ended.
type Outcome struct {
	Run      string    `json:"run"`
	Worker   string    `json:"worker"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// Files are those of the run folder, of a run that is done.
	Files []File `json:"files,omitempty"`
	// Error says in a line why the attempt failed, "" where it did not.
	Error string `json:"error,omitempty"`
	// Final says that the run would fail again in the same way.
	Final bool `json:"final,omitempty"`
	// GiveUp says that another attempt is of no use for another reason: the
	// run was lost too often.
	GiveUp bool `json:"give_up,omitempty"`
}

// File is a file in the object store.
type File struct {
	Name   string `json:"name"`   // in its folder
	Object string `json:"object"` // in the object store
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Progress is how far a worker is with a run. A message with Run "" says that
// the worker has nothing to do.
type Progress struct {
	Worker string  `json:"worker"`
	Run    string  `json:"run"`
	Step   int     `json:"step"`  // steps done
	Steps  int     `json:"steps"` // in the whole run
	Loss   float64 `json:"loss"`  // of the last step's batch
}

// The largest messages.
const (
	maxJob     = 256 << 10
	maxOutcome = 256 << 10
)

// maxError is the length at which the text of an error is cut.
const maxError = 4 << 10

var (
	sweepID = regexp.MustCompile(`^[0-9a-f]{16}$`)
	runID   = sweepID
)

// ValidID reports whether id can be that of a sweep or a run.
func ValidID(id string) bool { return sweepID.MatchString(id) }

// decode reads a message strictly: what it does not know is an error.
func decode(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// check returns an error where j is no job that a sweep submits.
func (j *Job) check() error {
	if !sweepID.MatchString(j.Sweep) || !runID.MatchString(j.Run) {
		return fmt.Errorf("its ids %.40q and %.40q are none", j.Sweep, j.Run)
	}
	files := j.Data
	if j.Weights != nil {
		files = append(files[:len(files):len(files)], *j.Weights)
	}
	return checkFiles(files)
}

// fileName is what a file that travels may be called: no path, nothing hidden.
var fileName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$`)

func checkFiles(files []File) error {
	if len(files) > 100 {
		return fmt.Errorf("it has %d files", len(files))
	}
	for _, f := range files {
		if !fileName.MatchString(f.Name) || f.Size < 0 || f.Size > MaxFile || len(f.SHA256) != 64 {
			return fmt.Errorf("its file %.120q is none", f.Name)
		}
	}
	return nil
}
