//go:build cgo

// Command gen compiles the .cu files of the current folder with NVRTC to what
// package kernels embeds: PTX for each of its targets, and machine code where a
// target is a chip. It writes the folder images, and needs no GPU.
//
// NVRTC is libnvrtc.so.11.2 with libnvrtc-builtins.so.11.8 beside it, in the folder
// that SGFLOW_NVRTC names or where the loader finds it; `make generate` fetches it.
// The version is fixed, as another would write other PTX; PTX of 11.8 is read by all
// drivers since. Even one version does not order its output the same way in every
// process, so images are tied to their sources by a sum: while that is the same, what
// is there is kept, if it has the same kernels as what is compiled.
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sgflow/engine/cuda/kernels"
)

// targets are the architectures that kernels are compiled for: the oldest that
// sgflow runs on, the first with asynchronous copies and TF32, and Hopper itself.
var targets = []string{"compute_75", "compute_80", "sm_90"}

const folder = "images"

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	files, err := filepath.Glob("*.cu")
	if err != nil {
		return err
	}
	// One module: its functions find each other's names taken.
	var source strings.Builder
	for _, file := range files {
		fmt.Fprintf(&source, "#include %q\n", file)
	}
	nvrtc, err := openNVRTC(os.Getenv("SGFLOW_NVRTC"))
	if err != nil {
		return err
	}
	sum, err := kernels.SourceSum(os.DirFS("."))
	if err != nil {
		return err
	}
	old, err := os.ReadFile(filepath.Join(folder, kernels.SumFile))
	same := err == nil && string(old) == sum
	for _, target := range targets {
		image, err := nvrtc.compile(source.String(), "kernels.cu", target)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		path := filepath.Join(folder, fileName(target))
		kept, err := read(path)
		switch {
		case same && err != nil:
			return err
		case same && !slices.Equal(entries(kept), entries(image)):
			return fmt.Errorf("%s has other kernels than its sources, though its sum is theirs", path)
		case same:
			continue
		}
		if err := write(path, image); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(folder, kernels.SumFile), []byte(sum), 0o644)
}

// entry matches the name and the parameters of a kernel in PTX.
var entry = regexp.MustCompile(`(?s)\.entry (\w+)\([^)]*\)`)

// entries are the kernels of PTX, with the types of their parameters. Of machine code
// there are none.
func entries(image []byte) []string {
	var list []string
	for _, m := range entry.FindAll(image, -1) {
		list = append(list, string(m))
	}
	return list
}

// fileName is the name of a target's file.
func fileName(target string) string {
	if strings.HasPrefix(target, "sm_") {
		return target + ".cubin.gz"
	}
	return target + ".ptx.gz"
}

func write(path string, image []byte) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(image); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	image, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return image, nil
}
