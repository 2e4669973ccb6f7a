package data

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sgflow/engine/nearest"
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
	k, src, err := locate(name)
	if err != nil {
		return nil, err
	}
	set, err := k.load(src)
	if err != nil {
		return nil, fmt.Errorf("data: %s %w", k.name, err)
	}
	if k.embedded {
		releaseEmbedded()
	}
	return set, nil
}

// locate returns the set of a name or a path and the place it is read from. A
// folder gets an entry of its own, with nothing but its name.
func locate(name string) (*knownSet, source, error) {
	k := lookup(name)
	switch {
	case k == nil:
		if err := checkFolder(name); err != nil {
			return nil, source{}, err
		}
		base := filepath.Base(name)
		if abs, err := filepath.Abs(name); err == nil {
			base = filepath.Base(abs) // of "." and "x/.." too
		}
		return &knownSet{name: base}, folderSource(name), nil
	case k.embedded:
		sub, err := fs.Sub(embeddedMNIST, k.name)
		return k, source{sub, embeddedWhere, true}, err
	}
	dir, err := k.find()
	return k, folderSource(dir), err
}

// embeddedWhere stands for the folder of a set that is part of the program.
const embeddedWhere = "embedded"

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

// checkFolder says what is wrong with a path that should be a folder; a plain
// name that isn't one is taken for a mistyped data set.
func checkFolder(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("data: %s is a file: give the folder that holds it", path)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("data: %w", err)
	case strings.ContainsAny(path, `/\`):
		return fmt.Errorf("data: there is no folder %s", path)
	}
	return unknownName(path)
}

// unknownName is the error for a name that is neither a known set nor a folder.
func unknownName(name string) error {
	near := nearest.Name(name, knownNames())
	hint := ""
	if !lookup(near).embedded {
		hint = fmt.Sprintf(" (`sgflow data fetch %s` gets it)", near)
	}
	return fmt.Errorf("data: unknown data set %q, and no folder of that name: did you mean %s%s? There are %s",
		name, near, hint, strings.Join(knownNames(), ", "))
}

// load reads the set from its place. Its errors begin with what is wrong, and
// say how to mend it where fetching would.
func (k *knownSet) load(src source) (*Set, error) {
	in, err := findSet(src, k.prefix)
	if err != nil {
		return nil, k.hint(src, err)
	}
	c, err := in.read()
	if err != nil {
		return nil, k.hint(src, err)
	}
	set, err := newSet(k.name, c, k.classNames)
	if err != nil {
		return nil, k.hint(src, err)
	}
	return set, nil
}

// hint adds to an error that fetching the set mends it, where that is so.
func (k *knownSet) hint(src source, err error) error {
	if len(k.files) == 0 || k.embedded || src.where == k.system {
		return err
	}
	return fmt.Errorf("%w; `sgflow data fetch %s` gets what is missing or broken", err, k.name)
}

// newSet checks what was read against itself and, where the classes are known,
// against them.
func newSet(name string, c *content, classNames []string) (*Set, error) {
	classes, whose := len(classNames), name
	if classNames == nil {
		classes, whose = c.train.classes(), "the training labels"
	}
	if err := c.train.checkLabels(classes, whose); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	if err := c.test.checkLabels(classes, whose); err != nil {
		return nil, fmt.Errorf("test: %w", err)
	}
	if err := c.test.checkShape(c.train); err != nil {
		return nil, fmt.Errorf("test: %w", err)
	}
	t := c.train
	return &Set{Name: name, Train: t, Test: c.test, Classes: classes,
		Channels: t.C, Height: t.H, Width: t.W, ClassNames: classNames, Hashes: c.hashes}, nil
}
