package data

import (
	"fmt"
	"math"
)

// maxClasses bounds the labels of a file of unknown origin, so that one wild
// label can't ask for gigabytes of one-hot rows.
const maxClasses = 1 << 16

// Split is one half of a data set, training or test: N labelled samples of C
// channels, H rows and W columns each. Exactly one of Pixels and Values is set.
// Its contents are shared, not copied, by Limit and Slice and must not be
// changed; it may be read concurrently.
type Split struct {
	N, C, H, W int
	Pixels     []uint8   // N×C×H×W, row-major: the samples of a uint8 file
	Values     []float32 // N×C×H×W, row-major: the samples of any other type, as they stand in the file
	Labels     []int32   // N, each in [0, Set.Classes)
}

// Size returns C·H·W, the number of elements of one sample.
func (s *Split) Size() int { return s.C * s.H * s.W }

// Limit returns the first n samples, sharing memory. n must lie in [1, N].
func (s *Split) Limit(n int) (*Split, error) {
	if n < 1 || n > s.N {
		return nil, fmt.Errorf("data: a limit of %d samples: there are %d, give 1 to %d", n, s.N, s.N)
	}
	return s.Slice(0, n)
}

// Slice returns the samples a ≤ i < b, sharing memory. The range must not be
// empty and must lie in [0, N].
func (s *Split) Slice(a, b int) (*Split, error) {
	if a < 0 || b > s.N || a >= b {
		return nil, fmt.Errorf("data: samples %d:%d: give A:B with 0 ≤ A < B ≤ %d", a, b, s.N)
	}
	part := &Split{N: b - a, C: s.C, H: s.H, W: s.W, Labels: s.Labels[a:b:b]}
	lo, hi := a*s.Size(), b*s.Size()
	if s.Pixels != nil {
		part.Pixels = s.Pixels[lo:hi:hi]
	} else {
		part.Values = s.Values[lo:hi:hi]
	}
	return part, nil
}

// place names element i of the samples as sample i (channel, row, column).
func (s *Split) place(i int) string {
	w := i % s.W
	h := i / s.W % s.H
	c := i / (s.W * s.H) % s.C
	return fmt.Sprintf("sample %d, channel %d, row %d, column %d", i/s.Size(), c, h, w)
}

// transpose swaps the rows and columns of every image.
func (s *Split) transpose() {
	if s.Pixels != nil {
		s.Pixels = transposed(s.Pixels, s.H, s.W)
	} else {
		s.Values = transposed(s.Values, s.H, s.W)
	}
	s.H, s.W = s.W, s.H
}

// transposed returns the h×w images in src as w×h images.
func transposed[E uint8 | float32](src []E, h, w int) []E {
	dst := make([]E, len(src))
	for at := 0; at < len(src); at += h * w {
		for y := range h {
			for x := range w {
				dst[at+x*h+y] = src[at+y*w+x]
			}
		}
	}
	return dst
}

// addLabels gives the images in s their labels, of which there must be as
// many.
func (s *Split) addLabels(labels []int32) error {
	if s.N != len(labels) {
		return fmt.Errorf("%d images, %d labels", s.N, len(labels))
	}
	s.Labels = labels
	return nil
}

// checkLabels reports the first label that is not in [0, classes).
func (s *Split) checkLabels(classes int, whose string) error {
	for i, l := range s.Labels {
		if int(l) >= classes {
			return fmt.Errorf("label %d at index %d is outside 0…%d, the %d classes of %s", l, i, classes-1, classes, whose)
		}
	}
	return nil
}

// checkShape reports samples of another shape than those of train.
func (s *Split) checkShape(train *Split) error {
	if s.C != train.C || s.H != train.H || s.W != train.W {
		return fmt.Errorf("images of %d×%d×%d, the training images are %d×%d×%d (channels×height×width)",
			s.C, s.H, s.W, train.C, train.H, train.W)
	}
	return nil
}

// classes returns one more than the largest label.
func (s *Split) classes() int {
	var top int32
	for _, l := range s.Labels {
		top = max(top, l)
	}
	return int(top) + 1
}

// Scale says how Gather turns stored samples into numbers. The zero value
// divides the pixels of uint8 files by 255 and leaves Values as they are. With
// Mean and Std, one entry a channel, that x becomes (x − Mean[c])/Std[c].
// Normalization makes it.
type Scale struct {
	Mean, Std []float64
}

// Normalization returns each channel's mean and standard deviation (the
// population's, dividing by the count) over all samples of s, after the
// division of pixels by 255, in float64. A channel whose elements are all equal
// gets deviation 1, so that it becomes 0. Use the training split's for the test
// split too.
func Normalization(s *Split) Scale {
	sc := Scale{Mean: make([]float64, s.C), Std: make([]float64, s.C)}
	for c := range s.C {
		var mean, variance float64
		if s.Pixels != nil {
			mean, variance = pixelMoments(s, c)
		} else {
			mean, variance = valueMoments(s, c)
		}
		sc.Mean[c], sc.Std[c] = mean, math.Sqrt(variance)
		if variance == 0 {
			sc.Std[c] = 1
		}
	}
	return sc
}

// pixelMoments returns mean and variance of channel c by its histogram, which
// makes the sums of the integers exact.
func pixelMoments(s *Split, c int) (mean, variance float64) {
	var count [256]int
	for i := range s.N {
		for _, p := range s.Pixels[i*s.Size()+c*s.H*s.W:][:s.H*s.W] {
			count[p]++
		}
	}
	n := float64(s.N * s.H * s.W)
	for x, k := range count {
		mean += float64(k) * float64(x) / 255
	}
	mean /= n
	for x, k := range count {
		d := float64(x)/255 - mean
		variance += float64(k) * d * d
	}
	if count[s.Pixels[c*s.H*s.W]] == s.N*s.H*s.W {
		return mean, 0 // free of the mean's rounding
	}
	return mean, variance / n
}

// valueMoments returns mean and variance of channel c in two passes.
func valueMoments(s *Split, c int) (mean, variance float64) {
	n := float64(s.N * s.H * s.W)
	first, constant := s.Values[c*s.H*s.W], true
	for i := range s.N {
		for _, v := range s.Values[i*s.Size()+c*s.H*s.W:][:s.H*s.W] {
			mean += float64(v)
			constant = constant && v == first
		}
	}
	mean /= n
	if constant {
		return float64(first), 0
	}
	for i := range s.N {
		for _, v := range s.Values[i*s.Size()+c*s.H*s.W:][:s.H*s.W] {
			d := float64(v) - mean
			variance += d * d
		}
	}
	return mean, variance / n
}
