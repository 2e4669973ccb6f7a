package emulator

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"

	"sgflow/engine/cuda/shim"
)

// ErrNoCompiler says that there is no g++.
var ErrNoCompiler = errors.New("g++ is not installed")

//go:embed source
var source embed.FS

//go:embed build.go instructions.go translate.go
var builder embed.FS

const compiler = "g++"

// kernelFlags compile translated kernels: what PTX computes is written out, down to
// where products and sums are fused. The kernels' functions are large, so that more
// optimization costs more time than it saves.
var kernelFlags = []string{"-O1", "-mfma", "-ffp-contract=off", "-fno-strict-aliasing", "-fno-exceptions", "-fvisibility=hidden", "-w"}

// Build compiles a PTX module and the emulated driver into one library and returns
// its path. What is up to date is not compiled again: libraries are kept in the
// user's cache. name is what errors call the module.
func Build(name string, module []byte) (string, error) {
	if _, err := exec.LookPath(compiler); err != nil {
		return "", ErrNoCompiler
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "sgflow-emulator")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("cuda emulator: %w", err)
	}
	version, err := exec.Command(compiler, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("cuda emulator: %w", err)
	}
	key, err := hash(version, name, module)
	if err != nil {
		return "", fmt.Errorf("cuda emulator: %w", err)
	}
	library := filepath.Join(cache, key+".so")
	if _, err := os.Stat(library); err == nil {
		return library, nil
	}
	folder, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return "", fmt.Errorf("cuda emulator: %w", err)
	}
	defer os.RemoveAll(folder)
	b := &build{folder: folder, cache: cache, version: version}
	built, err := b.library(name, module)
	if err != nil {
		return "", fmt.Errorf("cuda emulator: %w", err)
	}
	// Others may build the same; each renames a whole library.
	if err := os.Rename(built, library); err != nil {
		return "", fmt.Errorf("cuda emulator: %w", err)
	}
	return library, nil
}

// hash is a name for what the library is made of.
func hash(version []byte, name string, module []byte) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%d\n", version, name, len(module))
	h.Write(module)
	for _, files := range []fs.FS{source, builder, shim.Headers} {
		err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			switch filepath.Ext(path) {
			case ".h", ".cc", ".go":
			default:
				return nil
			}
			text, err := fs.ReadFile(files, path)
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%s %d\n", path, len(text))
			h.Write(text)
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:16]), nil
}

// build is a build under way.
type build struct {
	folder, cache string
	version       []byte // of the compiler
}

// units is how many files the kernels are compiled as, side by side.
const units = 8

// library compiles everything and links it.
func (b *build) library(name string, module []byte) (string, error) {
	for _, files := range []fs.FS{source, shim.Headers} {
		if err := os.CopyFS(b.folder, files); err != nil {
			return "", err
		}
	}
	code, err := translate(module, name)
	if err != nil {
		return "", err
	}
	runtimeFiles, err := fs.Glob(source, "source/*.cc")
	if err != nil {
		return "", err
	}
	var objects []string
	var jobs []func() error
	for i, text := range code.units(units) {
		path := fmt.Sprintf("kernels%d.cc", i)
		if err := os.WriteFile(filepath.Join(b.folder, path), []byte(text), 0o644); err != nil {
			return "", err
		}
		objects = append(objects, path+".o")
		jobs = append(jobs, func() error { return b.compile(path, kernelFlags...) })
	}
	table := filepath.Join(b.folder, "table.cc")
	if err := os.WriteFile(table, []byte(code.table(module)), 0o644); err != nil {
		return "", err
	}
	for _, file := range append(runtimeFiles, "table.cc") {
		objects = append(objects, file+".o")
		jobs = append(jobs, func() error { return b.compile(file, "-O2", "-fvisibility=hidden") })
	}
	if err := parallel(jobs); err != nil {
		return "", err
	}
	library := filepath.Join(b.folder, "libcuda.so.1")
	args := append([]string{"-shared", "-o", library, "-Wl,-z,defs", "-pthread"}, objects...)
	_, err = b.run(args...)
	return library, err
}

// compile compiles a file of the build's folder to an object beside it, or takes the
// object from the cache.
func (b *build) compile(path string, flags ...string) error {
	preprocessed, err := b.run("-std=c++17", "-E", "-I", "source", "-I", "include", path)
	if err != nil {
		return err
	}
	args := append([]string{"-std=c++17", "-fPIC"}, flags...)
	h := sha256.New()
	fmt.Fprintln(h, b.version, args)
	h.Write(preprocessed)
	kept := filepath.Join(b.cache, fmt.Sprintf("%x.o", h.Sum(nil)[:16]))
	object := path + ".o"
	if os.Link(kept, filepath.Join(b.folder, object)) == nil {
		return nil
	}
	if _, err := b.run(append(args, "-I", "source", "-I", "include", "-c", path, "-o", object)...); err != nil {
		return err
	}
	if err := os.Link(filepath.Join(b.folder, object), kept); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// run runs the compiler in the build's folder.
func (b *build) run(args ...string) ([]byte, error) {
	c := exec.Command(compiler, args...)
	c.Dir = b.folder
	var out, messages bytes.Buffer
	c.Stdout, c.Stderr = &out, &messages
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", compiler, err, messages.String())
	}
	return out.Bytes(), nil
}

// parallel runs jobs on all processors and returns the errors of those that
// failed.
func parallel(jobs []func() error) error {
	var wait sync.WaitGroup
	failures := make([]error, len(jobs))
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, job := range jobs {
		wait.Go(func() {
			limit <- struct{}{}
			failures[i] = job()
			<-limit
		})
	}
	wait.Wait()
	return errors.Join(failures...)
}
