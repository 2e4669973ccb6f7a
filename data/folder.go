package data

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// emnistArchive is the name of the archive that EMNIST is published as; its
// IDX files lie in a folder gzip.
const emnistArchive = "gzip.zip"

// source is a place that files are read from.
type source struct {
	fsys  fs.FS
	where string // for messages: the folder's or the archive's path
	sized bool   // whether fsys knows how many bytes a file really holds
}

// folderSource is the folder dir.
func folderSource(dir string) source { return source{os.DirFS(dir), dir, true} }

// path returns the name of a file for messages.
func (src source) path(name string) string { return filepath.Join(src.where, name) }

// has reports whether there is a file with that name.
func (src source) has(name string) bool {
	_, err := fs.Stat(src.fsys, name)
	return err == nil
}

// open opens a file and returns its size, unknownSize where that is only
// claimed.
func (src source) open(name string) (io.ReadCloser, int64, error) {
	f, err := src.fsys.Open(name)
	if err != nil {
		return nil, 0, err
	}
	if !src.sized {
		return f, unknownSize, nil
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// The four files of an IDX data set.
const (
	trainImages = iota
	trainLabels
	testImages
	testLabels
	roleCount
)

var (
	roleNames    = [roleCount]string{"train images", "train labels", "test images", "test labels"}
	roleExamples = [roleCount]string{"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}
)

// idxName matches the names that IDX files go by: train-images-idx3-ubyte,
// t10k-labels.idx1-ubyte.gz, emnist-balanced-test-images-idx3-ubyte.gz.
var idxName = regexp.MustCompile(`^(.*-)?(train|t10k|test)-(images|labels)[-.]idx[0-9]*(-[0-9A-Za-z]+)?(\.gz)?$`)

// roleOf returns which of the four files a name means, and whether it means
// one.
func roleOf(name string) (role int, ok bool) {
	m := idxName.FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	role = trainImages
	if m[2] != "train" {
		role = testImages
	}
	if m[3] == "labels" {
		role++
	}
	return role, true
}

// findIDX returns the names of the four IDX files in src whose names begin with
// prefix, "" for those that are not there. A file that is there raw and
// compressed is taken raw; two other files for one role are an error.
func findIDX(src source, prefix string) (names [roleCount]string, err error) {
	entries, err := fs.ReadDir(src.fsys, ".")
	if err != nil {
		return names, fmt.Errorf("%s: %w", src.where, err)
	}
	for _, e := range entries {
		name := e.Name()
		role, ok := roleOf(name)
		if !ok || e.IsDir() || !strings.HasPrefix(name, prefix) {
			continue
		}
		switch first := names[role]; {
		case first == "":
			names[role] = name
		case name == first+".gz": // entries are sorted: the raw one came first
		default:
			return names, fmt.Errorf("two files are %s: %s and %s; keep one", roleNames[role], src.path(first), src.path(name))
		}
	}
	return names, nil
}

// content is what a folder holds: both halves and the SHA-256 of every file
// read, decompressed, by its name without .gz.
type content struct {
	train, test *Split
	hashes      map[string]string
}

// readIDXSet reads the four files.
func readIDXSet(src source, names [roleCount]string) (*content, error) {
	for role, name := range names {
		if name == "" {
			return nil, fmt.Errorf("%s are missing in %s: a file with a name like %s or %s.gz is expected",
				roleNames[role], src.where, roleExamples[role], roleExamples[role])
		}
	}
	c := &content{hashes: map[string]string{}}
	var err error
	if c.train, err = readIDXSplit(src, names, trainImages, "train", c.hashes); err != nil {
		return nil, err
	}
	if c.test, err = readIDXSplit(src, names, testImages, "test", c.hashes); err != nil {
		return nil, err
	}
	return c, nil
}

// readIDXSplit reads the images whose role is given and the labels after them.
func readIDXSplit(src source, names [roleCount]string, role int, half string, hashes map[string]string) (*Split, error) {
	fail := func(role int, err error) error {
		return fmt.Errorf("%s (%s): %w", roleNames[role], src.path(names[role]), err)
	}
	read := func(role int) (*idxFile, error) {
		f, size, err := src.open(names[role])
		if err != nil {
			return nil, err
		}
		defer f.Close()
		idx, err := readIDX(f, size)
		if err == nil {
			hashes[strings.TrimSuffix(names[role], ".gz")] = idx.sha256
		}
		return idx, err
	}
	// Labels first: where they are bad, the images need not be read.
	idx, err := read(role + 1)
	if err != nil {
		return nil, fail(role+1, err)
	}
	labels, err := idx.labels()
	if err != nil {
		return nil, fail(role+1, err)
	}
	if idx, err = read(role); err != nil {
		return nil, fail(role, err)
	}
	split, err := idx.images()
	if err != nil {
		return nil, fail(role, err)
	}
	if err := split.addLabels(labels); err != nil {
		return nil, fmt.Errorf("%s: %w (%s, %s)", half, err, src.path(names[role]), src.path(names[role+1]))
	}
	// EMNIST's images are stored column by column.
	if strings.HasPrefix(names[role], "emnist-") {
		split.transpose()
	}
	return split, nil
}

// found is a data set in a folder that has not been read yet.
type found struct {
	files []string // the files it consists of
	read  func() (*content, error)
}

// findSet looks in a folder for IDX files whose names begin with prefix, else
// for CIFAR-10's binary files, which may lie in the folder that its archive
// unpacks to, else for that archive, else, where there is a prefix, for
// EMNIST's archive.
func findSet(src source, prefix string) (found, error) {
	names, err := findIDX(src, prefix)
	if err != nil {
		return found{}, err
	}
	if names != [roleCount]string{} {
		files := slices.DeleteFunc(slices.Clone(names[:]), func(name string) bool { return name == "" })
		return found{files, func() (*content, error) { return readIDXSet(src, names) }}, nil
	}
	for _, dir := range []string{".", cifarFolder} {
		var files []string
		for _, name := range cifarFiles {
			if name = path.Join(dir, name); src.has(name) {
				files = append(files, name)
			}
		}
		if files != nil {
			return found{files, func() (*content, error) { return readCIFARFiles(src, dir) }}, nil
		}
	}
	if src.has(cifarArchive) {
		return found{[]string{cifarArchive}, func() (*content, error) { return readCIFARArchive(src) }}, nil
	}
	if prefix != "" && src.has(emnistArchive) {
		return found{[]string{emnistArchive}, func() (*content, error) { return readEMNISTArchive(src, prefix) }}, nil
	}
	return found{}, fmt.Errorf("%s holds no data files: IDX files (%s, each also with .gz) or CIFAR-10's (%s …, %s, or %s) are expected",
		src.where, strings.Join(roleExamples[:], ", "), cifarFiles[0], cifarFiles[len(cifarFiles)-1], cifarArchive)
}

// readEMNISTArchive reads the IDX files with the prefix inside the published
// archive, which must be a real file.
func readEMNISTArchive(src source, prefix string) (*content, error) {
	where := src.path(emnistArchive)
	z, err := zip.OpenReader(where)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	defer z.Close()
	inner, err := fs.Sub(z, "gzip")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	src = source{inner, filepath.Join(where, "gzip"), false}
	names, err := findIDX(src, prefix)
	if err != nil {
		return nil, err
	}
	return readIDXSet(src, names)
}
