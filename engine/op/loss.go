package op

import (
	"fmt"
	"hash"
	"math"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// LossKind is a loss over the rows of a batch.
type LossKind uint8

// The losses. z is n×C with a row for each sample, y is n×C with the target
// rows (one-hot normally).
const (
	// CrossEntropy is −(1/n) Σᵢ Σⱼ y[i,j]·log softmax(zᵢ)[j]. Rows of y are
	// probabilities that add up to 1.
	CrossEntropy LossKind = iota
	// MSE is (1/2n) Σᵢ ‖zᵢ − yᵢ‖².
	MSE
)

// String prints "cross-entropy" or "mse".
func (k LossKind) String() string {
	switch k {
	case CrossEntropy:
		return "cross-entropy"
	case MSE:
		return "mse"
	}
	return fmt.Sprintf("LossKind(%d)", uint8(k))
}

// Of returns the scalar mean loss of the rows of z against the rows of y.
func (k LossKind) Of(z, y *G.Node) (*G.Node, error) { return Apply(Loss{Kind: k}, z, y) }

// Loss is a mean loss L over the n rows of a batch, or one of its derivatives:
//
//	Order 0  (z, y)    → L, a scalar
//	Order 1  (z, y, g) → g·∂L/∂z, n×C
//	Order 2  (z, u, g) → g·(∂²L/∂z²)·u, n×C
//
// z, y and u are n×C, g is a scalar. The mean's 1/n is part of each. For cross
// entropy, with p = softmax(z): ∂L/∂zᵢ = (pᵢ − yᵢ)/n and
// (∂²L/∂z²)u in row i = (pᵢ⊙uᵢ − pᵢ⟨pᵢ,uᵢ⟩)/n. Both hold because rows of y add
// up to 1; Do rejects rows that don't to within 1e-3. For mse: (zᵢ − yᵢ)/n and
// uᵢ/n.
//
// The family is closed to second order: order 0 differentiates with respect to
// z, order 1 with respect to z and g, and differentiating order 2 is an error.
// y is data: nothing is differentiated with respect to it, and [Differentiate]
// refuses parameters that reach it.
type Loss struct {
	traits
	Kind  LossKind
	Order int
}

// rowSumTolerance is how far from 1 a row of probabilities may add up:
// hundreds of float32 roundings, far less than any wrong target.
const rowSumTolerance = 1e-3

// Arity returns 2 for order 0, 3 for the derivatives.
func (o Loss) Arity() int {
	if o.Order == 0 {
		return 2
	}
	return 3
}

// Type is Matrix a → Matrix a → a for order 0 and
// Matrix a → Matrix a → a → Matrix a for the derivatives.
func (o Loss) Type() hm.Type {
	if o.Order == 0 {
		return hm.NewFnType(tensorType(2), tensorType(2), tensorType(0))
	}
	return hm.NewFnType(tensorType(2), tensorType(2), tensorType(0), tensorType(2))
}

// InferShape returns a scalar for order 0 and n×C for the derivatives, or an
// error if the matrices differ in shape or Kind or Order is unknown.
func (o Loss) InferShape(ds ...G.DimSizer) (tensor.Shape, error) {
	s, err := inputShapes(o, ds)
	if err != nil {
		return nil, err
	}
	if o.Kind > MSE || o.Order < 0 || o.Order > 2 {
		return nil, fmt.Errorf("op: %v: unknown loss; kinds are cross-entropy and mse, orders 0, 1, 2", o)
	}
	if len(s[0]) != 2 {
		return nil, fmt.Errorf("op: %v: z is %v, want a matrix n×classes", o, s[0])
	}
	second := "y"
	if o.Order == 2 {
		second = "u"
	}
	if err := wantShape(o, second, s[1], s[0]); err != nil {
		return nil, err
	}
	if o.Order == 0 {
		return tensor.ScalarShape(), nil
	}
	return s[0].Clone(), wantShape(o, "g", s[2], tensor.ScalarShape())
}

func (o Loss) eval(in []operand, out []float64) error {
	n, c := in[0].shape[0], in[0].shape[1]
	p := make([]float64, c)
	for i := range n {
		z := in[0].data[i*c : (i+1)*c]
		other := in[1].data[i*c : (i+1)*c] // y, or u for order 2
		if o.Kind == CrossEntropy && o.Order < 2 {
			if err := checkProbabilities(i, other); err != nil {
				return err
			}
		}
		if o.Order == 0 {
			out[0] += o.row(z, other, p) / float64(n)
			continue
		}
		g := in[2].data[0] / float64(n)
		o.rowDerivative(z, other, p, g, out[i*c:(i+1)*c])
	}
	return nil
}

// row returns the loss of one sample; p is scratch.
func (o Loss) row(z, y, p []float64) (loss float64) {
	if o.Kind == MSE {
		for j := range z {
			d := z[j] - y[j]
			loss += d * d / 2
		}
		return loss
	}
	lse := softmaxRow(z, p)
	for j, t := range y {
		if t != 0 { // 0·log 0 is 0
			loss += t * (lse - z[j])
		}
	}
	return loss
}

// rowDerivative writes g times the first or second derivative of one sample's
// loss; p is scratch.
func (o Loss) rowDerivative(z, other, p []float64, g float64, out []float64) {
	switch {
	case o.Kind == MSE && o.Order == 1:
		for j := range z {
			out[j] = g * (z[j] - other[j])
		}
	case o.Kind == MSE:
		for j := range z {
			out[j] = g * other[j]
		}
	case o.Order == 1:
		softmaxRow(z, p)
		for j := range p {
			out[j] = g * (p[j] - other[j])
		}
	default:
		softmaxRow(z, p)
		mean := 0.0
		for j := range p {
			mean += p[j] * other[j]
		}
		for j := range p {
			out[j] = g * p[j] * (other[j] - mean)
		}
	}
}

func checkProbabilities(row int, y []float64) error {
	sum := 0.0
	for _, v := range y {
		sum += v
	}
	if !(math.Abs(sum-1) <= rowSumTolerance) {
		return fmt.Errorf("target row %d adds up to %v; cross-entropy needs rows that add up to 1 (one-hot or probabilities)", row, sum)
	}
	return nil
}

// Do computes the loss or its derivative.
func (o Loss) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: all but y. Order 2 counts as differentiable, so that asking for a
// third derivative is an error and not silently zero.
func (o Loss) DiffWRT(int) []bool {
	switch o.Order {
	case 0:
		return []bool{true, false}
	case 1:
		return []bool{true, false, true}
	}
	return []bool{true, true, true}
}

// SymDiff raises the order by one, or returns an error for order 2.
func (o Loss) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	next := Loss{Kind: o.Kind, Order: o.Order + 1}
	var b build
	switch o.Order {
	case 0:
		return b.results(b.apply(next, in[0], in[1], grad), nil)
	case 1:
		return b.results(b.apply(next, in[0], grad, in[2]), nil, b.perUnit(o, in, grad))
	}
	return nil, fmt.Errorf("op: %v: third derivatives are not implemented", o)
}

// perUnit returns ⟨grad, o with g = 1⟩, the derivative of order 1 in g.
func (b *build) perUnit(o Loss, in G.Nodes, grad *G.Node) *G.Node {
	var one any = 1.0
	if grad.Dtype() == tensor.Float32 {
		one = float32(1)
	}
	unit := b.apply(o, in[0], in[1], grad.Graph().AddNode(G.NewConstant(one)))
	return b.dot(grad, unit)
}

// dot returns the scalar ⟨x, y⟩ of two tensors of the same shape.
func (b *build) dot(x, y *G.Node) *G.Node {
	product := b.binary(Mul, x, y)
	if b.err != nil {
		return nil
	}
	var shape Dims
	if shape, b.err = NewDims(product.Shape()...); b.err != nil || shape.N == 0 {
		return product
	}
	return b.apply(Sum{Shape: shape, Axes: AllAxes(shape.N)}, product)
}

// String prints the kind and the order: "Loss{cross-entropy 1}".
func (o Loss) String() string { return fmt.Sprintf("Loss{%v %d}", o.Kind, o.Order) }

// WriteHash writes String.
func (o Loss) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o Loss) Hashcode() uint32 { return hashcode(o) }
