package problem

import (
	"sgflow/data"
	"sgflow/engine"
)

// SetData gives the session the training set and then the test set, so that a device
// takes steps by itself (engine.Session.Start) and has the samples of both at hand, and
// returns whether it can: a GPU does where samples are bytes.
func SetData[T engine.Float](p *Opened, s *engine.Session[T]) bool {
	train, test := p.Train, p.Set.Test
	return train.Pixels != nil && test.Pixels != nil && s.SetData(engine.Data[T]{
		Sets:    []engine.Samples{{Pixels: train.Pixels, Labels: train.Labels}, {Pixels: test.Pixels, Labels: test.Labels}},
		Classes: p.Set.Classes, Values: byteValues[T](train.C, p.Scale),
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
