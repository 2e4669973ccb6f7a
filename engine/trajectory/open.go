package trajectory

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
)

// Point names a point of a trajectory.
type Point struct {
	Step int     // steps done
	Time float64 // t = Σ η over them
}

// Trajectory is a stored path, open for reading. Points stay in the file until they
// are read: many of a large model are more than memory holds. Its methods may be
// called concurrently.
type Trajectory struct {
	Header
	Points []Point // steps rise
	// Ignored is how many bytes at the end are no whole rows: what a killed process
	// was writing.
	Ignored int64

	dir  string
	file *os.File
}

// Open opens the trajectory in the folder dir and checks every row. What follows
// the first row that is cut short or whose checksum is wrong is ignored. Close
// frees it.
func Open(dir string) (*Trajectory, error) {
	h, err := readHeader(dir)
	if err != nil {
		return nil, err
	}
	t := &Trajectory{Header: *h, dir: dir}
	t.file, err = os.Open(filepath.Join(dir, rowsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("trajectory: %s: it has %s but no %s", dir, headerFile, rowsFile)
	}
	if err != nil {
		return nil, fmt.Errorf("trajectory: %w", err)
	}
	if err := t.scan(); err != nil {
		t.file.Close()
		return nil, fmt.Errorf("trajectory: %s: %w", dir, err)
	}
	return t, nil
}

// scan finds the points.
func (t *Trajectory) scan() error {
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	size := int64(t.rowSize())
	if info.Size() < size { // before memory is taken for what is not there
		t.Ignored = info.Size()
		return nil
	}
	r := bufio.NewReaderSize(t.file, 1<<20)
	row := make([]byte, size)
	last := -1
	for {
		_, err := io.ReadFull(r, row)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
		end := len(row) - rowTail
		if crc32.Checksum(row[:end], castagnoli) != binary.LittleEndian.Uint32(row[end:]) {
			break
		}
		step, time := int(binary.LittleEndian.Uint64(row)), math.Float64frombits(binary.LittleEndian.Uint64(row[8:]))
		if step <= last {
			return fmt.Errorf("the point after step %d is of step %d: steps rise", last, step)
		}
		last = step
		t.Points = append(t.Points, Point{step, time})
	}
	t.Ignored = info.Size() - int64(len(t.Points))*size
	return nil
}

// Dir returns the folder's path as it was given.
func (t *Trajectory) Dir() string { return t.dir }

// Read stores in out the numbers first … first+len(out)−1 of point i, exact in
// float64: elements of θ, or of its projection.
func (t *Trajectory) Read(out []float64, i, first int) error {
	width := 4
	if t.DType == float64Type {
		width = 8
	}
	raw := make([]byte, len(out)*width)
	if _, err := t.file.ReadAt(raw, int64(i)*int64(t.rowSize())+rowHead+int64(first*width)); err != nil {
		return fmt.Errorf("trajectory: %s: point %d: %w", t.dir, i, err)
	}
	for k := range out {
		if width == 8 {
			out[k] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*k:]))
		} else {
			out[k] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*k:])))
		}
	}
	return nil
}

// Close closes the file.
func (t *Trajectory) Close() error { return t.file.Close() }
