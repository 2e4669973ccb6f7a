//go:build gpu && cgo && linux && amd64

package emulator_test

import (
	"math"
	"testing"

	"sgflow/engine/cuda/driver"
)

// operation runs a kernel of one instruction: a thread for each element of the
// operands.
func operation[R, T any](t *testing.T, kernel string, operands ...[]T) []R {
	t.Helper()
	d := open(t)
	n := len(operands[0])
	out := d.memory("out", n)
	args := []driver.Arg{driver.Ptr(out.Pointer)}
	for _, values := range operands {
		args = append(args, driver.Ptr(upload(d, values)))
	}
	d.launch(kernel, grid(1, n), args...)
	return download[R](d, out.Pointer, n)
}

func equal[T comparable](t *testing.T, kernel string, got []T, want ...T) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s, case %d: %v, want %v", kernel, i, got[i], want[i])
		}
	}
}

// What is expected is from the PTX ISA's text, by hand.

func TestIntegerInstructions(t *testing.T) {
	for kernel, test := range map[string]struct{ a, b, want []int32 }{
		"shift_left":    {[]int32{1, 1, 1, -1}, []int32{31, 32, 200, 4}, []int32{math.MinInt32, 0, 0, -16}},
		"shift_right":   {[]int32{-8, -8, 8, -1}, []int32{1, 32, 40, 31}, []int32{-4, -1, 0, -1}},
		"multiply_high": {[]int32{math.MinInt32, 1 << 30, -3}, []int32{math.MinInt32, 6, 5}, []int32{1 << 30, 1, -1}},
		"multiply_low":  {[]int32{math.MinInt32, 1 << 20, -3}, []int32{3, 1 << 13, 5}, []int32{math.MinInt32, 0, -15}},
		"quotient":      {[]int32{-7, 7, 1}, []int32{2, -2, 3}, []int32{-3, -3, 0}},
		"rest":          {[]int32{-7, 7, 1}, []int32{2, -2, 3}, []int32{-1, 1, 1}},
	} {
		equal(t, kernel, operation[int32](t, kernel, test.a, test.b), test.want...)
	}
	equal(t, "shift_right_unsigned", operation[uint32](t, "shift_right_unsigned", []uint32{1 << 31, 1 << 31}, []uint32{31, 32}), 1, 0)
	equal(t, "permute", operation[uint32](t, "permute", []uint32{0x33221180, 0x33221180, 0x33221180}, []uint32{0x77665544, 0x77665544, 0x77665544},
		[]uint32{0x7610, 0x0123, 0x8888}), 0x77661180, 0x80112233, 0xffffffff)
	equal(t, "first_bit", operation[uint32](t, "first_bit", []uint32{1, 0x80000000, 0x00f0, 0}), 0, 31, 4, math.MaxUint32)
	equal(t, "insert", operation[uint32](t, "insert", []uint32{0xff, 0xff, 0xff, 5}, []uint32{0, 0xffffffff, 7, 0x80000000},
		[]uint32{4, 4, 40, 0}, []uint32{4, 0, 4, 32}), 0xf0, 0xffffffff, 7, 5)
}

func TestFloatingPointInstructions(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	a, b := []float32{1, 1, nan, 2}, []float32{1, 2, 1, nan}
	for kernel, want := range map[string][]int32{
		"ordered_ne":   {0, 1, 0, 0},
		"unordered_ne": {0, 1, 1, 1},
		"unordered_lt": {0, 1, 1, 1},
		"unordered_ge": {1, 0, 1, 1},
		"both_numbers": {1, 1, 0, 0},
	} {
		equal(t, kernel, operation[int32](t, kernel, a, b), want...)
	}
	equal(t, "smaller", operation[float32](t, "smaller", a, b), 1, 1, 1, 2)
	equal(t, "larger", operation[float32](t, "larger", a, b), 1, 2, 1, 2)
	// 1 − 2^-60 rounded down is the number below 1.
	equal(t, "fused_down", operation[float32](t, "fused_down", []float32{-0x1p-30, 0x1p-30}, []float32{0x1p-30, 0x1p-30}, []float32{1, 1}),
		math.Nextafter32(1, 0), 1)
	equal(t, "to_integer", operation[int32](t, "to_integer", []float32{-1.9, 1.9, 3e9, -3e9, nan, inf}), -1, 1, math.MaxInt32, math.MinInt32, 0, math.MaxInt32)
	equal(t, "saturated", operation[float32](t, "saturated", []float32{-1, 0.25, 7, nan, inf}), 0, 0.25, 1, 0, 1)
	// 10 bits of mantissa; a tie goes away from zero.
	equal(t, "to_tf32", operation[uint32](t, "to_tf32", []float32{1, 1 + 0x1p-11, -1 - 0x1p-11, 1 + 0x1p-12, 1 + 0x3p-11}),
		0x3f800000, 0x3f802000, 0xbf802000, 0x3f800000, 0x3f804000)
}
