package lower

import (
	"slices"

	"sgflow/engine/op"
	"sgflow/engine/program"
)

// roots are the values a program must produce.
type roots struct {
	loss, logits, targets *value // logits and targets are nil where not known
	grads, products       []*value
}

func (r *roots) all() []*value {
	var vs []*value
	for _, v := range slices.Concat([]*value{r.loss, r.logits}, r.grads, r.products) {
		if v != nil {
			vs = append(vs, v)
		}
	}
	return vs
}

// reads returns what v reads once fusion has happened.
func (v *value) reads() []*value {
	r := slices.Clone(v.args)
	for _, x := range []*value{v.acc, v.bias, v.mask} {
		if x != nil {
			r = append(r, x)
		}
	}
	return r
}

// live returns the values the roots need, in the order they were made, which
// is an order of execution, and counts their users.
func (g *graph) live(r *roots) []*value {
	seen := make([]bool, len(g.values))
	for _, v := range g.values {
		v.users = 0
	}
	var visit func(v *value)
	visit = func(v *value) {
		if seen[v.id] {
			return
		}
		seen[v.id] = true
		for _, a := range v.reads() {
			if !isReshape(v) {
				base(a).users++
			}
			visit(a)
		}
	}
	for _, v := range r.all() {
		base(v).users++
		visit(v)
	}
	var list []*value
	for _, v := range g.values {
		if seen[v.id] {
			list = append(list, v)
		}
	}
	return list
}

// fuse moves additions of a bias or of another product, activations and
// activation masks into the product or convolution they follow, and masks
// into the pool scatter they follow. A value is absorbed only if nothing else
// reads it; the absorbing value takes its place and its op.
func (g *graph) fuse(r *roots) {
	for _, v := range g.live(r) {
		switch o := v.op.(type) {
		case op.Binary:
			if o.Kind == op.Add {
				fuseAdd(v)
			}
		case op.Unary:
			if f, ok := funcOf(o.Fn); ok && o.Order == 0 {
				fuseFunc(v, f)
			}
		case derivative:
			if o.order == 1 && o.fromOutput && len(v.args) == 2 {
				fuseMask(v, o.fn)
			}
		}
	}
}

// absorb makes v the op of m with m's operands and epilogue.
func absorb(v, m *value) {
	v.op, v.args, v.acc, v.bias, v.mask = m.op, m.args, m.acc, m.bias, m.mask
	v.fn, v.maskFn = m.fn, m.maskFn
}

// open reports whether m is a product whose epilogue can still take an
// addition: read by one value only, and neither Func nor Mask applied yet.
func open(m *value) bool {
	return m.users == 1 && isProduct(m) && m.fn == program.Identity && m.mask == nil
}

func isProduct(m *value) bool {
	switch m.op.(type) {
	case op.MatMul, op.Conv:
		return true
	}
	return false
}

// fuseAdd turns m + bias, and m + x, into m with a bias or accumulating onto x.
func fuseAdd(v *value) {
	x, y := v.args[0], v.args[1]
	for range 2 {
		if b := biasOf(v, y); b != nil {
			if open(x) && x.bias == nil && takesBias(x) {
				absorb(v, x)
				v.bias = b
				return
			}
		}
		x, y = y, x
	}
	for range 2 {
		if open(y) && y.acc == nil && y.bias == nil && base(x) != y {
			absorb(v, y)
			v.acc = x
			return
		}
		x, y = y, x
	}
	for range 2 {
		if b := biasOf(v, y); b != nil {
			v.op, v.args = addBias{}, []*value{x, b}
			return
		}
		x, y = y, x
	}
}

func takesBias(m *value) bool {
	c, ok := m.op.(op.Conv)
	return !ok || c.Dir != op.ConvWeight
}

// biasOf returns b where y is b repeated along all axes but the one that v's
// layout calls channels (the last of two, the second of four), else nil.
func biasOf(v, y *value) *value {
	o, ok := y.op.(op.Broadcast)
	if !ok || o.Mean || len(y.args[0].shape) != 1 || y.args[0].batched {
		return nil
	}
	channel := 1
	if n := len(v.shape); n != 2 && n != 4 || o.Axes.Has(channel) {
		return nil
	}
	return y.args[0]
}

// fuseFunc turns f(m) into m with activation f.
func fuseFunc(v *value, f program.Func) {
	switch f {
	case program.ReLU, program.Tanh, program.Sigmoid, program.GELU:
	default:
		return
	}
	m := v.args[0]
	_, biased := m.op.(addBias)
	if biased && m.users == 1 && m.fn == program.Identity || open(m) && takesBias(m) {
		absorb(v, m)
		v.fn = f
	}
}

// fuseMask turns f'(y) ⊙ m into m masked by y. Where m scatters into the
// input y of a max pool, the mask is taken at the pooled positions, y's
// maxima, before they are scattered.
func fuseMask(v *value, f program.Func) {
	y, m := v.args[0], v.args[1]
	if m.users != 1 {
		return
	}
	if p, ok := m.op.(poolAt); ok && p.scatter && m.mask == nil {
		if pooled := m.args[0]; base(pooled.args[0]) == base(y) {
			absorb(v, m)
			v.mask, v.maskFn = pooled, f
		}
		return
	}
	if open(m) && takesBias(m) && slices.Equal(m.shape, y.shape) {
		absorb(v, m)
		v.mask, v.maskFn = y, f
	}
}
