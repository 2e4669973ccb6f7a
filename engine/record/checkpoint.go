package record

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Keys of a checkpoint's metadata.
const (
	stepKey  = "step"
	stateKey = "state"
	crcKey   = "crc32c"
)

// Checkpoint is all that a run needs to go on exactly.
type Checkpoint struct {
	// Step is the number of steps done, and so the number of the next one.
	Step int
	// Tensors holds parameters, velocity and whatever else is an array, each
	// under a name of its own.
	Tensors []Tensor
	// State is the rest, as JSON.
	State json.RawMessage
}

// Tensor returns the tensor of the given name, and whether there is one.
func (c *Checkpoint) Tensor(name string) (Tensor, bool) {
	for _, t := range c.Tensors {
		if t.Name == name {
			return t, true
		}
	}
	return Tensor{}, false
}

// checkpointsKept is how many checkpoints a run keeps: the newest, and one to
// fall back on.
const checkpointsKept = 2

// SaveCheckpoint makes the logs durable, writes c atomically as a safetensors
// file with a checksum over all of it, and then removes all but the last two
// checkpoints. c is only read.
func (f *Folder) SaveCheckpoint(c *Checkpoint) error {
	if err := f.sync(); err != nil {
		return err
	}
	if !json.Valid(c.State) {
		return fmt.Errorf("record: checkpoint at step %d: its state is not JSON", c.Step)
	}
	metadata := map[string]string{
		stepKey:  strconv.Itoa(c.Step),
		stateKey: string(c.State),
		crcKey:   c.checksum(),
	}
	if err := saveTensors(checkpointPath(f.dir, c.Step), c.Tensors, metadata); err != nil {
		return err
	}
	steps, err := checkpointSteps(f.dir)
	if err != nil {
		return err
	}
	for _, step := range steps[:max(0, len(steps)-checkpointsKept)] {
		if err := removeCheckpoint(f.dir, step); err != nil {
			return err
		}
	}
	return nil
}

// LatestCheckpoint returns the newest checkpoint of the run folder dir that
// reads well; damaged holds an error for every newer one that doesn't, which
// the caller should show. None that reads well is an error.
func LatestCheckpoint(dir string) (c *Checkpoint, damaged []error, err error) {
	steps, err := checkpointSteps(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, step := range slices.Backward(steps) {
		c, err := readCheckpoint(checkpointPath(dir, step), step)
		if err == nil {
			return c, damaged, nil
		}
		damaged = append(damaged, err)
	}
	if len(damaged) > 0 {
		return nil, damaged, fmt.Errorf("record: %s has no checkpoint that can be read: %w", dir, damaged[0])
	}
	return nil, nil, fmt.Errorf("record: %s has no checkpoint to go on from", dir)
}

func readCheckpoint(path string, step int) (*Checkpoint, error) {
	tensors, metadata, err := readFile(path)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Step: step, Tensors: tensors, State: json.RawMessage(metadata[stateKey])}
	if metadata[stepKey] != strconv.Itoa(step) {
		return nil, fmt.Errorf("record: checkpoint %s: it is of step %.20q by its content", path, metadata[stepKey])
	}
	if metadata[crcKey] != c.checksum() || !json.Valid(c.State) {
		return nil, fmt.Errorf("record: checkpoint %s: its checksum does not fit its content: it is damaged", path)
	}
	return c, nil
}

// checksum returns the CRC-32C of the state and of every tensor's name, shape
// and bytes, in the order in which a file holds them.
func (c *Checkpoint) checksum() string {
	crc := crc32.New(castagnoli)
	add := func(b []byte) error { _, err := crc.Write(b); return err }
	frame := func(b []byte) { // with its length, so that pieces cannot shift
		_ = add(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
		_ = add(b)
	}
	frame(c.State)
	buf := make([]byte, chunk)
	for _, d := range []dtype{f64, f32} {
		for _, t := range c.Tensors {
			if t.is != d {
				continue
			}
			frame([]byte(t.Name))
			frame(fmt.Append(nil, t.Shape))
			_ = t.encode(buf, add) // a hash takes every write
		}
	}
	return fmt.Sprintf("%08x", crc.Sum32())
}

// saveTensors replaces the file at path by a safetensors file.
func saveTensors(path string, tensors []Tensor, metadata map[string]string) error {
	return WriteFileAtomic(path, func(w io.Writer) error { return WriteSafetensors(w, tensors, metadata) })
}

// Checkpoints are checkpoints/step-N.safetensors, N the number of steps done.
const (
	checkpointPrefix = "step-"
	checkpointSuffix = ".safetensors"
)

func checkpointPath(dir string, step int) string {
	return filepath.Join(dir, checkpointDir, fmt.Sprintf("%s%09d%s", checkpointPrefix, step, checkpointSuffix))
}

// checkpointStep returns the step of a checkpoint's file name, and whether it
// is one.
func checkpointStep(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, checkpointPrefix)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, checkpointSuffix); !ok {
		return 0, false
	}
	step, err := strconv.Atoi(digits)
	if err != nil || step < 0 || filepath.Base(checkpointPath("", step)) != name {
		return 0, false
	}
	return step, true
}

// checkpointSteps returns the steps of all checkpoints in dir, ascending.
func checkpointSteps(dir string) ([]int, error) {
	entries, err := os.ReadDir(filepath.Join(dir, checkpointDir))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("record: %s is no run folder: it has no %s", dir, checkpointDir)
		}
		return nil, fmt.Errorf("record: checkpoints: %w", err)
	}
	var steps []int
	for _, entry := range entries {
		if step, ok := checkpointStep(entry.Name()); ok {
			steps = append(steps, step)
		}
	}
	slices.Sort(steps)
	return steps, nil
}

func removeCheckpoint(dir string, step int) error {
	if err := os.Remove(checkpointPath(dir, step)); err != nil {
		return fmt.Errorf("record: remove checkpoint: %w", err)
	}
	return nil
}

// removeCheckpointsAfter removes the checkpoints of dir past step.
func removeCheckpointsAfter(dir string, step int) error {
	steps, err := checkpointSteps(dir)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if s > step {
			if err := removeCheckpoint(dir, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// finalFiles are what a run leaves beside its checkpoints.
var finalFiles = []string{
	weightsFile, varianceFile, filepath.Base(AveragePath("", EMA)), filepath.Base(AveragePath("", SWA)),
}

// clearCheckpoints removes a run's files from the folder at path, and then
// the folder if nothing is left in it.
func clearCheckpoints(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	left := 0
	for _, entry := range entries {
		name := entry.Name()
		_, ok := checkpointStep(name)
		if !ok && !slices.Contains(finalFiles, name) && !isTemp(name) {
			left++
			continue
		}
		if err := os.Remove(filepath.Join(path, name)); err != nil {
			return err
		}
	}
	if left > 0 {
		return nil
	}
	return os.Remove(path)
}
