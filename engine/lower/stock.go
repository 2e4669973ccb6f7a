package lower

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/nearest"
	"sgflow/engine/op"
)

// This is the one file that knows stock Gorgonia ops. Their types and fields
// are not exported, so an op is recognised by the name of its type and by its
// String(), as of Gorgonia v0.9.18:
//
//	*gorgonia.…       String()                        written by users as
//	linAlgBinOp       A × B, A × Bᵀ, Aᵀ × B           Mul
//	elemBinOp         + false, - false, ⊙ false, …    Add, Sub, HadamardProd, HadamardDiv, Pow
//	                  ⊙ false over >= true            Rectify: x ⊙ (x ≥ 0)
//	elemUnaryOp       exp, ln, tanh, sigmoid, …       Exp, Log, Tanh, Sigmoid, Neg, Square, Sqrt, Inverse
//	sumOp, sizeOp     Σ[0 1], SizeOf=64               Sum; Mean is Σ ÷ (SizeOf ⊙ SizeOf …)
//	*repeatOp         Repeat0 over Reshape            BroadcastAdd and its like
//	reshapeOp         Reshape(64, 1)                  Reshape
//	transposeOp       Aᵀ{1, 0}                        Transpose
//	*softmaxOp        Softmax{-1, false}()            SoftMax, LogSoftMax
//	im2colOp          im2col<(5,5), (2, 2), (1,1) …>  Conv2d: im2col, ×, Reshape, Aᵀ{0, 3, 1, 2}
//	*maxPoolOp        MaxPool{…}(kernel: (2, 2), …)   MaxPool2D
//
// Only forward graphs come here: derivatives are made after the translation.

// supported are the stock functions a graph may be written with.
var supported = []string{
	"Mul", "Add", "Sub", "HadamardProd", "HadamardDiv", "BroadcastAdd", "BroadcastSub", "BroadcastHadamardProd", "BroadcastHadamardDiv",
	"Rectify", "Tanh", "Sigmoid", "Exp", "Log", "Neg", "Square", "Sqrt", "Inverse", "Sum", "Mean", "Reshape", "Transpose",
	"SoftMax", "LogSoftMax", "Conv2d", "MaxPool2D",
}

// typeName returns the op's Go type without package and pointer.
func typeName(o gorgonia.Op) string {
	t := fmt.Sprintf("%T", o)
	return t[strings.LastIndexByte(t, '.')+1:]
}

// isStockAdd reports whether o is Gorgonia's elementwise sum, which its
// differentiation uses to add up gradients.
func isStockAdd(o gorgonia.Op) bool {
	return typeName(o) == "elemBinOp" && fmt.Sprint(o) == "+ false"
}

// stock translates a node with a stock op.
func (c *canonicalizer) stock(n *gorgonia.Node, o gorgonia.Op) (term, error) {
	args := children(c.from, n)
	s := fmt.Sprint(o)
	switch typeName(o) {
	case "linAlgBinOp":
		return c.stockProduct(n, s, args)
	case "elemBinOp":
		return c.stockBinary(n, s, args)
	case "elemUnaryOp":
		return c.stockUnary(s, args[0])
	case "sumOp":
		return c.stockSum(s, args[0])
	case "sizeOp":
		return c.stockSize(n, s, args[0])
	case "repeatOp":
		return c.stockRepeat(n)
	case "reshapeOp":
		x, err := c.nodeOf(args[0])
		if err != nil {
			return term{}, err
		}
		m, err := op.ReshapeTo(x, n.Shape()...)
		return term{node: m}, err
	case "transposeOp":
		return c.stockTranspose(n, s, args[0])
	case "softmaxOp":
		return c.stockSoftmax(s, args[0])
	case "maxPoolOp":
		return c.stockMaxPool(n, s, args[0])
	}
	return term{}, unsupported(o)
}

// unsupported names the op and the supported function nearest to it in name.
func unsupported(o fmt.Stringer) error {
	name := fmt.Sprint(o)
	word := regexp.MustCompile(`[A-Za-z]+`).FindString(name)
	return fmt.Errorf("op %q (%T) is not supported; the nearest supported one is %s (all: %s)",
		name, o, nearest.Name(word, supported), strings.Join(supported, ", "))
}

