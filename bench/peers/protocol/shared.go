package protocol

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"sgflow/engine/record"
)

// The sizes of a sample of the data that is shared.
const (
	Pixels  = 784
	Classes = 10
)

// Shared is what all systems start from.
type Shared struct {
	Weights []record.Tensor // in the model's order, as PyTorch shapes them

	images, labels []byte
	order          [][]int32 // by step
}

// OrderName is the name of the file with the samples of each step.
func OrderName(batch int) string { return fmt.Sprintf("order-%d.i32", batch) }

// OpenShared reads what the request's folder holds for its model and batch.
func OpenShared(r Request) (*Shared, error) {
	s := &Shared{}
	var order []byte
	for name, to := range map[string]*[]byte{"images.u8": &s.images, "labels.u8": &s.labels, OrderName(r.Batch): &order} {
		var err error
		if *to, err = os.ReadFile(filepath.Join(r.Dir, name)); err != nil {
			return nil, err
		}
	}
	if len(order) == 0 || len(order)%(4*r.Batch) != 0 {
		return nil, fmt.Errorf("protocol: %s does not hold whole steps", OrderName(r.Batch))
	}
	for len(order) > 0 {
		step := make([]int32, r.Batch)
		for i := range step {
			step[i] = int32(binary.LittleEndian.Uint32(order[4*i:]))
		}
		s.order, order = append(s.order, step), order[4*r.Batch:]
	}
	f, err := os.Open(filepath.Join(r.Dir, r.Model+".safetensors"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s.Weights, _, err = record.ReadSafetensors(f, info.Size())
	return s, err
}

// Gather writes the samples of a step: x, batch×Pixels, in [0,1], and y,
// batch×Classes, with 1/batch where the label is and 0 elsewhere, so that
// −Σ y·log p is the mean cross-entropy.
func (s *Shared) Gather(step int, x, y []float32) {
	indices := s.order[step%len(s.order)]
	clear(y)
	for r, i := range indices {
		row := x[r*Pixels:][:Pixels]
		for k, p := range s.images[int(i)*Pixels:][:Pixels] {
			row[k] = float32(p) / 255
		}
		y[r*Classes+int(s.labels[i])] = 1 / float32(len(indices))
	}
}
