package measure

import (
	"encoding/json"
	"fmt"

	"sgflow/engine/record"
)

// Names of the monitor's tensors in a checkpoint.
const (
	lastGradientTensor = "monitor.last_gradient"
	eigenvectorTensor  = "monitor.eigenvector"
)

// state is what a monitor remembers from step to step beside its tensors.
type state struct {
	Average noiseAverage `json:"noise_average"`
	HasLast bool         `json:"has_last_gradient"`
	LastSq  float64      `json:"last_gradient_norm_sq"`
	Warm    bool         `json:"has_eigenvector"`
	Lasts   bool         `json:"eigenvector_lasts"`
	Window  []float64    `json:"trace_window"`
	Probes  uint64       `json:"probes"`
}

// State returns what a checkpoint must hold for Restore. The tensors share the
// monitor's memory: write them before the next step.
func (m *Monitor[T]) State() ([]record.Tensor, json.RawMessage, error) {
	var tensors []record.Tensor
	if m.last != nil {
		tensors = append(tensors, record.NewTensor(lastGradientTensor, []int{len(m.last)}, m.last))
	}
	if m.stream.u != nil {
		tensors = append(tensors, record.NewTensor(eigenvectorTensor, []int{len(m.stream.u)}, m.stream.u))
	}
	text, err := json.Marshal(state{m.average, m.hasLast, m.lastSq, m.stream.warm, m.stream.lasts, m.window, m.probes})
	if err != nil {
		return nil, nil, fmt.Errorf("measure: saving the monitor's state: %w", err)
	}
	return tensors, text, nil
}

// Restore continues from a State saved by a monitor of the same Config.
func (m *Monitor[T]) Restore(c *record.Checkpoint, text json.RawMessage) error {
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("measure: reading the monitor's state: %w", err)
	}
	for name, dst := range map[string][]T{lastGradientTensor: m.last, eigenvectorTensor: m.stream.u} {
		if dst == nil {
			continue
		}
		t, ok := c.Tensor(name)
		if !ok || t.Len() != len(dst) {
			return fmt.Errorf("measure: checkpoint: tensor %q of %d elements is missing", name, len(dst))
		}
		copy(dst, record.Values[T](t))
	}
	if len(s.Window) > m.c.Window {
		return fmt.Errorf("measure: checkpoint: a window of %d probes, longer than %d", len(s.Window), m.c.Window)
	}
	m.average, m.hasLast, m.lastSq = s.Average, s.HasLast, s.LastSq
	m.stream.warm, m.stream.lasts, m.probes = s.Warm, s.Lasts, s.Probes
	m.window = append(m.window[:0], s.Window...)
	return nil
}
