//go:build cgo

// Command gen compiles the .cu files of a folder, as one module, with NVRTC, and needs
// no GPU: to PTX for each of its targets, and machine code where a target is a chip.
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
	"flag"
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

var (
	in      = flag.String("in", ".", "`folder` of the .cu files")
	out     = flag.String("out", "images", "`folder` for what they are compiled to")
	targets = flag.String("targets", "compute_80", "`architectures`, by commas: compute_NN for PTX, sm_NN for machine code")
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	flag.Parse()
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	files, err := filepath.Glob(filepath.Join(*in, "*.cu"))
	if err != nil {
		return err
	}
	// One module: its functions find each other's names taken.
	var source strings.Builder
	for _, file := range files {
		fmt.Fprintf(&source, "#include %q\n", filepath.Base(file))
	}
	nvrtc, err := openNVRTC(os.Getenv("SGFLOW_NVRTC"))
	if err != nil {
		return err
	}
	sum, err := kernels.SourceSum(os.DirFS(*in))
	if err != nil {
		return err
	}
	old, err := os.ReadFile(filepath.Join(*out, kernels.SumFile))
	same := err == nil && string(old) == sum
	for _, target := range strings.Split(*targets, ",") {
		image, err := nvrtc.compile(source.String(), *in, target)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		path := filepath.Join(*out, fileName(target))
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
	return os.WriteFile(filepath.Join(*out, kernels.SumFile), []byte(sum), 0o644)
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
	if err := os.MkdirAll(*out, 0o755); err != nil {
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
