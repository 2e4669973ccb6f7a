package data

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
)

// CIFAR-10's binary version (Krizhevsky 2009): records of one byte of label and
// 32×32 bytes of red, then green, then blue, row by row.
const (
	cifarArchive = "cifar-10-binary.tar.gz"
	cifarFolder  = "cifar-10-batches-bin"
	cifarSize    = 3 * 32 * 32
	cifarRecord  = 1 + cifarSize
	cifarClasses = 10
)

// cifarFiles are the five training batches and, last, the test batch.
var cifarFiles = []string{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
	"data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"}

// readCIFARFiles reads CIFAR-10 from its binary files in a folder of src.
func readCIFARFiles(src source, dir string) (*content, error) {
	batches := map[string][]byte{}
	for _, name := range cifarFiles {
		b, err := fs.ReadFile(src.fsys, path.Join(dir, name))
		if err == nil {
			batches[name] = b
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return cifarContent(batches, src.path(dir))
}

// readCIFARArchive reads CIFAR-10 from the published archive in src.
func readCIFARArchive(src source) (*content, error) {
	f, _, err := src.open(cifarArchive)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	batches, err := unpackCIFAR(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", src.path(cifarArchive), err)
	}
	return cifarContent(batches, src.path(cifarArchive))
}

// unpackCIFAR returns the binary files in the archive, by their base names.
func unpackCIFAR(r io.Reader) (map[string][]byte, error) {
	zr, err := gzip.NewReader(r)
	if err != nil {
		return nil, gzipError(err)
	}
	batches := map[string][]byte{}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return batches, nil
		}
		if err != nil {
			return nil, gzipError(err)
		}
		name := path.Base(h.Name)
		if h.Typeflag != tar.TypeReg || !slices.Contains(cifarFiles, name) {
			continue
		}
		if batches[name] != nil {
			return nil, fmt.Errorf("%s is in it twice", name)
		}
		b, err := io.ReadAll(tr) // grows with what comes, whatever the header says
		if err != nil {
			return nil, gzipError(err)
		}
		batches[name] = b
	}
}

// cifarContent puts the batches together; where names their place.
func cifarContent(batches map[string][]byte, where string) (*content, error) {
	c := &content{hashes: map[string]string{}}
	for _, name := range cifarFiles {
		b, ok := batches[name]
		if !ok {
			return nil, fmt.Errorf("%s is missing in %s", name, where)
		}
		if len(b) == 0 || len(b)%cifarRecord != 0 {
			return nil, fmt.Errorf("%s in %s has %d bytes, not one or more whole records of %d: it is empty, truncated or another file",
				name, where, len(b), cifarRecord)
		}
		sum := sha256.Sum256(b)
		c.hashes[name] = hex.EncodeToString(sum[:])
	}
	var err error
	last := len(cifarFiles) - 1
	if c.train, err = cifarSplit(batches, cifarFiles[:last], where); err != nil {
		return nil, err
	}
	if c.test, err = cifarSplit(batches, cifarFiles[last:], where); err != nil {
		return nil, err
	}
	return c, nil
}

// cifarSplit joins the records of the named files.
func cifarSplit(batches map[string][]byte, names []string, where string) (*Split, error) {
	s := &Split{C: 3, H: 32, W: 32}
	for _, name := range names {
		s.N += len(batches[name]) / cifarRecord
	}
	s.Pixels = make([]uint8, 0, s.N*cifarSize)
	s.Labels = make([]int32, 0, s.N)
	for _, name := range names {
		for i, b := 0, batches[name]; len(b) > 0; i, b = i+1, b[cifarRecord:] {
			if b[0] >= cifarClasses {
				return nil, fmt.Errorf("%s in %s: label %d at index %d is outside 0…%d", name, where, b[0], i, cifarClasses-1)
			}
			s.Labels = append(s.Labels, int32(b[0]))
			s.Pixels = append(s.Pixels, b[1:cifarRecord]...)
		}
	}
	return s, nil
}