// integers returns the decimal numbers in s, signs included.
func integers(s string) []int {
	var list []int
	for _, m := range regexp.MustCompile(`-?\d+`).FindAllString(s, -1) {
		v, _ := strconv.Atoi(m) // the pattern admits only integers
		list = append(list, v)
	}
	return list
}

func (c *canonicalizer) pair(args gorgonia.Nodes) (a, b *gorgonia.Node, err error) {
	if a, err = c.nodeOf(args[0]); err == nil {
		b, err = c.nodeOf(args[1])
	}
	return a, b, err
}

func (c *canonicalizer) stockProduct(n *gorgonia.Node, s string, args gorgonia.Nodes) (term, error) {
	if args[0].Dims() != 2 || args[1].Dims() != 2 {
		return term{}, fmt.Errorf("product %q of shapes %v and %v: only products of two matrices are supported; reshape vectors to matrices", s, args[0].Shape(), args[1].Shape())
	}
	a, b, err := c.pair(args)
	if err != nil {
		return term{}, err
	}
	o := op.MatMul{TransA: strings.HasPrefix(s, "Aᵀ"), TransB: strings.HasSuffix(s, "Bᵀ")}
	return c.apply(o, a, b)
}

func (c *canonicalizer) stockUnary(s string, arg *gorgonia.Node) (term, error) {
	fn, ok := map[string]op.Func{
		"exp": op.Exp, "ln": op.Log, "tanh": op.Tanh, "sigmoid": op.Sigmoid, "neg": op.Neg, "square": op.Square, "sqrt": op.Sqrt, "inv": op.Inverse,
	}[s]
	if !ok {
		return term{}, unsupported(text(s))
	}
	x, err := c.nodeOf(arg)
	if err != nil {
		return term{}, err
	}
	return c.apply(op.Unary{Fn: fn}, x)
}

// text makes a string a Stringer.
type text string

func (t text) String() string { return string(t) }

func (c *canonicalizer) stockBinary(n *gorgonia.Node, s string, args gorgonia.Nodes) (term, error) {
	kind, ok := map[string]op.BinaryKind{"+ false": op.Add, "- false": op.Sub, "⊙ false": op.Mul, "÷ false": op.Div}[s]
	if !ok {
		if s == "^ false" {
			return c.stockPower(args)
		}
		return term{}, unsupported(text(s))
	}
	if kind == op.Mul {
		if x := c.rectified(args); x != nil {
			m, err := c.nodeOf(x)
			if err != nil {
				return term{}, err
			}
			return c.apply(op.Unary{Fn: op.ReLU}, m)
		}
	}
	a, err := c.term(args[0])
	if err != nil {
		return term{}, err
	}
	b, err := c.term(args[1])
	if err != nil {
		return term{}, err
	}
	switch {
	case a.node == nil && b.node == nil:
		return constantBinary(kind, a.num, b.num)
	case b.node == nil && kind == op.Div:
		return c.divide(a.node, b.num)
	case b.node == nil && kind == op.Mul && !b.num.batch:
		return c.apply(op.Scale{Factor: b.num.value}, a.node)
	case a.node == nil && kind == op.Mul && !a.num.batch:
		return c.apply(op.Scale{Factor: a.num.value}, b.node)
	}
	x, err := c.spread(a, args[0], n)
	if err != nil {
		return term{}, err
	}
	y, err := c.spread(b, args[1], n)
	if err != nil {
		return term{}, err
	}
	return c.apply(op.Binary{Kind: kind}, x, y)
}

// spread repeats a scalar operand to the shape of the result n.
func (c *canonicalizer) spread(t term, arg, n *gorgonia.Node) (*gorgonia.Node, error) {
	x, err := c.materialize(t, arg)
	if err != nil || !x.Shape().IsScalar() || n.Shape().IsScalar() {
		return x, err
	}
	return broadcast(x, n.Shape(), op.AllAxes(n.Dims()))
}

// broadcast repeats x along axes of shape.
func broadcast(x *gorgonia.Node, shape tensor.Shape, axes op.Axes) (*gorgonia.Node, error) {
	d, err := op.NewDims(shape...)
	if err != nil {
		return nil, err
	}
	return op.Apply(op.Broadcast{Shape: d, Axes: axes}, x)
}

// errBatchSize is returned for graphs that would be wrong for batches of
// another size than the one they were built with.
var errBatchSize = errors.New("the batch size may only divide a sum over the batch (or another dimension equals it: build the graph with another batch size)")

