package data

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// Names of the ways in which a file is compared with what was published.
const (
	algorithmContent = "sha256 of the decompressed file"
	algorithmSHA256  = "sha256"
	algorithmMD5     = "md5"
)

// published returns the strongest published hash that applies to a file: the
// content's, which any compression of it keeps, else the file's own. Both are
// "" where none was published. Only the content's applies to a file that is not
// compressed as published.
func (f *knownFile) published(asServed bool) (algorithm, sum string) {
	switch {
	case f.content != "":
		return algorithmContent, f.content
	case f.sha256 != "" && asServed:
		return algorithmSHA256, f.sha256
	case f.md5 != "" && asServed:
		return algorithmMD5, f.md5
	}
	return "", ""
}

// hashOf returns the hash of r in hexadecimal. A gzip stream that is corrupt
// has no content to hash: the error says so.
func hashOf(r io.Reader, algorithm string) (string, error) {
	var h hash.Hash
	switch algorithm {
	case algorithmMD5:
		h = md5.New()
	default:
		h = sha256.New()
	}
	if algorithm == algorithmContent {
		br := bufio.NewReaderSize(r, 1<<16)
		r = br
		if head, _ := br.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
			zr, err := gzip.NewReader(br)
			if err != nil {
				return "", gzipError(err)
			}
			r = zr
		}
	}
	if _, err := io.Copy(h, r); err != nil {
		return "", gzipError(err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
