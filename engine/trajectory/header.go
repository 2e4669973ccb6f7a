package trajectory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"sgflow/engine/record"
)

// The files of a trajectory.
const (
	headerFile = record.TrajectoryFile
	rowsFile   = record.TrajectoryRowsFile
)

// version is that of the format; readers know no other.
const version = 1

// The types of a row's numbers.
const (
	float32Type = "float32"
	float64Type = "float64"
)

// Header says what the points of a trajectory are.
type Header struct {
	// Params are the parameters of the model, in the order of θ.
	Params []record.ParamSpec
	// Projection is nil where points are kept in full.
	Projection *Projection
	// DType is the type of the numbers, float32 or float64; a Writer sets it.
	DType string
}

// file is a Header as trajectory.json has it.
type file struct {
	Version    int             `json:"version"`
	DType      string          `json:"dtype"`
	Dim        int             `json:"dim"` // numbers a row
	Params     []param         `json:"params"`
	Projection *projectionFile `json:"projection,omitempty"`
}

type param struct {
	Name  string `json:"name"`
	Shape []int  `json:"shape"`
}

// projectionFile is a Projection with what it promises.
type projectionFile struct {
	Dim    int     `json:"dim"`
	Seed   uint64  `json:"seed"`
	Stderr float64 `json:"distance_sq_relative_stderr"`
	About  string  `json:"about"`
}

// Size returns the length of θ.
func (h *Header) Size() int {
	total := 0
	for _, p := range h.Params {
		size := 1
		for _, n := range p.Shape {
			size *= n
		}
		total += size
	}
	return total
}

// Dim returns how many numbers a row has.
func (h *Header) Dim() int {
	if h.Projection != nil {
		return h.Projection.Dim
	}
	return h.Size()
}

// Fits returns an error that names the first difference where the parameters are
// not those of h's model.
func (h *Header) Fits(params []record.ParamSpec) error {
	for i, p := range h.Params {
		if i >= len(params) {
			return fmt.Errorf("it is of another model: it has %s, which this one lacks", p.Name)
		}
		if q := params[i]; p.Name != q.Name || !slices.Equal(p.Shape, q.Shape) {
			return fmt.Errorf("it is of another model: its parameter %d is %s %v, here it is %s %v", i+1, p.Name, p.Shape, q.Name, q.Shape)
		}
	}
	if len(params) > len(h.Params) {
		return fmt.Errorf("it is of another model: it has no %s", params[len(h.Params)].Name)
	}
	return nil
}

// rowSize returns the bytes of a row.
func (h *Header) rowSize() int {
	size := 4
	if h.DType == float64Type {
		size = 8
	}
	return rowHead + h.Dim()*size + rowTail
}

// The bytes of a row before and after its numbers.
const (
	rowHead = 16
	rowTail = 4
)

// validate returns an error for a header that no trajectory can have.
func (h *Header) validate() error {
	switch {
	case h.DType != float32Type && h.DType != float64Type:
		return fmt.Errorf("the numbers are of type %.20q: float32 and float64 are known", h.DType)
	case len(h.Params) == 0:
		return errors.New("it has no parameters")
	}
	const most = 1 << 40 // numbers of θ; beyond it products could overflow
	size := 1
	for _, p := range h.Params {
		part := 1
		for _, n := range p.Shape {
			if n < 1 || n > most/part {
				return fmt.Errorf("parameter %.80q has the shape %.80s", p.Name, fmt.Sprint(p.Shape))
			}
			part *= n
		}
		if size += part; size > most {
			return errors.New("it has more parameters than there can be")
		}
	}
	if p := h.Projection; p != nil && (p.Dim < 1 || p.Dim >= h.Size()) {
		return fmt.Errorf("a projection of %d numbers to %d: give 1 or more and fewer than there are", h.Size(), p.Dim)
	}
	return nil
}

// write replaces the header in the folder.
func (h *Header) write(dir string) error {
	f := file{Version: version, DType: h.DType, Dim: h.Dim()}
	for _, p := range h.Params {
		f.Params = append(f.Params, param{p.Name, p.Shape})
	}
	if p := h.Projection; p != nil {
		f.Projection = &projectionFile{Dim: p.Dim, Seed: p.Seed, Stderr: p.Stderr(), About: p.about()}
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("trajectory: header: %w", err)
	}
	return record.WriteFileAtomic(filepath.Join(dir, headerFile), writeBytes(append(text, '\n')))
}

// readHeader reads the header in the folder.
func readHeader(dir string) (*Header, error) {
	path := filepath.Join(dir, headerFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("trajectory: %s holds none: it has no %s; `sgflow train --trajectory log` keeps one in its run folder", dir, headerFile)
	}
	if err != nil {
		return nil, fmt.Errorf("trajectory: %w", err)
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("trajectory: %s: %w", path, err)
	}
	if f.Version != version {
		return nil, fmt.Errorf("trajectory: %s: it is of version %d, this program reads version %d", path, f.Version, version)
	}
	h := &Header{DType: f.DType}
	for _, p := range f.Params {
		h.Params = append(h.Params, record.ParamSpec{Name: p.Name, Shape: p.Shape})
	}
	if p := f.Projection; p != nil {
		h.Projection = &Projection{Dim: p.Dim, Seed: p.Seed}
	}
	if err := h.validate(); err != nil {
		return nil, fmt.Errorf("trajectory: %s: %w", path, err)
	}
	if f.Dim != h.Dim() {
		return nil, fmt.Errorf("trajectory: %s: a row has %d numbers by its dim, %d by its parameters", path, f.Dim, h.Dim())
	}
	return h, nil
}
