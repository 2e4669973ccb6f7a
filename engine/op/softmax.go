package op

import (
	"fmt"
	"hash"
	"math"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Softmax is p[i,j] = exp(z[i,j]) / Σₖ exp(z[i,k]) for each row of an n×C
// matrix z. Its derivative, p ⊙ (g − rowsum(g ⊙ p)), is made of other ops.
type Softmax struct{ traits }

// LogSoftmax is l[i,j] = z[i,j] − log Σₖ exp(z[i,k]) for each row of an n×C
// matrix z. Its derivative, g − softmax(z) ⊙ rowsum(g), is made of other ops.
type LogSoftmax struct{ traits }

// softmaxRow writes softmax(z) into p, which may be z, and returns log Σ exp z.
// Subtracting the largest element first keeps exp from overflowing.
func softmaxRow(z, p []float64) (lse float64) {
	top := math.Inf(-1)
	for _, v := range z {
		top = max(top, v)
	}
	sum := 0.0
	for j, v := range z {
		p[j] = math.Exp(v - top)
		sum += p[j]
	}
	for j := range p {
		p[j] /= sum
	}
	return top + math.Log(sum)
}

// matrixShape is InferShape of an op that keeps the shape of its one matrix.
func matrixShape(o G.Op, ds []G.DimSizer) (tensor.Shape, error) {
	s, err := inputShapes(o, ds)
	if err != nil {
		return nil, err
	}
	if len(s[0]) != 2 {
		return nil, fmt.Errorf("op: %v: z is %v, want a matrix n×classes", o, s[0])
	}
	return s[0].Clone(), nil
}

// rowSums returns the n×C matrix whose rows repeat the row sums of x.
func (b *build) rowSums(x *G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	var shape Dims
	if shape, b.err = NewDims(x.Shape()...); b.err != nil {
		return nil
	}
	row := AxesOf(1)
	return b.apply(Broadcast{Shape: shape, Axes: row}, b.apply(Sum{Shape: shape, Axes: row}, x))
}

// Arity returns 1.
func (o Softmax) Arity() int { return 1 }

// Type is Matrix a → Matrix a.
func (o Softmax) Type() hm.Type { return hm.NewFnType(tensorType(2), tensorType(2)) }

// InferShape returns the input's shape, or an error if it is not a matrix.
func (o Softmax) InferShape(ds ...G.DimSizer) (tensor.Shape, error) { return matrixShape(o, ds) }

func (o Softmax) eval(in []operand, out []float64) error {
	c := in[0].shape[1]
	for i := 0; i < len(out); i += c {
		softmaxRow(in[0].data[i:i+c], out[i:i+c])
	}
	return nil
}

// Do computes the softmax.
func (o Softmax) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: its input.
func (o Softmax) DiffWRT(int) []bool { return []bool{true} }

// SymDiff returns p ⊙ (g − rowsum(g ⊙ p)).
func (o Softmax) SymDiff(_ G.Nodes, p, grad *G.Node) (G.Nodes, error) {
	var b build
	mean := b.rowSums(b.binary(Mul, grad, p))
	return b.results(b.binary(Mul, p, b.binary(Sub, grad, mean)))
}

// String prints "Softmax{}".
func (o Softmax) String() string { return "Softmax{}" }

// WriteHash writes String.
func (o Softmax) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o Softmax) Hashcode() uint32 { return hashcode(o) }

// Arity returns 1.
func (o LogSoftmax) Arity() int { return 1 }

// Type is Matrix a → Matrix a.
func (o LogSoftmax) Type() hm.Type { return hm.NewFnType(tensorType(2), tensorType(2)) }

// InferShape returns the input's shape, or an error if it is not a matrix.
func (o LogSoftmax) InferShape(ds ...G.DimSizer) (tensor.Shape, error) { return matrixShape(o, ds) }

func (o LogSoftmax) eval(in []operand, out []float64) error {
	c := in[0].shape[1]
	for i := 0; i < len(out); i += c {
		lse := softmaxRow(in[0].data[i:i+c], out[i:i+c])
		for j := range c {
			out[i+j] = in[0].data[i+j] - lse
		}
	}
	return nil
}

// Do computes the log-softmax.
func (o LogSoftmax) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: its input.
func (o LogSoftmax) DiffWRT(int) []bool { return []bool{true} }

// SymDiff returns g − softmax(z) ⊙ rowsum(g).
func (o LogSoftmax) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	var b build
	p := b.apply(Softmax{}, in[0])
	return b.results(b.binary(Sub, grad, b.binary(Mul, p, b.rowSums(grad))))
}

// String prints "LogSoftmax{}".
func (o LogSoftmax) String() string { return "LogSoftmax{}" }

// WriteHash writes String.
func (o LogSoftmax) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o LogSoftmax) Hashcode() uint32 { return hashcode(o) }