func constantBinary(kind op.BinaryKind, a, b number) (term, error) {
	switch kind {
	case op.Add:
		a.value += b.value
	case op.Sub:
		a.value -= b.value
	case op.Mul:
		a.value *= b.value
	case op.Div:
		a.value /= b.value
	}
	if a.batch && b.batch || b.batch && kind == op.Div || (a.batch || b.batch) && kind != op.Mul && kind != op.Div {
		return term{}, errBatchSize
	}
	return term{num: number{a.value, a.batch || b.batch}}, nil
}

// divide divides x by a number. A sum over the batch divided by a multiple of
// the batch size is a mean, so that it holds for batches of other sizes.
func (c *canonicalizer) divide(x *gorgonia.Node, by number) (term, error) {
	sum, isSum := x.Op().(op.Sum)
	if isSum && !sum.Mean {
		count := 1.0
		for k := range sum.Shape.N {
			if sum.Axes.Has(k) {
				count *= float64(sum.Shape.D[k])
			}
		}
		if by.batch && sum.Axes.Has(0) || by.value == count {
			sum.Mean = true
			m, err := op.Apply(sum, children(c.to, x)...)
			if err != nil || count == by.value {
				return term{node: m}, err
			}
			return c.apply(op.Scale{Factor: count / by.value}, m)
		}
	}
	if by.batch {
		return term{}, errBatchSize
	}
	return c.apply(op.Scale{Factor: 1 / by.value}, x)
}

// stockPower supports squares.
func (c *canonicalizer) stockPower(args gorgonia.Nodes) (term, error) {
	if e, ok := constantOf(args[1]); !ok || e != 2 {
		return term{}, errors.New("only the power 2 is supported; write other powers as products")
	}
	x, err := c.nodeOf(args[0])
	if err != nil {
		return term{}, err
	}
	return c.apply(op.Unary{Fn: op.Square}, x)
}

// rectified returns x where args are x and (x ≥ 0), in either order.
func (c *canonicalizer) rectified(args gorgonia.Nodes) *gorgonia.Node {
	for i, x := range args {
		mask := args[1-i]
		if mask.Op() == nil || typeName(mask.Op()) != "elemBinOp" {
			continue
		}
		if s := fmt.Sprint(mask.Op()); s != ">= true" && s != "> true" {
			continue
		}
		operands := children(c.from, mask)
		if zero, ok := constantOf(operands[1]); ok && zero == 0 && operands[0] == x {
			return x
		}
	}
	return nil
}

func (c *canonicalizer) stockSum(s string, arg *gorgonia.Node) (term, error) {
	x, err := c.nodeOf(arg)
	if err != nil {
		return term{}, err
	}
	axes := integers(s)
	shape, err := op.NewDims(x.Shape()...)
	if err != nil {
		return term{}, err
	}
	return c.apply(op.Sum{Shape: shape, Axes: op.AxesOf(axes...)}, x)
}

func (c *canonicalizer) stockSize(n *gorgonia.Node, s string, arg *gorgonia.Node) (term, error) {
	list := integers(s)
	if !strings.HasPrefix(s, "SizeOf=") || len(list) != 1 {
		return term{}, unsupported(n.Op())
	}
	// The axis is not to be had from outside; a size equal to the batch's is
	// the batch's if the argument's first axis is.
	return term{num: number{float64(list[0]), list[0] == c.batch && arg.Dims() > 0 && arg.Shape()[0] == c.batch}}, nil
}

// stockRepeat turns a chain of repeats (over a reshape that made room for
// them) into one Broadcast.
func (c *canonicalizer) stockRepeat(n *gorgonia.Node) (term, error) {
	var axes []int
	x := n
	for x.Op() != nil && typeName(x.Op()) == "repeatOp" {
		axes = append(axes, integers(fmt.Sprint(x.Op()))[0])
		x = children(c.from, x)[0]
	}
	slices.Sort(axes)
	axes = slices.Compact(axes)
	m, err := c.nodeOf(x)
	if err != nil {
		return term{}, err
	}
	var kept tensor.Shape
	for k, d := range n.Shape() {
		if !slices.Contains(axes, k) {
			kept = append(kept, d)
		}
	}
	if kept.TotalSize() != x.Shape().TotalSize() {
		return term{}, fmt.Errorf("repeat of shape %v to %v: only axes of length 1 can be repeated", x.Shape(), n.Shape())
	}
	if len(kept) > 0 || !m.Shape().IsScalar() {
		if m, err = op.ReshapeTo(m, kept...); err != nil {
			return term{}, err
		}
	}
	m, err = broadcast(m, n.Shape(), op.AxesOf(axes...))
	return term{node: m}, err
}

