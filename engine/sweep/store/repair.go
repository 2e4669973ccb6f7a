package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// PutAside renames the store in the sweep folder dir, with what SQLite has
// beside it, so that Create makes a new one. It returns the new name.
func PutAside(dir string) (string, error) {
	path := filepath.Join(dir, File)
	var aside string
	for n := 1; ; n++ {
		aside = fmt.Sprintf("%s.damaged-%d", path, n)
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return "", fmt.Errorf("store: %w", err)
		}
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("store: %w", err)
		}
	}
	return aside, nil
}
