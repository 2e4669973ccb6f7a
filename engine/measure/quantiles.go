package measure

import (
	"math"
	"math/bits"
	"slices"
)

// quartiles returns the least element of x, the quartiles and the largest, by linear
// interpolation between order statistics (Hyndman & Fan 1996, definition 7, the default of
// NumPy). It changes the order of x, which is not empty; NaN counts as less than numbers.
func quartiles(x []float64) (q [5]float64) {
	last := len(x) - 1
	var at [3 * 2]int // what lies below each quartile, and above it
	for i := range 3 {
		at[2*i] = (i + 1) * last / 4
		at[2*i+1] = min(at[2*i]+1, last)
	}
	q[0], q[4] = x[0], x[0]
	unordered := false
	for _, v := range x {
		if v < q[0] {
			q[0] = v
		}
		if v > q[4] {
			q[4] = v
		}
		unordered = unordered || v != v
	}
	if unordered {
		slices.Sort(x)
		q[0], q[4] = x[0], x[last]
	} else {
		arrange(x, 0, at[:], 2*bits.Len(uint(len(x))))
	}
	for i := range 3 {
		f := float64(i+1)/4*float64(last) - float64(at[2*i])
		q[i+1] = x[at[2*i]]*(1-f) + x[at[2*i+1]]*f
	}
	return q
}

// fewest is how many elements are worth dividing.
const fewest = 24

// arrange moves elements of x, a part of more that begins there at place first, so that those
// at the places at, in ascending order, are what they would be if all were sorted: by Hoare's
// selection (1961), for many places at once. Where it is not done after depth divisions, it
// sorts.
func arrange(x []float64, first int, at []int, depth int) {
	for len(at) > 0 && len(x) > 1 {
		if len(x) < fewest || depth == 0 {
			slices.Sort(x)
			return
		}
		depth--
		pivot := median(x[len(x)/4], x[len(x)/2], x[len(x)*3/4])
		less := divide(x, pivot, false)
		if less == 0 { // so that what is equal to the pivot, which is the least, is left
			less = divide(x, pivot, true)
			at = at[below(at, first+less):] // these places are right
			x, first = x[less:], first+less
			continue
		}
		k := below(at, first+less)
		arrange(x[:less], first, at[:k], depth)
		x, first, at = x[less:], first+less, at[k:]
	}
}

// below is how many of at, in ascending order, are less than k.
func below(at []int, k int) int {
	n, _ := slices.BinarySearch(at, k)
	return n
}

// divide moves elements below pivot, or those that are not above it, to the front, and returns how
// many they are. It has no branch that could be guessed wrongly.
func divide(x []float64, pivot float64, equal bool) (n int) {
	if equal {
		pivot = math.Nextafter(pivot, math.Inf(1))
	}
	for j, v := range x {
		x[j] = x[n]
		x[n] = v
		less := 0
		if v < pivot {
			less = 1
		}
		n += less
	}
	return n
}

func median(a, b, c float64) float64 { return max(min(a, b), min(max(a, b), c)) }
