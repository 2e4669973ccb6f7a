package record

import (
	"fmt"
	"io"
	"os"
)

// logFile is an append-only file of records. What is appended between two flushes is one
// write, so a killed process loses at most the records at hand; those that the disk had no
// room for are cut off again.
type logFile struct {
	path     string
	file     *os.File
	w        io.Writer              // file, but for tests
	truncate func(size int64) error // cuts the file, but for tests
	size     int64                  // bytes of whole records
	kept     []byte                 // records for the next flush
	err      error                  // set where a partial record could not be cut
}

// openLog opens the file at path, made if missing, for appending.
func openLog(path string) (*logFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &logFile{
		path: path,
		file: f,
		w:    f,
		// By path: on Windows a handle for appending may not truncate.
		truncate: func(size int64) error { return os.Truncate(path, size) },
		size:     info.Size(),
	}, nil
}

// append adds a record to those for the next flush.
func (l *logFile) append(record []byte) { l.kept = append(l.kept, record...) }

// flush writes what was appended. Where it fails the file holds
// the records before and no part of these; where even that fails, so does every flush that
// follows.
func (l *logFile) flush() error {
	if len(l.kept) == 0 {
		return nil
	}
	records := l.kept
	l.kept = l.kept[:0]
	if l.err != nil {
		return l.err
	}
	n, err := l.w.Write(records)
	if err == nil && n < len(records) {
		err = io.ErrShortWrite
	}
	if err == nil {
		l.size += int64(n)
		return nil
	}
	if n > 0 {
		if cutErr := l.truncate(l.size); cutErr != nil {
			err = fmt.Errorf("%w (and its end could not be cut back: %v)", err, cutErr)
			l.err = err
		}
	}
	return err
}

// close flushes, syncs and closes the file. It may be called on nil and twice.
func (l *logFile) close() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := l.flush()
	if syncErr := l.file.Sync(); err == nil {
		err = syncErr
	}
	if closeErr := l.file.Close(); err == nil {
		err = closeErr
	}
	l.file = nil
	return err
}
