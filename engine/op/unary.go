package op

import (
	"fmt"
	"hash"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Func is an elementwise function of one variable.
type Func uint8

// The elementwise functions.
const (
	ReLU    Func = iota // max(x, 0); derivative 0 at 0
	Tanh                // tanh x
	Sigmoid             // 1/(1 + e⁻ˣ)
	GELU                // x·Φ(x), Φ the standard normal distribution function
	Exp                 // eˣ
	Log                 // ln x
	Square              // x²
	Sqrt                // √x
	Inverse             // 1/x
	Neg                 // −x
)

// functions lists for each Func its name, the function with its derivatives
// (index is the order), and what comes after the last one.
var functions = [...]struct {
	name   string
	orders []func(float64) float64
	next   tail
}{
	ReLU:    {"relu", []func(float64) float64{relu, step}, tailZero},
	Tanh:    {"tanh", []func(float64) float64{tanh, tanh1, tanh2, tanh3}, tailUnknown},
	Sigmoid: {"sigmoid", []func(float64) float64{sigmoid, sigmoid1, sigmoid2, sigmoid3}, tailUnknown},
	GELU:    {"gelu", []func(float64) float64{gelu, gelu1, gelu2, gelu3}, tailUnknown},
	Exp:     {"exp", []func(float64) float64{exp}, tailSelf},
	Log:     {"log", []func(float64) float64{logarithm, inverse, inverse1, inverse2}, tailUnknown},
	Square:  {"square", []func(float64) float64{square, square1, square2}, tailZero},
	Sqrt:    {"sqrt", []func(float64) float64{sqrt, sqrt1, sqrt2, sqrt3}, tailUnknown},
	Inverse: {"inverse", []func(float64) float64{inverse, inverse1, inverse2, inverse3}, tailUnknown},
	Neg:     {"neg", []func(float64) float64{neg, neg1}, tailZero},
}

// tail says what the derivative of the last listed order is.
type tail uint8

const (
	tailUnknown tail = iota // not implemented
	tailZero                // identically zero
	tailSelf                // the function itself
)

// String returns the function's name in lower case.
func (f Func) String() string {
	if int(f) < len(functions) {
		return functions[f].name
	}
	return fmt.Sprintf("Func(%d)", uint8(f))
}

// MaxOrder returns the highest Order that [Unary] takes for f, −1 if f is
// unknown: 3, but 0 for Exp (its own derivative), 1 for ReLU and Neg and 2 for
// Square, whose next derivatives are zero.
func (f Func) MaxOrder() int {
	if int(f) < len(functions) {
		return len(functions[f].orders) - 1
	}
	return -1
}

// Of applies f to x, element by element.
func (f Func) Of(x *G.Node) (*G.Node, error) { return Apply(Unary{Fn: f}, x) }

// Unary is y = f⁽ᵏ⁾(x), the derivative of order k = Order of the elementwise
// function Fn (the function itself for 0), on a tensor of any shape or a
// scalar. Its derivative is g ⊙ f⁽ᵏ⁺¹⁾(x). Order is in 0..Fn.MaxOrder().
type Unary struct {
	traits
	Fn    Func
	Order int
}

// Eval returns f⁽ᵏ⁾(x); NaN if Fn or Order is out of range.
func (o Unary) Eval(x float64) float64 {
	if o.check() != nil {
		return nan
	}
	return functions[o.Fn].orders[o.Order](x)
}

func (o Unary) check() error {
	if o.Order < 0 || o.Order > o.Fn.MaxOrder() {
		return fmt.Errorf("op: %v: no such derivative, the highest order is %d", o, o.Fn.MaxOrder())
	}
	return nil
}

// Arity returns 1.
func (o Unary) Arity() int { return 1 }

// Type is a → a.
func (o Unary) Type() hm.Type { return hm.NewFnType(element, element) }

// InferShape returns the input's shape, or an error if the order is out of range.
func (o Unary) InferShape(ds ...G.DimSizer) (tensor.Shape, error) {
	s, err := inputShapes(o, ds)
	if err != nil {
		return nil, err
	}
	return s[0].Clone(), o.check()
}

func (o Unary) eval(in []operand, out []float64) error {
	f := functions[o.Fn].orders[o.Order]
	for i, x := range in[0].data {
		out[i] = f(x)
	}
	return nil
}

// Do computes the function.
func (o Unary) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: its input, unless the next derivative is identically zero.
func (o Unary) DiffWRT(int) []bool {
	zero := o.check() == nil && o.Order == o.Fn.MaxOrder() && functions[o.Fn].next == tailZero
	return []bool{!zero}
}

// SymDiff returns g ⊙ f⁽ᵏ⁺¹⁾(x), or an error beyond the highest order.
func (o Unary) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var b build
	switch {
	case o.Fn == Neg && o.Order == 0:
		return b.results(b.unary(Neg, 0, grad))
	case o.Order < o.Fn.MaxOrder():
		return b.results(b.binary(Mul, grad, b.unary(o.Fn, o.Order+1, in[0])))
	case functions[o.Fn].next == tailSelf:
		return b.results(b.binary(Mul, grad, out))
	}
	return nil, fmt.Errorf("op: %v: its derivative is not implemented", o)
}

// String prints the function and the order: "Unary{tanh 1}".
func (o Unary) String() string { return fmt.Sprintf("Unary{%v %d}", o.Fn, o.Order) }

// WriteHash writes String.
func (o Unary) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o Unary) Hashcode() uint32 { return hashcode(o) }
