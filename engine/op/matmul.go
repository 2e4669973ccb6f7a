package op

import (
	"fmt"
	"hash"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// MatMul is the matrix product C = op(A)·op(B), op(M) being Mᵀ if the flag is
// set and M if not. Inputs (A, B): op(A) is m×k, op(B) is k×n; the result is
// m×n. Its derivatives are MatMuls.
type MatMul struct {
	traits
	TransA, TransB bool
}

// Arity returns 2.
func (o MatMul) Arity() int { return 2 }

// Type is Matrix a → Matrix a → Matrix a.
func (o MatMul) Type() hm.Type {
	return hm.NewFnType(tensorType(2), tensorType(2), tensorType(2))
}

// InferShape returns m×n, or an error if the inputs are not matrices with a
// common inner dimension.
func (o MatMul) InferShape(ds ...G.DimSizer) (tensor.Shape, error) {
	s, err := inputShapes(o, ds)
	if err != nil {
		return nil, err
	}
	if len(s[0]) != 2 || len(s[1]) != 2 {
		return nil, fmt.Errorf("op: %v: a is %v, b is %v, want two matrices", o, s[0], s[1])
	}
	m, k := turned(s[0], o.TransA)
	k2, n := turned(s[1], o.TransB)
	if k != k2 {
		return nil, fmt.Errorf("op: %v: a is %v, b is %v: inner dimensions %d and %d differ", o, s[0], s[1], k, k2)
	}
	return tensor.Shape{m, n}, nil
}

// turned returns the rows and columns of a matrix or of its transpose.
func turned(s tensor.Shape, trans bool) (rows, cols int) {
	if trans {
		return s[1], s[0]
	}
	return s[0], s[1]
}

func (o MatMul) eval(in []operand, out []float64) error {
	a, b := in[0], in[1]
	m, k := turned(a.shape, o.TransA)
	_, n := turned(b.shape, o.TransB)
	for i := range m {
		row := out[i*n : (i+1)*n]
		for l := range k {
			x := at(a, i, l, o.TransA)
			for j := range row {
				row[j] += x * at(b, l, j, o.TransB)
			}
		}
	}
	return nil
}

// at returns element (i, j) of a matrix or of its transpose.
func at(m operand, i, j int, trans bool) float64 {
	if trans {
		i, j = j, i
	}
	return m.data[i*m.shape[1]+j]
}

// Do computes the product.
func (o MatMul) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: both factors.
func (o MatMul) DiffWRT(int) []bool { return []bool{true, true} }

// SymDiff returns, for G the gradient of C, dA = G·op(B)ᵀ or its transpose and
// dB = op(A)ᵀ·G or its transpose.
func (o MatMul) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	var b build
	var da, db *G.Node
	if o.TransA {
		da = b.apply(MatMul{TransA: o.TransB, TransB: true}, in[1], grad)
	} else {
		da = b.apply(MatMul{TransB: !o.TransB}, grad, in[1])
	}
	if o.TransB {
		db = b.apply(MatMul{TransA: true, TransB: o.TransA}, grad, in[0])
	} else {
		db = b.apply(MatMul{TransA: !o.TransA}, in[0], grad)
	}
	return b.results(da, db)
}

// String prints "MatMul{A·Bᵀ}" and the like.
func (o MatMul) String() string {
	t := map[bool]string{true: "ᵀ"}
	return "MatMul{A" + t[o.TransA] + "·B" + t[o.TransB] + "}"
}

// WriteHash writes String.
func (o MatMul) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o MatMul) Hashcode() uint32 { return hashcode(o) }

// Transpose copies an m×n matrix into its n×m transpose.
type Transpose struct{ traits }

// Arity returns 1.
func (o Transpose) Arity() int { return 1 }

// Type is Matrix a → Matrix a.
func (o Transpose) Type() hm.Type { return hm.NewFnType(tensorType(2), tensorType(2)) }

// InferShape swaps the two dimensions.
func (o Transpose) InferShape(ds ...G.DimSizer) (tensor.Shape, error) {
	s, err := inputShapes(o, ds)
	if err != nil {
		return nil, err
	}
	if len(s[0]) != 2 {
		return nil, fmt.Errorf("op: %v: x is %v, want a matrix", o, s[0])
	}
	return tensor.Shape{s[0][1], s[0][0]}, nil
}

func (o Transpose) eval(in []operand, out []float64) error {
	rows, cols := in[0].shape[0], in[0].shape[1]
	for i := range rows {
		for j := range cols {
			out[j*rows+i] = in[0].data[i*cols+j]
		}
	}
	return nil
}

// Do computes the transpose.
func (o Transpose) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: its input.
func (o Transpose) DiffWRT(int) []bool { return []bool{true} }

// SymDiff transposes the gradient.
func (o Transpose) SymDiff(_ G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	var b build
	return b.results(b.apply(o, grad))
}

// String prints "Transpose{}".
func (o Transpose) String() string { return "Transpose{}" }

// WriteHash writes String.
func (o Transpose) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o Transpose) Hashcode() uint32 { return hashcode(o) }
