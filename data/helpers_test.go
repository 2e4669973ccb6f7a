package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// idxBytes returns a raw IDX file with the given elements, which encoding/binary
// writes (independently of the reader).
func idxBytes(typ idxType, dims []int, elements any) []byte {
	b := []byte{0, 0, byte(typ), byte(len(dims))}
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, uint32(d))
	}
	b, err := binary.Append(b, binary.BigEndian, elements)
	if err != nil {
		panic(err)
	}
	return b
}

// gzipped returns b compressed.
func gzipped(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// ramp returns n bytes, each different from its neighbours.
func ramp(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*37 + i/256)
	}
	return b
}

// writeFiles makes a folder with these files.
func writeFiles(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// smallSet returns a set of IDX files: 6 training and 4 test images of 2×3
// pixels in 3 classes.
func smallSet() map[string][]byte {
	return map[string][]byte{
		"train-images-idx3-ubyte": idxBytes(idxUint8, []int{6, 2, 3}, ramp(36)),
		"train-labels-idx1-ubyte": idxBytes(idxUint8, []int{6}, []uint8{0, 1, 2, 0, 1, 2}),
		"t10k-images-idx3-ubyte":  idxBytes(idxUint8, []int{4, 2, 3}, ramp(24)),
		"t10k-labels-idx1-ubyte":  idxBytes(idxUint8, []int{4}, []uint8{2, 1, 0, 1}),
	}
}

// wantError fails unless err is one line with all the parts in it.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one about %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q doesn't say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q has more than one line", err)
	}
}
