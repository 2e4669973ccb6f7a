package store

import (
	"errors"
	"fmt"
	"path/filepath"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// wrap adds to an error, which may be nil, what was being done to which file,
// and tells damage and a full disk from the rest.
func (s *Store) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	path := filepath.Join(s.dir, File)
	switch codeOf(err) {
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return fmt.Errorf("store: %s %s: %w (%v)", what, path, ErrDamaged, err)
	case lib.SQLITE_FULL:
		return fmt.Errorf("store: %s %s: no space left on device: what is stored is kept", what, path)
	}
	return fmt.Errorf("store: %s %s: %w", what, path, err)
}

// codeOf returns SQLite's primary code of err, −1 where it is no error of SQLite's.
func codeOf(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return -1
	}
	return e.Code() & 0xff
}

// busy reports whether err says that another has the file.
func busy(err error) bool { return codeOf(err) == lib.SQLITE_BUSY }
