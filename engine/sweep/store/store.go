package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// File is the name of the store in a sweep folder.
const File = "sweep.db"

// RunFolder returns the run folder of the run id in the sweep folder dir.
func RunFolder(dir, id string) string { return filepath.Join(dir, "runs", id) }

// ErrDamaged is the error of a store that SQLite cannot read.
var ErrDamaged = errors.New("the store is damaged")

// ErrNone is the error of a folder without a store.
var ErrNone = errors.New("no sweep here")

// Store is the open store of a sweep. It may be used concurrently, and by
// several processes at once.
type Store struct {
	db  *sql.DB
	dir string
}

// format is the version of the tables, SQLite's user_version.
const format = 1

const tables = `
CREATE TABLE IF NOT EXISTS sweep (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
	id       TEXT PRIMARY KEY,
	place    INTEGER NOT NULL,
	config   TEXT NOT NULL,
	status   TEXT NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	error    TEXT NOT NULL DEFAULT '',
	final    INTEGER NOT NULL DEFAULT 0,
	worker   TEXT NOT NULL DEFAULT '',
	started  INTEGER NOT NULL DEFAULT 0,
	finished INTEGER NOT NULL DEFAULT 0,
	summary  TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (
	run   TEXT NOT NULL REFERENCES runs(id),
	part  TEXT NOT NULL,
	first INTEGER NOT NULL,
	last  INTEGER NOT NULL,
	place INTEGER NOT NULL,
	name  TEXT NOT NULL,
	mean  REAL NOT NULL,
	sd    REAL NOT NULL,
	n     INTEGER NOT NULL,
	PRIMARY KEY (run, part, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epochs (
	run            TEXT NOT NULL REFERENCES runs(id),
	epoch          INTEGER NOT NULL,
	step           INTEGER NOT NULL,
	train_loss     REAL,
	train_accuracy REAL,
	test_loss      REAL,
	test_accuracy  REAL,
	seconds        REAL NOT NULL,
	PRIMARY KEY (run, epoch)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS environment (
	run   TEXT NOT NULL REFERENCES runs(id),
	name  TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (run, name)
) WITHOUT ROWID;`

// Open opens the store in the sweep folder dir. Where there is none the error
// is ErrNone, and where it cannot be read ErrDamaged, wrapped.
func Open(dir string) (*Store, error) {
	if _, err := os.Stat(filepath.Join(dir, File)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("store: %s: %w: it has no %s", dir, ErrNone, File)
	} else if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return Create(dir)
}

// Create opens the store in the sweep folder dir, which it makes where it is
// missing.
func Create(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	path, err := filepath.Abs(filepath.Join(dir, File))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	// Writers wait up to patience for each other, and a commit is on the disk before it
	// returns.
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: url.Values{
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", patience.Milliseconds()), "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Store{db: db, dir: dir}
	// While another makes a new file's journal a WAL, SQLite does not wait but fails.
	err = s.prepare()
	for start := time.Now(); busy(err) && time.Since(start) < patience; err = s.prepare() {
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// patience is how long one waits for others that have the file.
const patience = time.Minute

// prepare checks the file and makes the tables.
func (s *Store) prepare() error {
	var version int
	if err := s.db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return s.wrap("open", err)
	}
	switch version {
	case format:
		return nil
	case 0:
		return s.write(context.Background(), "open", func(tx *sql.Tx) error {
			if _, err := tx.Exec(tables); err != nil {
				return err
			}
			_, err := tx.Exec(fmt.Sprintf("PRAGMA user_version = %d", format))
			return err
		})
	}
	return fmt.Errorf("store: %s is of format %d, this sgflow reads %d: use the version that made it", filepath.Join(s.dir, File), version, format)
}

// Check reads the whole file and returns ErrDamaged, wrapped, where it is not
// sound.
func (s *Store) Check(ctx context.Context) error {
	var result string
	if err := s.db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&result); err != nil {
		return s.wrap("check", err)
	}
	if result != "ok" {
		return fmt.Errorf("store: %s: %w: %s", filepath.Join(s.dir, File), ErrDamaged, result)
	}
	return nil
}

// Close closes the store.
func (s *Store) Close() error { return s.wrap("close", s.db.Close()) }

// Dir returns the sweep folder as it was given.
func (s *Store) Dir() string { return s.dir }

// write runs f in a transaction.
func (s *Store) write(ctx context.Context, what string, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.wrap(what, err)
	}
	if err := f(tx); err != nil {
		return s.wrap(what, errors.Join(err, tx.Rollback()))
	}
	return s.wrap(what, tx.Commit())
}

// unix is a time as it is stored: nanoseconds since 1970, 0 for none.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// moment is the inverse of unix.
func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
