package lower

import (
	"fmt"
	"slices"

	"sgflow/engine/op"
	"sgflow/engine/program"
)

// value is one array of the computation: the result of an op applied to other
// values, or a leaf. Values are unique: equal ops of equal arguments are one.
type value struct {
	id      int
	op      any // an op of package op, or one of the kinds below
	args    []*value
	shape   []int  // as in the graph, batch dimension included
	batched bool   // axis 0 is the batch
	node    string // the graph node it came from, for errors

	// data says that the value depends on an input; coupled that a value of
	// one sample depends on other samples.
	data, coupled bool

	// Filled by fusion; see program.Epilogue and the Accumulate flags.
	acc, bias, mask *value
	fn, maskFn      program.Func

	users int // values (reshapes looked through) and roots that read it
}

// Leaves and internal ops. The others are those of package op.
type (
	inputLeaf  struct{ index int }
	paramLeaf  struct{ index int }
	vectorLeaf struct{ index int }
	constLeaf  struct{ value float64 }

	// fill is a constant array; a Broadcast of a constant.
	fill struct {
		value   float64
		batched bool
	}

	// derivative is f⁽ᵒʳᵈᵉʳ⁾, from y = f(x) or from x, times args[1] if there.
	derivative struct {
		fn         program.Func
		order      int
		fromOutput bool
	}

	// addBias adds args[1], one number a channel, to args[0].
	addBias struct{}

	// poolAt gathers or scatters at the positions found by the max pool args[0].
	poolAt struct {
		geom    op.PoolGeom
		scatter bool
	}
)

// graph builds values.
type graph struct {
	batch  int // the batch size the Gorgonia graph was built with
	values []*value
	unique map[string]*value
}

func newGraph(batch int) *graph {
	return &graph{batch: batch, unique: map[string]*value{}}
}

func (g *graph) leaf(kind any, shape []int, batched bool, node string) *value {
	_, isInput := kind.(inputLeaf)
	return g.add(&value{op: kind, shape: slices.Clone(shape), batched: batched, node: node, data: isInput})
}

func (g *graph) constant(v float64) *value { return g.make(constLeaf{v}, nil, "const") }

func (g *graph) add(v *value) *value {
	v.id = len(g.values)
	g.values = append(g.values, v)
	return v
}

// make returns the value of o applied to args, an existing one if there is
// one. shape is the result's; nil is a scalar. It does not simplify.
func (g *graph) make(o any, shape []int, node string, args ...*value) *value {
	key := fmt.Sprintf("%T%v", o, o)
	for _, a := range args {
		key += fmt.Sprintf(" %d", a.id)
	}
	if v, ok := g.unique[key]; ok {
		return v
	}
	v := &value{op: o, args: args, shape: slices.Clone(shape), node: node}
	g.unique[key] = v
	return g.add(v)
}

// apply returns o applied to args, simplified, with its batch dimension known.
func (g *graph) apply(o any, shape []int, node string, args ...*value) (*value, error) {
	if v := g.simplify(o, shape, node, args); v != nil {
		return v, g.inferAll(v)
	}
	v := g.make(o, shape, node, args...)
	return v, g.infer(v)
}

// inferAll infers v and those of its arguments that simplify made.
func (g *graph) inferAll(v *value) error {
	for _, a := range v.args {
		if err := g.infer(a); err != nil {
			return err
		}
	}
	return g.infer(v)
}

