package program

import "fmt"

// BufferID names a buffer of a Program: an index into Program.Buffers.
type BufferID int32

// None is the BufferID of an operand that is not there.
const None BufferID = -1

// Role says who fills a buffer and where it lives.
type Role uint8

// The roles. Input, Param and Vector are written from outside; Grad
// and Product are results; each of Param, Grad, Vector and Product is a slice
// of one flat vector of P elements (Buffer.Offset says where), so that
// optimizers and estimators see plain vectors.
const (
	Temporary   Role = iota // written and read by instructions
	Input                   // written by the caller before a run, n×… or of fixed size
	Constant                // fixed values, Buffer.Values
	Param                   // a slice of θ
	Grad                    // a slice of ḡ
	Vector                  // a slice of v
	Product                 // a slice of H·v
	SampleNorms             // ‖gᵢ‖² for one parameter, n float64
	SampleRows              // gᵢ/n for one parameter, n rows; made by the Samples phase
	Scalar                  // one float64 result: loss or count
)

var roleNames = [...]string{"temp", "input", "const", "param", "grad", "vector", "product", "norms", "rows", "scalar"}

// String returns the role's short name.
func (r Role) String() string { return roleNames[r] }

// Type is the element type of a buffer.
type Type uint8

const (
	// Real is the floating-point type of the run, float32 or float64.
	Real Type = iota
	// Index is int32: the argmax positions of a max pool.
	Index
	// Double is float64 whatever the run's type: losses, norms, counts.
	Double
)

// Buffer is a row-major array that instructions read and write.
type Buffer struct {
	Name    string // of the parameter or node it came from, for listings
	Role    Role
	Type    Type
	Batched bool  // there is a leading batch dimension, not part of Shape
	Shape   []int // of one sample if Batched, of the whole otherwise

	// Offset is where the buffer starts in the flat vector of its role, in
	// elements; meaningful for Param, Grad, Vector and Product only.
	Offset int
	// Values holds the elements of a Constant, or a single one to repeat.
	Values []float64
}

// Width returns the number of elements of one sample (Batched) or of the whole.
func (b *Buffer) Width() int {
	n := 1
	for _, d := range b.Shape {
		n *= d
	}
	return n
}

// Len returns the number of elements at batch size n.
func (b *Buffer) Len(n int) int {
	if b.Batched {
		return n * b.Width()
	}
	return b.Width()
}

func (b *Buffer) shapeString() string {
	s := ""
	if b.Batched {
		s = "n"
	}
	for _, d := range b.Shape {
		if s != "" {
			s += "×"
		}
		s += fmt.Sprint(d)
	}
	if s == "" {
		return "1"
	}
	return s
}

// Extent is a length that may be proportional to the batch size.
type Extent struct {
	N     int  // length, or length for one sample
	Batch bool // multiply by the batch size
}

// At returns the length at batch size n.
func (e Extent) At(n int) int {
	if e.Batch {
		return n * e.N
	}
	return e.N
}

// String returns "n·784" or "784".
func (e Extent) String() string {
	switch {
	case e.Batch && e.N == 1:
		return "n"
	case e.Batch:
		return fmt.Sprintf("n·%d", e.N)
	}
	return fmt.Sprint(e.N)
}
