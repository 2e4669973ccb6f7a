package kernels

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"path"
)

// SumFile is the file in images with the [SourceSum] of what they were compiled from.
const SumFile = "sources.sha256"

// SourceSum is a sum of the kernels' sources in folder.
func SourceSum(folder fs.FS) (string, error) {
	files, err := fs.Glob(folder, "*.cu*")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, file := range files {
		if ext := path.Ext(file); ext != ".cu" && ext != ".cuh" {
			continue
		}
		text, err := fs.ReadFile(folder, file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n", file, len(text))
		h.Write(text)
	}
	return fmt.Sprintf("%x\n", h.Sum(nil)), nil
}
