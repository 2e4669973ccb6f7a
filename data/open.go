package data

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Set is a data set in memory: both halves and what they have in common. It
// must not be changed and may be read concurrently.
type Set struct {
	Name                    string // as in the table of known sets, or the folder's name
	Train, Test             *Split
	Classes                 int // labels are 0 … Classes−1
	Channels, Height, Width int
	ClassNames              []string // Classes names, nil where unknown
	// Hashes holds the SHA-256 (hexadecimal) of each file read, decompressed,
	// by its name without .gz.
	Hashes map[string]string
}

// Open loads a data set by name, or from the folder with that path:
//
//   - mnist is part of the program;
//   - fashion-mnist is taken from Debian's dataset-fashion-mnist where it is
//     installed, else from the cache;
//   - kmnist, emnist-balanced and cifar10 are taken from the cache (CacheDir),
//     where Fetch puts them;
//   - a folder holds IDX files, raw or gzip, with names like
//     train-images-idx3-ubyte or t10k-labels.idx1-ubyte.gz, or CIFAR-10's
//     binary files.
//
// A known set has its published classes; in a folder, Classes is one more than
// the largest training label. An error says in one line which file is wrong and
// how, or for an unknown name the nearest one.
func Open(name string) (*Set, error) {
	k := lookup(name)
	if k == nil {
		return openFolder(name)
	}
	if k.embedded {
		src, err := embeddedSource(k)
		if err != nil {
			return nil, fmt.Errorf("data: %s: %w", name, err)
		}
		names, err := findIDX(src, "")
		if err != nil {
			return nil, fmt.Errorf("data: %s: %w", name, err)
		}
		c, err := readIDXSet(src, names)
		return newSet(name, c, err, k.classNames)
	}
	dir, err := k.find()
	if err != nil {
		return nil, err
	}
	c, err := readFolder(dir, k.prefix)
	return newSet(name, c, err, k.classNames)
}

// CacheDir returns the folder that fetched data sets are kept in: the
// environment's SGFLOW_DATA, else sgflow/data in the user's cache directory.
// Each set has a folder there with its own name.
func CacheDir() (string, error) {
	if dir := os.Getenv("SGFLOW_DATA"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("data: there is no cache directory: %w; set SGFLOW_DATA to a folder", err)
	}
	return filepath.Join(dir, "sgflow", "data"), nil
}

// find returns the folder that a known set is read from: the distribution's or
// the one in the cache.
func (k *knownSet) find() (string, error) {
	if k.system != "" && isDir(k.system) {
		return k.system, nil
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, k.name)
	if !isDir(dir) {
		return "", fmt.Errorf("data: %s is not on this machine (no folder %s): get it with `sgflow data fetch %s`", k.name, dir, k.name)
	}
	return dir, nil
}

// isDir reports whether path is a folder.
func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// embeddedSource returns the folder of a set that is part of the program.
func embeddedSource(k *knownSet) (source, error) {
	sub, err := fs.Sub(embeddedMNIST, k.name)
	return source{sub, "embedded", true}, err
}

// openFolder loads the data set in a user's folder.
func openFolder(path string) (*Set, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
	case err == nil:
		return nil, fmt.Errorf("data: %s is a file: give the folder that holds it", path)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("data: %w", err)
	case path != "" && strings.ContainsAny(path, `/\`):
		return nil, fmt.Errorf("data: there is no folder %s", path)
	default:
		return nil, unknownName(path)
	}
	name := filepath.Base(path)
	if abs, err := filepath.Abs(path); err == nil {
		name = filepath.Base(abs) // of "." and "x/.." too
	}
	c, err := readFolder(path, "")
	return newSet(name, c, err, nil)
}

// unknownName is the error for a name that is neither a known set nor a folder.
func unknownName(name string) error {
	near := nearest(name, knownNames())
	hint := ""
	if !lookup(near).embedded {
		hint = fmt.Sprintf(" (`sgflow data fetch %s` gets it)", near)
	}
	return fmt.Errorf("data: unknown data set %q, and no folder of that name: did you mean %s%s? There are %s",
		name, near, hint, strings.Join(knownNames(), ", "))
}

// newSet checks what was read against itself and, where the classes are known,
// against them. It passes on err.
func newSet(name string, c *content, err error, classNames []string) (*Set, error) {
	if err != nil {
		return nil, fmt.Errorf("data: %s %w", name, err)
	}
	classes, whose := len(classNames), name
	if classNames == nil {
		classes, whose = c.train.classes(), "the training labels"
	}
	if err := c.train.checkLabels(classes, whose); err != nil {
		return nil, fmt.Errorf("data: %s train: %w", name, err)
	}
	if err := c.test.checkLabels(classes, whose); err != nil {
		return nil, fmt.Errorf("data: %s test: %w", name, err)
	}
	if err := c.test.checkShape(c.train); err != nil {
		return nil, fmt.Errorf("data: %s test: %w", name, err)
	}
	t := c.train
	return &Set{Name: name, Train: t, Test: c.test, Classes: classes,
		Channels: t.C, Height: t.H, Width: t.W, ClassNames: classNames, Hashes: c.hashes}, nil
}
