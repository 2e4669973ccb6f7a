package problem

import (
	"sgflow/data"
	"sgflow/engine"
)

// SetData gives the session the training set, so that a device takes steps by
// itself (engine.Session.Start), and returns whether it can: a GPU does where
// samples are bytes.
func SetData[T engine.Float](p *Opened, s *engine.Session[T]) bool {
	split := p.Train
	return split.Pixels != nil && s.SetData(engine.Data[T]{
		Pixels: split.Pixels, Labels: split.Labels, Classes: p.Set.Classes, Values: byteValues[T](split.C, p.Scale),
	})
}

// byteValues returns what each value of a byte becomes in each channel,
// channels×256.
func byteValues[T engine.Float](channels int, scale data.Scale) []T {
	all := &data.Split{N: 256, C: channels, H: 1, W: 1}
	for v := range 256 {
		for range channels {
			all.Pixels = append(all.Pixels, uint8(v))
		}
	}
	rows, values := make([]T, 256*channels), make([]T, 256*channels)
	data.Gather(rows, all, Sequence(0, 256), scale)
	for v := range 256 {
		for c := range channels {
			values[c*256+v] = rows[v*channels+c]
		}
	}
	return values
}