func (c *canonicalizer) stockTranspose(n *gorgonia.Node, s string, arg *gorgonia.Node) (term, error) {
	pattern := integers(s)
	if slices.Equal(pattern, []int{0, 3, 1, 2}) {
		if t, ok, err := c.stockConv(arg); ok || err != nil {
			return t, err
		}
	}
	if !slices.Equal(pattern, []int{1, 0}) {
		return term{}, fmt.Errorf("transpose %v is not supported, only that of a matrix; Conv2d's own is recognised", pattern)
	}
	x, err := c.nodeOf(arg)
	if err != nil {
		return term{}, err
	}
	return c.apply(op.Transpose{}, x)
}

// stockConv recognises what Conv2d builds below its last transpose:
// Reshape(Reshape(im2col(x)) × Reshape(w)ᵀ).
func (c *canonicalizer) stockConv(n *gorgonia.Node) (term, bool, error) {
	is := func(n *gorgonia.Node, name string) bool { return n.Op() != nil && typeName(n.Op()) == name }
	if !is(n, "reshapeOp") {
		return term{}, false, nil
	}
	product := children(c.from, n)[0]
	if !is(product, "linAlgBinOp") || fmt.Sprint(product.Op()) != "A × Bᵀ" {
		return term{}, false, nil
	}
	operands := children(c.from, product)
	if !is(operands[0], "reshapeOp") || !is(operands[1], "reshapeOp") {
		return term{}, false, nil
	}
	columns := children(c.from, operands[0])[0]
	filter := children(c.from, operands[1])[0]
	if !is(columns, "im2colOp") || filter.Dims() != 4 {
		return term{}, false, nil
	}
	x, w, err := c.pair(gorgonia.Nodes{children(c.from, columns)[0], filter})
	if err != nil {
		return term{}, false, err
	}
	_, geometry, _ := strings.Cut(fmt.Sprint(columns.Op()), "<")
	v := integers(geometry) // kernel, pad, stride, dilation: H and W of each
	xs, ws := x.Shape(), w.Shape()
	g := op.ConvGeom{
		Batch: xs[0], InC: xs[1], InH: xs[2], InW: xs[3], OutC: ws[0], KH: v[0], KW: v[1],
		PadH: v[2], PadW: v[3], StrideH: v[4], StrideW: v[5], DilH: v[6], DilW: v[7],
	}
	t, err := c.apply(op.Conv{Dir: op.ConvForward, Geom: g}, x, w)
	return t, err == nil, err
}

func (c *canonicalizer) stockSoftmax(s string, arg *gorgonia.Node) (term, error) {
	x, err := c.nodeOf(arg)
	if err != nil {
		return term{}, err
	}
	axis := integers(s)[0]
	if x.Dims() != 2 || axis != -1 && axis != 1 {
		return term{}, fmt.Errorf("softmax of shape %v along axis %d: only the rows of a matrix are supported", x.Shape(), axis)
	}
	if strings.Contains(s, "true") {
		return c.apply(op.LogSoftmax{}, x)
	}
	return c.apply(op.Softmax{}, x)
}

func (c *canonicalizer) stockMaxPool(n *gorgonia.Node, s string, arg *gorgonia.Node) (term, error) {
	x, err := c.nodeOf(arg)
	if err != nil {
		return term{}, err
	}
	v := integers(s) // B, C, H, W, kernel, pad, stride
	g := op.PoolGeom{
		Batch: v[0], C: v[1], InH: v[2], InW: v[3], KH: v[4], KW: v[5], PadH: v[6], PadW: v[7], StrideH: v[8], StrideW: v[9],
	}
	if out := n.Shape(); out[2] != g.OutH() || out[3] != g.OutW() {
		return term{}, fmt.Errorf("max pool with padding that differs between the two sides is not supported")
	}
	return c.apply(op.MaxPool{Dir: op.PoolForward, Geom: g}, x)
}
