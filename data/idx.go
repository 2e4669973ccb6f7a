package data

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// idxType is the third byte of an IDX file: the type of its elements.
// The format is described at the MNIST database's page: two zero bytes, the
// type, the number of dimensions, each dimension as a big-endian uint32, then
// the elements in row-major order, big-endian.
type idxType byte

const (
	idxUint8   idxType = 0x08
	idxInt8    idxType = 0x09
	idxInt16   idxType = 0x0B
	idxInt32   idxType = 0x0C
	idxFloat32 idxType = 0x0D
	idxFloat64 idxType = 0x0E
)

// size is the bytes that one element takes, 0 for an unknown type.
func (t idxType) size() int {
	switch t {
	case idxUint8, idxInt8:
		return 1
	case idxInt16:
		return 2
	case idxInt32, idxFloat32:
		return 4
	case idxFloat64:
		return 8
	}
	return 0
}

// at returns element i of big-endian elements of type t. Every value is exact
// in a float64.
func (t idxType) at(b []byte, i int) float64 {
	switch t {
	case idxInt8:
		return float64(int8(b[i]))
	case idxInt16:
		return float64(int16(binary.BigEndian.Uint16(b[2*i:])))
	case idxInt32:
		return float64(int32(binary.BigEndian.Uint32(b[4*i:])))
	case idxFloat32:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b[4*i:])))
	case idxFloat64:
		return math.Float64frombits(binary.BigEndian.Uint64(b[8*i:]))
	}
	return float64(b[i])
}

// idxFile is the content of one IDX file.
type idxFile struct {
	typ    idxType
	dims   []int
	raw    []byte // the elements as they stand in the file
	sha256 string // of the decompressed file, hexadecimal
}

// shape returns the dimensions as 60000×28×28.
func (f *idxFile) shape() string {
	s := make([]string, len(f.dims))
	for i, d := range f.dims {
		s[i] = strconv.Itoa(d)
	}
	return strings.Join(s, "×")
}

// unknownSize is the size of a source whose size can't be trusted.
const unknownSize = -1

// readIDX reads one IDX file, raw or gzip (seen by its first bytes), to its
// very end. size is the number of bytes that r holds, or unknownSize. It
// believes the dimensions in the header only as far as the bytes really come:
// a raw file of another size is refused before anything is allocated, and
// otherwise memory grows with what has been read.
func readIDX(r io.Reader, size int64) (*idxFile, error) {
	if size == 0 {
		return nil, errors.New("the file is empty")
	}
	br := bufio.NewReaderSize(r, 1<<16)
	head, err := br.Peek(2)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return readRawIDX(br, size, size)
	}
	zr, err := gzip.NewReader(br)
	if err != nil {
		return nil, gzipError(err)
	}
	// MNIST-like images shrink four- to five-fold: room for that is made at
	// once, the rest only when it comes.
	hint := size
	if size > 0 {
		hint = 5 * size
	}
	f, err := readRawIDX(zr, unknownSize, hint)
	if err != nil {
		return nil, gzipError(err)
	}
	return f, nil
}

// gzipError says in words what is wrong with a gzip stream.
func gzipError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("truncated: the gzip stream ends early")
	}
	if strings.HasPrefix(err.Error(), "gzip: ") || strings.HasPrefix(err.Error(), "flate: ") {
		return fmt.Errorf("corrupt: %w", err)
	}
	return err
}

