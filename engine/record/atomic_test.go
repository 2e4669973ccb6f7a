package record

import (
	"errors"
	"io"
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteFileAtomicReplacesTheWholeFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, text := range []string{"a long first text", "", "short"} {
		err := WriteFileAtomic(path, func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
		if err != nil {
			t.Fatal(err)
		}
		if got := contents(t, dir); !maps.Equal(got, map[string]string{"a": text}) {
			t.Errorf("%q, want %q", got, text)
		}
	}
}

func TestWriteFileAtomicLeavesTheOldFileWhereItFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	writeFile(t, path, "old")
	bad := errors.New("no ink")
	err := WriteFileAtomic(path, func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
		return bad
	})
	if !errors.Is(err, bad) || err.Error() != "record: write "+path+": no ink" {
		t.Errorf("%v", err)
	}
	if got := contents(t, dir); !maps.Equal(got, map[string]string{"a": "old"}) {
		t.Errorf("%q", got)
	}
	err = WriteFileAtomic(filepath.Join(path, "b"), func(io.Writer) error { return nil })
	if err == nil || !strings.HasPrefix(err.Error(), "record: write ") {
		t.Errorf("below a file: %v", err)
	}
}
