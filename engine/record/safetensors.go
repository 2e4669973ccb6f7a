package record

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"unicode/utf8"
)

// A safetensors file is a uint64 length of the header (little-endian), the
// header, and the tensors' bytes. The header is a JSON object of
// {"dtype","shape","data_offsets":[begin,end]} by tensor name, the offsets
// counted from the end of the header, and under "__metadata__" an object of
// strings (https://github.com/huggingface/safetensors#format).

const metadataKey = "__metadata__"

// WriteSafetensors writes tensors and metadata, either of which may be empty.
// Equal arguments give equal bytes: float64 tensors come first, then float32
// ones (which aligns every number, as PyTorch's reader needs), each in the
// order given; metadata is sorted by key. A tensor whose elements don't fill
// its shape, a name used twice and text that is not UTF-8 are errors, before
// anything is written.
func WriteSafetensors(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	ordered := make([]Tensor, 0, len(tensors))
	for _, d := range []dtype{f64, f32} {
		for _, t := range tensors {
			if t.is == d {
				ordered = append(ordered, t)
			}
		}
	}
	header, err := encodeHeader(ordered, metadata)
	if err != nil {
		return fmt.Errorf("record: write safetensors: %w", err)
	}
	if len(ordered) != len(tensors) {
		return errors.New("record: write safetensors: a tensor has no elements and no type: make it with NewTensor")
	}
	if err := binary.Write(w, binary.LittleEndian, uint64(len(header))); err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	buf := make([]byte, chunk)
	for _, t := range ordered {
		if err := t.encode(buf, func(b []byte) error { _, err := w.Write(b); return err }); err != nil {
			return err
		}
	}
	return nil
}

// encodeHeader returns the header of tensors stored in the given order,
// padded to a multiple of 8 bytes.
func encodeHeader(tensors []Tensor, metadata map[string]string) ([]byte, error) {
	var e lineEncoder
	e.begin()
	if len(metadata) > 0 {
		e.key(metadataKey)
		e.buf = append(e.buf, '{')
		for _, key := range slices.Sorted(maps.Keys(metadata)) {
			if !utf8.ValidString(key) || !utf8.ValidString(metadata[key]) {
				return nil, fmt.Errorf("metadata %q is not UTF-8", key)
			}
			e.key(key)
			e.buf = appendString(e.buf, metadata[key])
		}
		e.buf = append(e.buf, '}')
	}
	seen := make(map[string]bool, len(tensors))
	offset := 0
	for _, t := range tensors {
		if t.Name == "" || t.Name == metadataKey || seen[t.Name] || !utf8.ValidString(t.Name) {
			return nil, fmt.Errorf("tensor name %q is empty, reserved, used twice or not UTF-8", t.Name)
		}
		seen[t.Name] = true
		if n, ok := elements(t.Shape); !ok || n != t.Len() {
			return nil, fmt.Errorf("tensor %s: shape %v does not hold its %d elements", t.Name, t.Shape, t.Len())
		}
		end := offset + t.Len()*t.is.size()
		e.key(t.Name)
		e.buf = append(e.buf, `{"dtype":"`...)
		e.buf = append(e.buf, t.is...)
		e.buf = append(e.buf, `","shape":[`...)
		for i, d := range t.Shape {
			if i > 0 {
				e.buf = append(e.buf, ',')
			}
			e.buf = strconv.AppendInt(e.buf, int64(d), 10)
		}
		e.buf = append(e.buf, `],"data_offsets":[`...)
		e.buf = strconv.AppendInt(e.buf, int64(offset), 10)
		e.buf = append(e.buf, ',')
		e.buf = strconv.AppendInt(e.buf, int64(end), 10)
		e.buf = append(e.buf, ']', '}')
		offset = end
	}
	e.buf = append(e.buf, '}')
	for len(e.buf)%8 != 0 {
		e.buf = append(e.buf, ' ')
	}
	return e.buf, nil
}

// ReadSafetensors reads a safetensors file of size bytes. Tensors come in the
// header's order, F16 and BF16 ones as float32. The whole header is checked
// before anything is allocated for the tensors, and what is allocated is
// bounded by a small multiple of size; metadata is never nil.
func ReadSafetensors(r io.ReaderAt, size int64) (tensors []Tensor, metadata map[string]string, err error) {
	defer func() {
		if err != nil {
			tensors, metadata, err = nil, nil, fmt.Errorf("record: read safetensors: %w", err)
		}
	}()
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, nil, fmt.Errorf("%d bytes are too few: a file has at least 8", size)
	}
	if err := readAt(r, prefix[:], 0); err != nil {
		return nil, nil, err
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if length > uint64(size)-8 {
		return nil, nil, fmt.Errorf("the header has %d bytes by its length, the file %d after it: not a safetensors file, or cut short", length, size-8)
	}
	header := make([]byte, length)
	if err := readAt(r, header, 8); err != nil {
		return nil, nil, err
	}
	start := 8 + int64(length)
	entries, metadata, err := parseHeader(header)
	if err != nil {
		return nil, nil, err
	}
	if err := checkLayout(entries, size-start); err != nil {
		return nil, nil, err
	}
	tensors = make([]Tensor, 0, len(entries))
	for _, e := range entries {
		at := start + e.begin
		t, err := decode(e.name, e.shape, e.dtype, e.count, func(b []byte) error {
			err := readAt(r, b, at)
			at += int64(len(b))
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		tensors = append(tensors, t)
	}
	return tensors, metadata, nil
}

// readAt fills b from r at offset.
func readAt(r io.ReaderAt, b []byte, offset int64) error {
	if n, err := r.ReadAt(b, offset); n < len(b) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("byte %d: %w", offset+int64(n), err)
	}
	return nil
}

// checkLayout returns an error unless the tensors fill size bytes without
// holes, overlaps or a rest.
func checkLayout(entries []entry, size int64) error {
	sorted := slices.SortedStableFunc(slices.Values(entries), func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	at := int64(0)
	for _, e := range sorted {
		switch {
		case e.end > size:
			return fmt.Errorf("tensor %.80q: it ends at byte %d of %d: the file is cut short", e.name, e.end, size)
		case e.begin < at:
			return fmt.Errorf("tensor %.80q: its bytes %d to %d overlap with those of another", e.name, e.begin, e.end)
		case e.begin > at:
			return fmt.Errorf("tensor %.80q: bytes %d to %d before it belong to no tensor", e.name, at, e.begin)
		}
		at = e.end
	}
	if at != size {
		return fmt.Errorf("%d bytes after the last tensor belong to none", size-at)
	}
	return nil
}

// readFile reads the safetensors file at path.
func readFile(path string) ([]Tensor, map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("record: read safetensors: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("record: read safetensors: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("record: read safetensors: %s is not a file", path)
	}
	if info.Size() > math.MaxInt {
		return nil, nil, fmt.Errorf("record: read safetensors: %s is too large for this machine", path)
	}
	tensors, metadata, err := ReadSafetensors(f, info.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("%w (in %s)", err, path)
	}
	return tensors, metadata, nil
}
