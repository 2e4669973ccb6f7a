package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"sgflow/engine/record"
	"sgflow/engine/request"
)

// epochSave is the least time between checkpoints at the ends of epochs, so
// that runs with short epochs don't spend their time on them.
const epochSave = time.Second

// checkpointState is the part of a checkpoint that is no array.
type checkpointState struct {
	Progress progress        `json:"progress"`
	Monitor  json.RawMessage `json:"monitor"`
}

// saveDue reports whether it is time for a checkpoint; ended says that an epoch
// has.
func (t *trainer[T]) saveDue(ended bool) bool {
	since := time.Since(t.savedAt)
	return t.over() || ended && since >= epochSave || since.Seconds() >= t.c.CheckpointEvery
}

// save writes a checkpoint of the run as it stands. Parameters that are not
// finite are not saved: the checkpoint before them is worth more.
func (t *trainer[T]) save() error {
	t.clock()
	norm := t.session.NormSq(t.session.Params())
	if err := t.session.Err(); err != nil {
		return t.failed(fmt.Errorf("step %d: %w", t.at, err))
	}
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return t.diverged(errors.New("the weights are not finite"))
	}
	if t.path != nil { // no checkpoint is of a later step than the trajectory
		if err := t.path.Sync(); err != nil {
			return t.failed(err)
		}
	}
	tensors, monitor, err := t.monitor.State()
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	state, err := json.Marshal(checkpointState{t.progress, monitor})
	if err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	tensors = append(t.params(), tensors...)
	for _, v := range t.vectors() {
		tensors = append(tensors, record.NewTensor(v.name, []int{len(v.of)}, v.of))
	}
	if err := t.folder.SaveCheckpoint(&record.Checkpoint{Step: t.at, Tensors: tensors, State: state}); err != nil {
		return t.failed(err)
	}
	t.saved, t.savedAt = t.at, time.Now()
	return nil
}

// params returns the parameters as tensors that share the session's memory.
func (t *trainer[T]) params() []record.Tensor { return t.tensors(t.session.Params()) }

// tensors returns a vector like the parameters as tensors that share its memory, for
// the caller to read at once.
func (t *trainer[T]) tensors(flat []T) []record.Tensor {
	t.session.Wait()
	var tensors []record.Tensor
	for _, p := range t.session.Program().Params {
		tensors = append(tensors, record.NewTensor(p.Name, p.Shape, flat[p.Offset:p.Offset+p.Size]))
	}
	return tensors
}

// vectors returns what a checkpoint keeps beside the parameters and what quantities
// remember.
func (t *trainer[T]) vectors() []vector[T] {
	return append(t.updater.vectors(), t.averages.vectors()...)
}

// restore puts the run where the checkpoint was taken.
func (t *trainer[T]) restore(c *record.Checkpoint) error {
	if c.Step > t.steps {
		return request.Wrap(fmt.Errorf("train: the checkpoint is of step %d, the run has %d", c.Step, t.steps))
	}
	var state checkpointState
	if err := json.Unmarshal(c.State, &state); err != nil {
		return request.Wrap(fmt.Errorf("train: the checkpoint of step %d: %w", c.Step, err))
	}
	t.session.Wait()
	read := func(name string, dst []T) error {
		tensor, ok := c.Tensor(name)
		if !ok || tensor.Len() != len(dst) {
			return request.Wrap(fmt.Errorf("train: the checkpoint of step %d does not fit the model: it lacks %s with %d elements", c.Step, name, len(dst)))
		}
		copy(dst, record.Values[T](tensor))
		return nil
	}
	for _, p := range t.session.Program().Params {
		if err := read(p.Name, t.session.Params()[p.Offset:p.Offset+p.Size]); err != nil {
			return err
		}
	}
	for _, v := range t.vectors() {
		if err := read(v.name, v.of); err != nil {
			return err
		}
	}
	if err := t.monitor.Restore(c, state.Monitor); err != nil {
		return request.Wrap(err)
	}
	t.at, t.saved, t.progress = c.Step, c.Step, state.Progress
	if !t.sizes.varies() { // which a checkpoint of an earlier version lacks
		t.progress.Place = t.sampler.Place(t.at)
	}
	return nil
}

// interrupted saves the run, if it has moved since it last was, and returns
// ErrInterrupted with how to go on.
func (t *trainer[T]) interrupted() error {
	if t.saved != t.at {
		if err := t.save(); err != nil {
			return errors.Join(ErrInterrupted, err)
		}
	}
	steps := fmt.Sprintf("%d of %d steps", t.at, t.steps)
	if t.steps == math.MaxInt {
		steps = fmt.Sprintf("%d steps, in epoch %d of %d", t.at, t.progress.Place.Epoch+1, t.c.Epochs)
	}
	return fmt.Errorf("train: %w after %s, all of it saved: go on with `sgflow train --resume %s`",
		ErrInterrupted, steps, t.folder.Dir())
}
