package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"sgflow/engine/record"
)

// MaxFile is the size that a file may have to travel, in bytes.
const MaxFile = 16 << 30

// Put stores the file at path under a name of its own, for a task.
func (q *Queue) Put(ctx context.Context, t *Task, path string) (File, error) {
	return q.put(ctx, fmt.Sprintf("%s.%s.%s", t.Sweep, t.Run, nuid.Next()), path)
}

// Share stores the file at path under its hash, for all workers, unless it is
// there.
func (q *Queue) Share(ctx context.Context, path string) (File, error) {
	f, err := describe(path)
	if err != nil {
		return File{}, err
	}
	f.Object = "shared." + f.SHA256
	if info, err := q.files.GetInfo(ctx, f.Object); err == nil && int64(info.Size) == f.Size {
		return f, nil
	}
	return q.put(ctx, f.Object, path)
}

// describe returns name, size and hash of the file at path.
func describe(path string) (File, error) {
	f := File{Name: filepath.Base(path)}
	file, err := os.Open(path)
	if err != nil {
		return f, fmt.Errorf("queue: %w", err)
	}
	defer file.Close()
	h := sha256.New()
	if f.Size, err = io.Copy(h, file); err != nil {
		return f, fmt.Errorf("queue: %w", err)
	}
	f.SHA256 = hex.EncodeToString(h.Sum(nil))
	return f, nil
}

// Hash returns the SHA-256 of the file at path, hexadecimal.
func Hash(path string) (string, error) {
	f, err := describe(path)
	return f.SHA256, err
}

// put stores a file as an object.
func (q *Queue) put(ctx context.Context, object, path string) (File, error) {
	f := File{Name: filepath.Base(path), Object: object}
	err := q.persist(ctx, "store "+f.Name, func() error {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		h := sha256.New()
		info, err := q.files.Put(ctx, jetstream.ObjectMeta{Name: object}, io.TeeReader(file, h))
		if err == nil {
			f.Size, f.SHA256 = int64(info.Size), hex.EncodeToString(h.Sum(nil))
		}
		return err
	})
	return f, err
}

// ErrFile is the error of a file that is not in the object store, or not as it
// was put there.
var ErrFile = errors.New("missing or damaged")

// Get writes a file to path, atomically, and checks size and hash.
func (q *Queue) Get(ctx context.Context, f File, path string) error {
	return q.persist(ctx, "fetch "+f.Name, func() error {
		object, err := q.files.Get(ctx, f.Object)
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			return fmt.Errorf("%w: %v", ErrFile, err)
		}
		if err != nil {
			return err
		}
		defer object.Close()
		return record.WriteFileAtomic(path, func(w io.Writer) error {
			h := sha256.New()
			n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(object, f.Size+1))
			if err != nil {
				return err
			}
			if n != f.Size || hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
				return fmt.Errorf("%w: %s has another SHA-256", ErrFile, f.Name)
			}
			return nil
		})
	})
}

// Remove removes a file that was put for a task. One that is left over is
// dropped in time.
func (q *Queue) Remove(ctx context.Context, f File) { _ = q.files.Delete(ctx, f.Object) }
