package record

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tempPrefix starts, and tempSuffix ends, the names of the files that
// WriteFileAtomic writes before it renames them; a killed process leaves one.
const (
	tempPrefix = ".sgflow-"
	tempSuffix = ".tmp"
)

// WriteFileAtomic replaces the file at path by what write writes, or makes
// it: readers, and a machine that loses power, see the old file or the new
// one, whole. The bytes go to a temporary file in the same folder, which is
// synced and renamed; then the folder is synced, where the system can. On an
// error the old file is untouched and the temporary file is gone. Writes are
// buffered.
func WriteFileAtomic(path string, write func(io.Writer) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("record: write %s: %w", path, err)
		}
	}()
	temp, err := createTemp(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name()) // err says what matters
		}
	}()
	buffered := bufio.NewWriterSize(temp, 1<<16)
	err = write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// createTemp makes a new file beside path with the permissions a plain new
// file gets (os.CreateTemp would hide it from other users).
func createTemp(path string) (*os.File, error) {
	dir, base := filepath.Split(path)
	for {
		name := dir + tempPrefix + base + "-" + strconv.FormatUint(uint64(rand.Uint32()), 36) + tempSuffix
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// isTemp reports whether name is one of createTemp's.
func isTemp(name string) bool {
	return strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix)
}

// removeTemps removes what a killed WriteFileAtomic left in dir.
func removeTemps(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if isTemp(entry.Name()) {
			if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
