package measure

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"sgflow/engine"
	"sgflow/engine/record"
)

// memory is what quantities remember from point to point, by names that begin
// with their own: vectors of any length and a few numbers. All of it is part of
// a checkpoint. What is made once is kept, so that later points allocate
// nothing.
type memory[T engine.Float] struct {
	make    func(n int) []T // a vector of zeros
	vectors map[string][]T
	numbers map[string][]float64
	sizes   map[string]int // what bytes has found out, until lengths change
}

func newMemory[T engine.Float](make func(n int) []T) memory[T] {
	return memory[T]{make, map[string][]T{}, map[string][]float64{}, map[string]int{}}
}

// vector returns the vector of that name and n elements. A fresh one holds
// zeros.
func (m *memory[T]) vector(name string, n int) (v []T, fresh bool) {
	v = m.vectors[name]
	if len(v) == n {
		return v, false
	}
	v = m.make(n)
	m.vectors[name] = v
	clear(m.sizes)
	return v, true
}

// list returns the numbers of that name; remember stores them.
func (m *memory[T]) list(name string) []float64 { return m.numbers[name] }

func (m *memory[T]) remember(name string, x []float64) {
	if len(x) != len(m.numbers[name]) {
		clear(m.sizes)
	}
	m.numbers[name] = x
}

// number returns the single number of that name, 0 before it was set.
func (m *memory[T]) number(name string) float64 {
	if x := m.numbers[name]; len(x) > 0 {
		return x[0]
	}
	return 0
}

func (m *memory[T]) setNumber(name string, x float64) {
	if old := m.numbers[name]; len(old) == 1 {
		old[0] = x
		return
	}
	m.remember(name, []float64{x})
}

// forget drops all that is remembered under the name.
func (m *memory[T]) forget(name string) {
	delete(m.vectors, name)
	delete(m.numbers, name)
	clear(m.sizes)
}

// bytes returns the size of what is remembered under names that begin with
// the prefix.
func (m *memory[T]) bytes(prefix string) int {
	if n, ok := m.sizes[prefix]; ok {
		return n
	}
	n := 0
	var x T
	for name, v := range m.vectors {
		if belongs(name, prefix) {
			n += len(v) * sizeOf(x)
		}
	}
	for name, v := range m.numbers {
		if belongs(name, prefix) {
			n += len(v) * 8
		}
	}
	m.sizes[prefix] = n
	return n
}

// belongs reports whether name is prefix, or prefix, a dot and more.
func belongs(name, prefix string) bool {
	return name == prefix || len(name) > len(prefix) && name[:len(prefix)] == prefix && name[len(prefix)] == '.'
}

func sizeOf[T engine.Float](T) int {
	if isDouble[T]() {
		return 8
	}
	return 4
}

// tensorPrefix begins the names of the memory's tensors in a checkpoint.
const tensorPrefix = "monitor."

// memoryState is the part of a checkpoint beside tensors.
type memoryState struct {
	Vectors []string             `json:"vectors"`
	Numbers map[string][]float64 `json:"numbers"`
}

// save returns the memory for a checkpoint. The tensors share its arrays.
func (m *memory[T]) save() ([]record.Tensor, json.RawMessage, error) {
	s := memoryState{Vectors: slices.Sorted(maps.Keys(m.vectors)), Numbers: m.numbers}
	var tensors []record.Tensor
	for _, name := range s.Vectors {
		v := m.vectors[name]
		tensors = append(tensors, record.NewTensor(tensorPrefix+name, []int{len(v)}, v))
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, nil, fmt.Errorf("measure: saving what quantities remember: %w", err)
	}
	return tensors, text, nil
}

// restore fills the memory from a checkpoint.
func (m *memory[T]) restore(c *record.Checkpoint, text json.RawMessage) error {
	var s memoryState
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("measure: reading what quantities remember: %w", err)
	}
	for _, name := range s.Vectors {
		t, ok := c.Tensor(tensorPrefix + name)
		if !ok {
			return fmt.Errorf("measure: checkpoint: tensor %q is missing", tensorPrefix+name)
		}
		v, _ := m.vector(name, len(record.Values[T](t)))
		copy(v, record.Values[T](t))
	}
	for name, x := range s.Numbers {
		m.remember(name, x)
	}
	return nil
}
