package op

import (
	"fmt"
	"math/bits"
	"strings"

	"gorgonia.org/tensor"
)

// MaxRank is the highest rank of a tensor that [Sum], [Broadcast] and
// [Reshape] work on.
const MaxRank = 4

// Dims is a comparable encoding of a shape of rank N ≤ MaxRank: its first N
// entries are the dimensions, the rest are zero. The zero value is a scalar.
type Dims struct {
	N int
	D [MaxRank]int
}

// NewDims encodes a shape. It is an error if the rank exceeds MaxRank or a
// dimension is not positive.
func NewDims(shape ...int) (Dims, error) {
	if len(shape) > MaxRank {
		return Dims{}, fmt.Errorf("op: shape %v has rank %d, at most %d is supported", tensor.Shape(shape), len(shape), MaxRank)
	}
	d := Dims{N: len(shape)}
	copy(d.D[:], shape)
	return d, d.check()
}

func (d Dims) check() error {
	if d.N < 0 || d.N > MaxRank {
		return fmt.Errorf("op: rank %d is not in 0..%d", d.N, MaxRank)
	}
	for i, n := range d.D {
		if i < d.N && n < 1 {
			return fmt.Errorf("op: shape %v: dimension %d is %d, want at least 1", d, i, n)
		}
		if i >= d.N && n != 0 {
			return fmt.Errorf("op: shape %v: entry %d beyond the rank is %d, want 0", d, i, n)
		}
	}
	return nil
}

// Shape returns the shape as a fresh slice.
func (d Dims) Shape() tensor.Shape {
	return append(tensor.Shape{}, d.D[:min(max(d.N, 0), MaxRank)]...)
}

// Size returns the number of elements; 1 for a scalar.
func (d Dims) Size() int {
	n := 1
	for _, v := range d.Shape() {
		n *= v
	}
	return n
}

// String prints the shape as "2×3×4", a scalar as "scalar".
func (d Dims) String() string {
	if d.N == 0 {
		return "scalar"
	}
	parts := make([]string, 0, MaxRank)
	for _, v := range d.Shape() {
		parts = append(parts, fmt.Sprint(v))
	}
	return strings.Join(parts, "×")
}

// Axes is a set of axes, bit i for axis i.
type Axes uint8

// noAxis is the bit that AxesOf sets for an axis that no shape has.
const noAxis = 7

// AxesOf returns the set of the given axes. An axis outside 0..6 makes a set
// that every op rejects.
func AxesOf(axes ...int) Axes {
	var s Axes
	for _, a := range axes {
		if a < 0 || a > noAxis {
			a = noAxis
		}
		s |= 1 << a
	}
	return s
}

// AllAxes returns the axes 0..rank-1.
func AllAxes(rank int) Axes {
	s := Axes(0)
	for a := range rank {
		s |= AxesOf(a)
	}
	return s
}

// Has reports whether axis a is in the set.
func (s Axes) Has(a int) bool { return a >= 0 && a <= noAxis && s>>a&1 == 1 }

// Len returns the number of axes in the set.
func (s Axes) Len() int { return bits.OnesCount8(uint8(s)) }

// String prints the axes as "[0 2 3]".
func (s Axes) String() string {
	list := []int{}
	for a := range 8 {
		if s.Has(a) {
			list = append(list, a)
		}
	}
	return fmt.Sprint(list)
}
