package record

import (
	"fmt"
	"io"
	"os"
)

// logFile is an append-only file of records. Each record is one write, so a
// killed process loses at most the record at hand; a record that the disk
// had no room for is cut off again.
type logFile struct {
	path     string
	file     *os.File
	w        io.Writer              // file, but for tests
	truncate func(size int64) error // cuts the file, but for tests
	size     int64                  // bytes of whole records
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

// append writes one record. Where it fails the file holds the records before
// it and no part of this one; where even that fails, so does every append
// that follows.
func (l *logFile) append(record []byte) error {
	if l.err != nil {
		return l.err
	}
	n, err := l.w.Write(record)
	if err == nil && n < len(record) {
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

// close syncs and closes the file. It may be called on nil and twice.
func (l *logFile) close() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := l.file.Sync()
	if closeErr := l.file.Close(); err == nil {
		err = closeErr
	}
	l.file = nil
	return err
}
