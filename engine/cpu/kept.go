package cpu

import "fmt"

// KeptSamples returns a copy of what KeepSamples kept, for a checkpoint, and of
// how many samples; n is 0 where nothing was kept.
func (m *Machine[T]) KeptSamples() (n int, data []T) {
	k := &m.sampled.kept
	if k.n == 0 {
		return 0, nil
	}
	for i := range m.sampled.list {
		if k.rows[i] {
			data = append(append(data, k.a[i]...), k.b[i]...)
		} else {
			data = append(data, k.mean[i]...)
		}
	}
	return k.n, data
}

// SetKeptSamples restores what KeptSamples returned on a machine of the same
// program and capacity. The error says where the lengths don't fit.
func (m *Machine[T]) SetKeptSamples(n int, data []T) error {
	list, k := m.sampled.list, &m.sampled.kept
	if n < 1 || n > m.capacity || list == nil {
		return fmt.Errorf("cpu: restoring kept samples: %d samples, capacity %d", n, m.capacity)
	}
	m.makeKept()
	rest := data
	take := func(dst *[]T, length, size int) bool {
		if len(rest) < length {
			return false
		}
		m.keep(dst, rest[:length], size)
		rest = rest[length:]
		return true
	}
	for i := range list {
		f := &list[i]
		ok := true
		if k.rows[i] = f.byGram(n, 1); k.rows[i] {
			ok = take(&k.a[i], f.rows*n, f.rows*m.capacity) && take(&k.b[i], f.cols*n, f.cols*m.capacity)
		} else if f.of < 0 || !list[f.of].byGram(n, 1) {
			ok = take(&k.mean[i], f.size, f.size)
		}
		if !ok {
			return fmt.Errorf("cpu: restoring kept samples: %d numbers are too few", len(data))
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("cpu: restoring kept samples: %d numbers, %d too many", len(data), len(rest))
	}
	k.n = n
	return nil
}
