package data

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// FileStatus says how a file compares with what was published.
type FileStatus string

const (
	// Matches: the file has the published hash.
	Matches FileStatus = "ok"
	// Differs: it has another.
	Differs FileStatus = "mismatch"
	// Unpublished: no hash was published for it, so only its structure can be
	// checked.
	Unpublished FileStatus = "no published hash"
)

// FileCheck is the comparison of one file.
type FileCheck struct {
	File      string     `json:"file"`
	Status    FileStatus `json:"status"`
	Algorithm string     `json:"algorithm,omitempty"` // of both hashes
	Published string     `json:"published,omitempty"` // hexadecimal
	Found     string     `json:"found,omitempty"`     // hexadecimal, or why there is none
}

// Verification is the result of Verify.
type Verification struct {
	Name  string `json:"name"`
	Where string `json:"where"` // the folder, or "embedded"
	// OK is set where no file differs from its published hash and the set
	// loads.
	OK      bool        `json:"ok"`
	Files   []FileCheck `json:"files"`
	Problem string      `json:"problem,omitempty"` // why the set doesn't load
}

// Verify compares the files of a data set, where Open finds it, with their
// published hashes and loads it once. A folder's own files have no published
// hash. The error says that there is nothing to verify; what is wrong with the
// files is in the Verification.
func Verify(name string) (*Verification, error) {
	k, src, err := locate(name)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Verification, error) {
		return nil, fmt.Errorf("data: verifying %s: %w", name, err)
	}
	in, err := findSet(src, k.prefix)
	if err != nil {
		return fail(k.hint(src, err))
	}
	v := &Verification{Name: k.name, Where: src.where, OK: true}
	for _, file := range in.files {
		check, err := k.check(src, file)
		if err != nil {
			return fail(err)
		}
		v.OK = v.OK && check.Status != Differs
		v.Files = append(v.Files, check)
	}
	if _, err := k.load(src); err != nil {
		v.OK, v.Problem = false, err.Error()
	}
	return v, nil
}

// check compares one file of the set.
func (k *knownSet) check(src source, name string) (FileCheck, error) {
	c := FileCheck{File: name, Status: Unpublished}
	for _, f := range k.files {
		if f.name != name && !sameRole(f.name, name) {
			continue
		}
		asServed := strings.HasSuffix(name, ".gz") == strings.HasSuffix(f.name, ".gz")
		c.Algorithm, c.Published = f.published(asServed)
	}
	if c.Algorithm == "" {
		return c, nil
	}
	r, _, err := src.open(name)
	if err != nil {
		return c, err
	}
	defer r.Close()
	c.Status = Matches
	c.Found, err = hashOf(r, c.Algorithm)
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return c, err
	}
	if err != nil {
		c.Found = err.Error()
	}
	if c.Found != c.Published {
		c.Status = Differs
	}
	return c, nil
}

// sameRole reports whether both names mean the same of the four IDX files.
func sameRole(a, b string) bool {
	ra, oka := roleOf(a)
	rb, okb := roleOf(b)
	return oka && okb && ra == rb
}