// readRawIDX reads a decompressed IDX file of the given size or unknownSize,
// making room for at most hint bytes (a default where it is negative) before
// they have come.
func readRawIDX(r io.Reader, size, hint int64) (*idxFile, error) {
	hash := sha256.New()
	r = io.TeeReader(r, hash)

	var magic [4]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil {
		return nil, headerError(err)
	}
	f := &idxFile{typ: idxType(magic[2])}
	rank := int(magic[3])
	if magic[0] != 0 || magic[1] != 0 || f.typ.size() == 0 || rank < 1 || rank > 4 {
		return nil, fmt.Errorf("not an IDX file: it begins with %02x %02x %02x %02x; "+
			"00 00, a type from 08 to 0e and 1 to 4 dimensions were expected", magic[0], magic[1], magic[2], magic[3])
	}
	dims := make([]byte, 4*rank)
	if _, err := io.ReadFull(r, dims); err != nil {
		return nil, headerError(err)
	}
	header := int64(len(magic) + len(dims))
	want := uint64(f.typ.size())
	for i := range rank {
		d := binary.BigEndian.Uint32(dims[4*i:])
		f.dims = append(f.dims, int(d))
		if d == 0 {
			continue
		}
		if want > uint64(math.MaxInt-header)/uint64(d) {
			return nil, fmt.Errorf("corrupt: the header promises more bytes than can be (%x)", dims)
		}
		want *= uint64(d)
	}
	for _, d := range f.dims {
		if d == 0 {
			return nil, fmt.Errorf("empty: its shape is %s", f.shape())
		}
	}
	total := header + int64(want)
	switch {
	case size == unknownSize:
	case size < total:
		return nil, fmt.Errorf("truncated: the header promises %s, that is %d bytes, and the file has %d", f.shape(), total, size)
	case size > total:
		return nil, fmt.Errorf("%d trailing bytes after the %d that the header promises (%s)", size-total, total, f.shape())
	}
	var err error
	if f.raw, err = readGrowing(r, int(want), hint); err != nil {
		if err == io.ErrUnexpectedEOF {
			return nil, fmt.Errorf("truncated: the header promises %s, that is %d bytes, and only %d came", f.shape(), total, header+int64(len(f.raw)))
		}
		return nil, err
	}
	f.sha256 = hex.EncodeToString(hash.Sum(nil))
	// Reading on to the end also makes gzip check its own checksum.
	switch n, err := io.Copy(io.Discard, io.LimitReader(r, 1)); {
	case err != nil:
		return nil, err
	case n != 0:
		return nil, fmt.Errorf("trailing bytes after the %d that the header promises (%s)", total, f.shape())
	}
	return f, nil
}

// headerError turns the end of the input inside the header into words.
func headerError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("truncated: it ends within the header")
	}
	return err
}

// readGrowing reads exactly want bytes. It makes room for hint bytes at first
// (for 64 KiB where hint is less) and doubles it as they come, so it never
// holds more than hint or twice what has arrived. Where the input ends early
// it returns what came and io.ErrUnexpectedEOF.
func readGrowing(r io.Reader, want int, hint int64) ([]byte, error) {
	buf := make([]byte, 0, min(int64(want), max(hint, 1<<16)))
	for {
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == io.EOF:
			return buf, io.ErrUnexpectedEOF
		case err != nil:
			return buf, err
		case len(buf) == want:
			return buf, nil
		}
		grown := make([]byte, len(buf), min(want-len(buf), len(buf))+len(buf))
		copy(grown, buf)
		buf = grown
	}
}

// images turns the file into pixels: N×D, N×H×W or N×C×H×W elements. A file of
// uint8 gives Pixels without a copy, any other type Values as they stand.
func (f *idxFile) images() (*Split, error) {
	s := &Split{N: f.dims[0], C: 1, H: 1, W: 1}
	switch len(f.dims) {
	case 1:
		return nil, fmt.Errorf("images have 2 (N×D), 3 (N×H×W) or 4 (N×C×H×W) dimensions, this file has 1 (%s): is it a file of labels?", f.shape())
	case 2:
		s.W = f.dims[1]
	case 3:
		s.H, s.W = f.dims[1], f.dims[2]
	case 4:
		s.C, s.H, s.W = f.dims[1], f.dims[2], f.dims[3]
	}
	if s.N > math.MaxInt32 {
		return nil, fmt.Errorf("%d images are more than the %d that an index can name", s.N, math.MaxInt32)
	}
	if f.typ == idxUint8 {
		s.Pixels = f.raw
		return s, nil
	}
	s.Values = make([]float32, s.N*s.Size())
	for i := range s.Values {
		v := f.typ.at(f.raw, i)
		s.Values[i] = float32(v)
		if x := float64(s.Values[i]); math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("the pixel at %s is %g, not a finite float32", s.place(i), v)
		}
	}
	return s, nil
}

// labels turns the file into labels 0 … maxClasses−1.
func (f *idxFile) labels() ([]int32, error) {
	if len(f.dims) != 1 {
		return nil, fmt.Errorf("labels have 1 dimension, this file has %d (%s): is it a file of images?", len(f.dims), f.shape())
	}
	if f.typ == idxFloat32 || f.typ == idxFloat64 {
		return nil, errors.New("labels are integers, this file holds floating-point numbers")
	}
	labels := make([]int32, f.dims[0])
	for i := range labels {
		labels[i] = int32(f.typ.at(f.raw, i))
		if l := labels[i]; l < 0 || l >= maxClasses {
			return nil, fmt.Errorf("label %d at index %d is outside 0…%d", l, i, maxClasses-1)
		}
	}
	return labels, nil
}
