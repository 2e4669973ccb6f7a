package trajectory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
)

// Float is the type of a path's numbers: float32 or float64.
type Float interface{ float32 | float64 }

// ErrNotFinite is the error of a point with a number that is infinite or none.
var ErrNotFinite = errors.New("trajectory: not finite")

// castagnoli is the polynomial of the rows' checksums.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Writer appends points to a trajectory. It is not for concurrent use.
type Writer[T Float] struct {
	header Header
	file   *os.File
	row    []byte
	matrix *matrix   // nil without a projection
	image  []float64 // of θ under it
	last   int       // step, −1 where there is none
	err    error     // of an append; nothing is written after one
}

// Create begins a trajectory in the folder dir, which is made where it is missing;
// one that is there is replaced. h.DType is set by T.
func Create[T Float](dir string, h Header) (*Writer[T], error) {
	w, err := newWriter[T](h)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("trajectory: %w", err)
	}
	// Rows of an older trajectory are never read with the new header.
	path := filepath.Join(dir, rowsFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("trajectory: %w", err)
	}
	if err := w.header.write(dir); err != nil {
		return nil, fmt.Errorf("trajectory: %w", err)
	}
	return w, w.open(path)
}

// Resume goes on with the trajectory in dir after the given step: points of later
// steps are dropped. h must be that of the trajectory, and wanted says of which
// steps up to step there have to be points, in order; a point that is missing is an
// error, before anything is dropped.
func Resume[T Float](dir string, h Header, step int, wanted func(step int) bool) (*Writer[T], error) {
	w, err := newWriter[T](h)
	if err != nil {
		return nil, err
	}
	t, err := Open(dir)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	if err := w.header.same(&t.Header); err != nil {
		return nil, fmt.Errorf("trajectory: %s: %w", dir, err)
	}
	keep, from := 0, 0
	for ; keep < len(t.Points) && t.Points[keep].Step <= step; keep++ {
		if missing := firstWanted(from, t.Points[keep].Step, wanted); missing >= 0 {
			return nil, fmt.Errorf("trajectory: %s: there is no point of step %d: the path cannot go on from step %d", dir, missing, step)
		}
		w.last = t.Points[keep].Step
		from = w.last + 1
	}
	if missing := firstWanted(from, step+1, wanted); missing >= 0 {
		return nil, fmt.Errorf("trajectory: %s: there is no point of step %d: the path cannot go on from step %d", dir, missing, step)
	}
	path := filepath.Join(dir, rowsFile)
	if err := os.Truncate(path, int64(keep)*int64(len(w.row))); err != nil {
		return nil, fmt.Errorf("trajectory: %w", err)
	}
	return w, w.open(path)
}

// firstWanted returns the first step from from to below to that is wanted, −1 for
// none.
func firstWanted(from, to int, wanted func(step int) bool) int {
	for s := from; s < to; s++ {
		if wanted(s) {
			return s
		}
	}
	return -1
}

func newWriter[T Float](h Header) (*Writer[T], error) {
	h.DType = float32Type
	var zero T
	if _, double := any(zero).(float64); double {
		h.DType = float64Type
	}
	if err := h.validate(); err != nil {
		return nil, fmt.Errorf("trajectory: %w", err)
	}
	w := &Writer[T]{header: h, row: make([]byte, h.rowSize()), last: -1}
	if p := h.Projection; p != nil {
		w.matrix, w.image = p.matrix(h.Size()), make([]float64, p.Dim)
	}
	return w, nil
}

// open opens the file of rows for appending.
func (w *Writer[T]) open(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return fmt.Errorf("trajectory: %w", err)
	}
	w.file = f
	return nil
}

// Add appends the point theta of a step and its time t = Σ η. Steps rise from point
// to point. Where theta is not finite the error is ErrNotFinite with the first
// such number. After an error nothing is added any more, and the points before stay.
func (w *Writer[T]) Add(step int, time float64, theta []T) error {
	if w.err != nil {
		return w.err
	}
	if len(theta) != w.header.Size() {
		return fmt.Errorf("trajectory: step %d: a point of %d numbers, the model has %d", step, len(theta), w.header.Size())
	}
	if step <= w.last {
		return fmt.Errorf("trajectory: step %d after step %d: steps rise", step, w.last)
	}
	for i, x := range theta {
		if v := float64(x); v-v != 0 { // Inf or NaN
			return fmt.Errorf("%w: step %d: number %d of the point is %g", ErrNotFinite, step, i, v)
		}
	}
	binary.LittleEndian.PutUint64(w.row, uint64(step))
	binary.LittleEndian.PutUint64(w.row[8:], math.Float64bits(time))
	body := w.row[rowHead : len(w.row)-rowTail]
	if w.matrix != nil {
		apply(w.matrix, w.image, theta)
		for i, y := range w.image {
			put(body, i, T(y))
		}
	} else {
		for i, x := range theta {
			put(body, i, x)
		}
	}
	binary.LittleEndian.PutUint32(w.row[len(w.row)-rowTail:], crc32.Checksum(w.row[:len(w.row)-rowTail], castagnoli))
	if n, err := w.file.Write(w.row); err != nil {
		if n > 0 {
			err = errors.Join(err, w.cut(n))
		}
		w.err = fmt.Errorf("trajectory: step %d: %w", step, err)
		return w.err
	}
	w.last = step
	return nil
}

// cut takes off the n bytes of a row that was not written whole.
func (w *Writer[T]) cut(n int) error {
	info, err := w.file.Stat()
	if err != nil {
		return err
	}
	return os.Truncate(w.file.Name(), info.Size()-int64(n)) // by path, as Windows wants it
}

// put writes number i of a row.
func put[T Float](body []byte, i int, x T) {
	switch v := any(x).(type) {
	case float32:
		binary.LittleEndian.PutUint32(body[4*i:], math.Float32bits(v))
	case float64:
		binary.LittleEndian.PutUint64(body[8*i:], math.Float64bits(v))
	}
}

// Last returns the step of the last point, −1 where there is none.
func (w *Writer[T]) Last() int { return w.last }

// Sync makes durable what was added.
func (w *Writer[T]) Sync() error {
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("trajectory: %w", err)
	}
	return nil
}

// Close makes durable what was added and closes the file. It may be called on nil
// and twice.
func (w *Writer[T]) Close() error {
	if w == nil || w.file == nil {
		return nil
	}
	err := errors.Join(w.file.Sync(), w.file.Close())
	w.file = nil
	if err != nil {
		return fmt.Errorf("trajectory: %w", err)
	}
	return nil
}

// same returns an error where other is the header of other points.
func (h *Header) same(other *Header) error {
	if err := other.Fits(h.Params); err != nil {
		return err
	}
	if h.DType != other.DType {
		return fmt.Errorf("its numbers are %s, the path's %s", other.DType, h.DType)
	}
	if (h.Projection == nil) != (other.Projection == nil) || h.Projection != nil && *h.Projection != *other.Projection {
		return errors.New("it has another projection")
	}
	return nil
}

// writeBytes returns the function that writes b.
func writeBytes(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}
