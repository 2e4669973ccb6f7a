package record

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Float is the element type of parameters.
type Float interface{ float32 | float64 }

// Tensor is a named array of float32 or float64 numbers, row-major.
type Tensor struct {
	Name  string
	Shape []int // the product is the number of elements; empty for a scalar

	f32 []float32 // exactly one of these is used
	f64 []float64
	is  dtype
}

// NewTensor returns a tensor over data, which is not copied and must have as
// many elements as shape asks for when the tensor is written.
func NewTensor[T Float](name string, shape []int, data []T) Tensor {
	t := Tensor{Name: name, Shape: shape}
	switch data := any(data).(type) {
	case []float32:
		t.f32, t.is = data, f32
	case []float64:
		t.f64, t.is = data, f64
	}
	return t
}

// Len returns the number of elements.
func (t Tensor) Len() int { return max(len(t.f32), len(t.f64)) }

// Values returns the elements of t as T: its own memory where that is its
// type, else converted.
func Values[T Float](t Tensor) []T {
	if own, ok := any(t.f32).([]T); ok && t.is == f32 {
		return own
	}
	if own, ok := any(t.f64).([]T); ok && t.is == f64 {
		return own
	}
	values := make([]T, t.Len())
	for i, x := range t.f32 {
		values[i] = T(x)
	}
	for i, x := range t.f64 {
		values[i] = T(x)
	}
	return values
}

// dtype is an element type by its safetensors name.
type dtype string

const (
	f64  dtype = "F64"
	f32  dtype = "F32"
	f16  dtype = "F16"  // read only
	bf16 dtype = "BF16" // read only
)

// size returns the bytes of an element, 0 for a type this package has none of.
func (d dtype) size() int {
	switch d {
	case f64:
		return 8
	case f32:
		return 4
	case f16, bf16:
		return 2
	}
	return 0
}

// elements returns the product of shape, and whether all of it is at least 0
// and an array of that many 8-byte elements has a size.
func elements(shape []int) (int, bool) {
	n := 1
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		if d > 0 && n > math.MaxInt/8/d {
			// A later 0 would make the product 0; no array has such a shape.
			return 0, false
		}
		n *= d
	}
	return n, true
}

// chunk is how many bytes of a tensor are converted at a time.
const chunk = 1 << 16

// encode calls emit with the little-endian bytes of t, piece by piece. The
// pieces are in buf, of chunk bytes.
func (t Tensor) encode(buf []byte, emit func([]byte) error) error {
	for part := range slices.Chunk(t.f32, chunk/4) {
		for i, x := range part {
			binary.LittleEndian.PutUint32(buf[4*i:], math.Float32bits(x))
		}
		if err := emit(buf[:4*len(part)]); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(t.f64, chunk/8) {
		for i, x := range part {
			binary.LittleEndian.PutUint64(buf[8*i:], math.Float64bits(x))
		}
		if err := emit(buf[:8*len(part)]); err != nil {
			return err
		}
	}
	return nil
}

// decode makes a tensor of n elements stored as d, from the bytes that read
// fills its argument with. F16 and BF16 become float32.
func decode(name string, shape []int, d dtype, n int, read func([]byte) error) (Tensor, error) {
	t := Tensor{Name: name, Shape: shape, is: f32}
	if d == f64 {
		t.is, t.f64 = f64, make([]float64, n)
	} else {
		t.f32 = make([]float32, n)
	}
	size := d.size()
	buf := make([]byte, min(chunk, n*size))
	for done := 0; done < n; {
		part := buf[:min(chunk/size, n-done)*size]
		if err := read(part); err != nil {
			return Tensor{}, fmt.Errorf("tensor %.80q: %w", name, err)
		}
		for ; len(part) > 0; part = part[size:] {
			switch d {
			case f64:
				t.f64[done] = math.Float64frombits(binary.LittleEndian.Uint64(part))
			case f32:
				t.f32[done] = math.Float32frombits(binary.LittleEndian.Uint32(part))
			case f16:
				t.f32[done] = halfToFloat32(binary.LittleEndian.Uint16(part))
			case bf16:
				t.f32[done] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(part)) << 16)
			}
			done++
		}
	}
	return t, nil
}

// halfToFloat32 converts an IEEE 754 binary16, exactly.
func halfToFloat32(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent, fraction := uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exponent {
	case 0: // zero and subnormal: fraction × 2⁻²⁴
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)*0x1p-24))
	case 0x1f: // infinity and NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent-15+127)<<23 | fraction<<13)
}
