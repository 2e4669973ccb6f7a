package reproduce

import (
	"fmt"
	"slices"

	"sgflow/data"
	"sgflow/engine/rng"
)

// withClasses returns the samples of the given classes, in their order, labelled by
// the class's place in the list: a copy.
func withClasses(set *data.Set, classes []int32) (*data.Set, error) {
	part := *set
	part.Name = fmt.Sprintf("%s of %d classes", set.Name, len(classes))
	part.Classes = len(classes)
	place := map[int32]int32{}
	part.ClassNames = nil
	for i, c := range classes {
		if c < 0 || int(c) >= set.Classes {
			return nil, fmt.Errorf("%s has no class %d", set.Name, c)
		}
		place[c] = int32(i)
		if set.ClassNames != nil {
			part.ClassNames = append(part.ClassNames, set.ClassNames[c])
		}
	}
	if len(place) != len(classes) {
		return nil, fmt.Errorf("a class is named twice in %v", classes)
	}
	part.Train, part.Test = ofClasses(set.Train, place), ofClasses(set.Test, place)
	return &part, nil
}

// ofClasses returns the samples whose class has a place.
func ofClasses(s *data.Split, place map[int32]int32) *data.Split {
	part := &data.Split{C: s.C, H: s.H, W: s.W}
	size := s.Size()
	for i, label := range s.Labels {
		to, ok := place[label]
		if !ok {
			continue
		}
		part.Labels = append(part.Labels, to)
		if s.Pixels != nil {
			part.Pixels = append(part.Pixels, s.Pixels[i*size:(i+1)*size]...)
		} else {
			part.Values = append(part.Values, s.Values[i*size:(i+1)*size]...)
		}
	}
	part.N = len(part.Labels)
	return part
}

// withRandomLabels returns the set with each training label drawn uniformly anew with
// the probability share.
func withRandomLabels(set *data.Set, share float64, seed uint64) *data.Set {
	changed, train := *set, *set.Train
	train.Labels = slices.Clone(train.Labels)
	source := rng.New(rng.Labels, seed, 0)
	for i := range train.Labels {
		if source.Float64() < share {
			train.Labels[i] = int32(source.Uint32n(uint32(set.Classes)))
		}
	}
	changed.Train = &train
	return &changed
}
