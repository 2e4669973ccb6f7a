package record

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Run is run.json: everything needed to repeat a run, and how it ended.
type Run struct {
	// Config is the full configuration. A struct keeps the order of its
	// fields in the file.
	Config any `json:"config"`
	// Seed keys all randomness of the run.
	Seed uint64 `json:"seed"`
	// Versions names what ran: "sgflow", "go", …
	Versions map[string]string `json:"versions"`
	// Device is where it ran.
	Device string `json:"device"`
	// Data holds the SHA-256 of every data file, by name.
	Data map[string]string `json:"data"`
	// Started and Finished are wall-clock times; Finished is absent while
	// the run is under way.
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	// Costs says what each quantity cost, in the process that ended the run.
	Costs []Cost `json:"costs,omitempty"`
	// Summary is absent until the run has ended.
	Summary *Summary `json:"summary,omitempty"`
}

// Cost is what measuring a quantity cost. What several share counts for the
// first of them.
type Cost struct {
	Name  string  `json:"name"`
	Times int     `json:"times"` // how often it was measured
	MS    float64 `json:"ms"`    // mean of those times
	Bytes int     `json:"bytes"` // what it remembers from step to step
}

// Summary is how a run ended: the `summary` of run.json and the output of
// `train --json`.
type Summary struct {
	Steps         int     `json:"steps"`
	Epochs        int     `json:"epochs"`
	Seconds       float64 `json:"seconds"`
	Device        string  `json:"device"`
	TrainLoss     Opt     `json:"train_loss,omitzero"`
	TrainAccuracy Opt     `json:"train_accuracy,omitzero"`
	TestLoss      Opt     `json:"test_loss,omitzero"`
	TestAccuracy  Opt     `json:"test_accuracy,omitzero"`
	Averaged
	Params int `json:"params"`
	// Reached says whether the target of a run that had one was met; nil where
	// there was none.
	Reached *bool  `json:"reached,omitempty"`
	Out     string `json:"out"`
}

// WriteRun replaces run.json atomically.
func (f *Folder) WriteRun(run *Run) error {
	text, err := json.MarshalIndent(run, "", "  ")
	if err != nil {
		return fmt.Errorf("record: encode %s: %w", runFile, err)
	}
	return WriteFileAtomic(filepath.Join(f.dir, runFile), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// ReadRun reads run.json of the run folder dir. config, a pointer or nil,
// receives the configuration and becomes Run.Config; where it is nil,
// Run.Config holds maps and float64s.
func ReadRun(dir string, config any) (*Run, error) {
	path := filepath.Join(dir, runFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("record: read run: %w", err)
	}
	run := &Run{Config: config}
	if err := json.Unmarshal(text, run); err != nil {
		return nil, fmt.Errorf("record: read %s: %w", path, err)
	}
	return run, nil
}
