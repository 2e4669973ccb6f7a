package study

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sgflow/engine/record"
	"sgflow/engine/request"
)

// The files of a folder.
const (
	linesFile  = "flow.jsonl" // every Sample and Distance, as they are measured
	resultFile = "flow.json"  // the Result
	pageName   = "flow"       // flow.html
)

// Folder is where a study is written.
type Folder struct {
	Dir   string
	lines *os.File
}

// DefaultDir names the folder of a study by the time, the model and the data.
func DefaultDir(c *Config, now time.Time) string {
	plain := strings.NewReplacer(":", "-", ",", "-", "=", "-", "/", "-", `\`, "-")
	model := plain.Replace(c.Model)
	if len(model) > 40 {
		model = model[:40]
	}
	return filepath.Join("runs", now.Format("20060102-150405")+"-flow-"+model+"-"+plain.Replace(filepath.Base(c.Data)))
}

// CreateFolder makes the folder and its log. A folder that holds a study already is
// a request.Error.
func CreateFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, request.Wrap(fmt.Errorf("--out: %w", err))
	}
	f, err := os.OpenFile(filepath.Join(dir, linesFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		err = fmt.Errorf("--out %s: there is a study already: give another folder", dir)
	}
	if err != nil {
		return nil, request.Wrap(err)
	}
	return &Folder{dir, f}, nil
}

// Log appends a line, in one write.
func (f *Folder) Log(line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("flow: %s: %w", linesFile, err)
	}
	if _, err := f.lines.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("flow: %w", err)
	}
	return nil
}

// Save writes what was found: the result as JSON, the page and its charts.
func (f *Folder) Save(r *Result) error {
	err := record.WriteFileAtomic(filepath.Join(f.Dir, resultFile), func(w io.Writer) error { return json.NewEncoder(w).Encode(r) })
	if err != nil {
		return err
	}
	return r.Page().Save(f.Dir, pageName)
}

// Close closes the log.
func (f *Folder) Close() error {
	if err := f.lines.Close(); err != nil {
		return fmt.Errorf("flow: %w", err)
	}
	return nil
}
