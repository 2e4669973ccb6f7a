package data

// Messages of the panics that a wrong call of Gather or OneHot ends in, as
// indexing out of range does: mistakes of the calling code, not of its input.
const (
	panicRows  = "data: the destination doesn't hold exactly one row for each index"
	panicIndex = "data: an index is outside the split"
	panicScale = "data: the scale has another number of channels than the split"
	panicLabel = "data: a label is not below the number of classes"
)

// Gather writes the samples with the given indices into dst, which is
// len(indices)×C×H×W, row-major:
//
//	dst[r, c, h, w] = x/255                      for Pixels (computed in T)
//	                = x                          for Values
//
// and, where sc has them, minus Mean[c] and divided by Std[c] (computed in
// float64 and rounded once to T). It allocates nothing and may be called
// concurrently. It panics where dst has another length, an index is outside
// [0, N) or sc has another number of channels.
func Gather[T float32 | float64](dst []T, s *Split, indices []int32, sc Scale) {
	size, plane := s.Size(), s.H*s.W
	if len(dst) != len(indices)*size {
		panic(panicRows)
	}
	if sc.Mean != nil && (len(sc.Mean) != s.C || len(sc.Std) != s.C) {
		panic(panicScale)
	}
	checkIndices(s, indices)
	for c := range s.C {
		if s.Pixels == nil {
			for r, i := range indices {
				src := s.Values[int(i)*size+c*plane:][:plane]
				scaleValues(dst[r*size+c*plane:][:plane], src, sc, c)
			}
			continue
		}
		table := pixelTable[T](sc, c)
		for r, i := range indices {
			src := s.Pixels[int(i)*size+c*plane:][:plane]
			row := dst[r*size+c*plane:][:plane]
			for k, p := range src {
				row[k] = table[p]
			}
		}
	}
}

// pixelTable returns what each value of a pixel in channel c becomes.
func pixelTable[T float32 | float64](sc Scale, c int) (table [256]T) {
	for x := range table {
		if sc.Mean == nil {
			table[x] = T(x) / 255
		} else {
			table[x] = T((float64(x)/255 - sc.Mean[c]) / sc.Std[c])
		}
	}
	return table
}

// scaleValues writes one plane of channel c.
func scaleValues[T float32 | float64](dst []T, src []float32, sc Scale, c int) {
	if sc.Mean == nil {
		for k, v := range src {
			dst[k] = T(v)
		}
		return
	}
	for k, v := range src {
		dst[k] = T((float64(v) - sc.Mean[c]) / sc.Std[c])
	}
}

// OneHot writes the labels of the samples with the given indices into dst,
// which is len(indices)×classes, row-major: 1 in the column of the label, 0
// elsewhere. It allocates nothing and may be called concurrently. It panics
// where dst has another length, an index is outside [0, N) or a label is not
// below classes.
func OneHot[T float32 | float64](dst []T, s *Split, indices []int32, classes int) {
	if len(dst) != len(indices)*classes {
		panic(panicRows)
	}
	checkIndices(s, indices)
	clear(dst)
	for r, i := range indices {
		label := int(s.Labels[i])
		if label >= classes {
			panic(panicLabel)
		}
		dst[r*classes+label] = 1
	}
}

// checkIndices panics where an index is outside the split.
func checkIndices(s *Split, indices []int32) {
	for _, i := range indices {
		if uint(i) >= uint(s.N) {
			panic(panicIndex)
		}
	}
}