// simplify returns a simpler equal of o(args), or nil.
func (g *graph) simplify(o any, shape []int, node string, args []*value) *value {
	switch o := o.(type) {
	case op.Reshape:
		x := args[0]
		for isReshape(x) {
			x = x.args[0]
		}
		if slices.Equal(x.shape, shape) {
			return x
		}
		if x != args[0] {
			return g.make(o, shape, node, x)
		}
	case op.Scale:
		if o.Factor == 1 {
			return args[0]
		}
		if s, ok := args[0].op.(op.Scale); ok {
			return g.make(op.Scale{Factor: o.Factor * s.Factor}, shape, node, args[0].args[0])
		}
		if c, ok := args[0].op.(constLeaf); ok {
			return g.constant(o.Factor * c.value)
		}
	case op.Broadcast:
		if c, ok := args[0].op.(constLeaf); ok && !o.Mean {
			return g.make(fill{c.value, len(shape) > 0 && shape[0] == g.batch}, shape, node)
		}
	case op.Transpose:
		if _, ok := args[0].op.(op.Transpose); ok {
			return args[0].args[0]
		}
	case op.MatMul:
		a, b := args[0], args[1]
		if _, ok := a.op.(op.Transpose); ok {
			a, o.TransA = a.args[0], !o.TransA
		}
		if _, ok := b.op.(op.Transpose); ok {
			b, o.TransB = b.args[0], !o.TransB
		}
		if a != args[0] || b != args[1] {
			return g.make(o, shape, node, a, b)
		}
	case op.MaxPool:
		if o.Dir == op.PoolForward {
			return nil
		}
		fwd := op.MaxPool{Dir: op.PoolForward, Geom: o.Geom}
		y := g.make(fwd, poolShape(o.Geom, args[0].shape), args[0].node, args[0])
		return g.make(poolAt{o.Geom, o.Dir == op.PoolScatter}, shape, node, y, args[1])
	case op.Unary:
		return g.simplifyUnary(o, shape, node, args[0])
	case op.Binary:
		if o.Kind == op.Mul {
			return g.simplifyMul(shape, node, args[0], args[1])
		}
	}
	return nil
}

// simplifyUnary makes f' and f” derivative values, of the output where that
// is enough, and constants where they are.
func (g *graph) simplifyUnary(o op.Unary, shape []int, node string, x *value) *value {
	f, ok := funcOf(o.Fn)
	switch {
	case !ok:
		return nil
	case f == program.Neg && o.Order == 0:
		return g.make(op.Scale{Factor: -1}, shape, node, x)
	case f == program.Neg && o.Order == 1:
		return g.fill(-1, shape, x)
	case f == program.Square && o.Order == 1:
		return g.make(op.Scale{Factor: 2}, shape, node, x)
	case f == program.Square && o.Order == 2:
		return g.fill(2, shape, x)
	case f == program.Log && o.Order == 0:
		if _, ok := x.op.(op.Softmax); ok { // log softmax without the overflow
			return g.make(op.LogSoftmax{}, shape, node, x.args...)
		}
		return nil
	case o.Order == 0:
		return nil
	case f.FromOutput():
		y := g.make(op.Unary{Fn: o.Fn}, shape, x.node, x)
		return g.make(derivative{f, o.Order, true}, shape, node, y)
	}
	return g.make(derivative{f, o.Order, false}, shape, node, x)
}

// fill returns an array of the given shape, batched as like is, of one value.
func (g *graph) fill(c float64, shape []int, like *value) *value {
	if len(shape) == 0 {
		return g.constant(c)
	}
	return g.make(fill{c, like.batched}, shape, like.node)
}

// simplifyMul drops factors of one and multiplies into derivatives.
func (g *graph) simplifyMul(shape []int, node string, a, b *value) *value {
	for range 2 {
		switch f := a.op.(type) {
		case fill:
			if f.value == 1 {
				return b
			}
			return g.make(op.Scale{Factor: f.value}, shape, node, b)
		case constLeaf:
			if f.value == 1 {
				return b
			}
			return g.make(op.Scale{Factor: f.value}, shape, node, b)
		case derivative:
			if len(a.args) == 1 {
				return g.make(f, shape, node, a.args[0], b)
			}
		}
		a, b = b, a
	}
	return nil
}

func isReshape(v *value) bool { _, ok := v.op.(op.Reshape); return ok }

// base follows reshapes to the value whose elements v shares.
func base(v *value) *value {
	for isReshape(v) {
		v = v.args[0]
	}
	return v
}

func poolShape(p op.PoolGeom, x []int) []int {
	return []int{x[0], x[1], p.OutH(), p.OutW()}
}

// funcOf maps the elementwise functions of package op to those of programs.
func funcOf(f op.Func) (program.Func, bool) {
	switch f {
	case op.ReLU:
		return program.ReLU, true
	case op.Tanh:
		return program.Tanh, true
	case op.Sigmoid:
		return program.Sigmoid, true
	case op.GELU:
		return program.GELU, true
	case op.Exp:
		return program.Exp, true
	case op.Log:
		return program.Log, true
	case op.Square:
		return program.Square, true
	case op.Sqrt:
		return program.Sqrt, true
	case op.Inverse:
		return program.Inverse, true
	case op.Neg:
		return program.Neg, true
	}
	return 0, false
}
