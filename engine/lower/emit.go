package lower

import (
	"fmt"

	"sgflow/engine/op"
	"sgflow/engine/program"
)

// emitter turns fused values into the instructions of a Program.
type emitter struct {
	p        *program.Program
	buffers  map[*value]program.BufferID // of values that are not reshapes
	indices  map[*value]program.BufferID // argmax positions of max pools
	phases   map[*value]program.Phase
	grads    []program.BufferID            // of each parameter
	outputs  []program.BufferID            // Hessian-vector product of each parameter
	ruled    map[*value]*program.Parameter // of gradients whose samples' norms and factors are known
	lossRoot *value
}

// emit makes the program that computes r.
func (g *graph) emit(p *program.Program, r *roots) error {
	e := &emitter{p: p, buffers: map[*value]program.BufferID{}, indices: map[*value]program.BufferID{}, ruled: map[*value]*program.Parameter{}, lossRoot: base(r.loss)}
	list := g.live(r)
	e.assignPhases(list, r)
	e.leafBuffers(g.values)
	copies := e.claimRoots(r)
	e.shareBuffers(list)
	e.sampleNorms(r)
	for _, v := range list {
		if err := e.instr(v); err != nil {
			return fmt.Errorf("lower: node %q: %w", v.node, err)
		}
	}
	for _, c := range copies {
		e.add(c.phase, &program.Copy{Out: c.out, X: e.buf(c.from), Size: extent(c.from)})
	}
	e.results(r)
	return nil
}

// assignPhases gives every value the earliest phase whose results need it.
func (e *emitter) assignPhases(list []*value, r *roots) {
	e.phases = map[*value]program.Phase{}
	var mark func(v *value, ph program.Phase)
	mark = func(v *value, ph program.Phase) {
		if _, ok := e.phases[v]; ok {
			return
		}
		e.phases[v] = ph
		for _, a := range v.reads() {
			mark(a, ph)
		}
	}
	for _, v := range []*value{r.loss, r.logits} {
		if v != nil {
			mark(v, program.Forward)
		}
	}
	for _, v := range r.grads {
		if v != nil {
			mark(v, program.Gradient)
		}
	}
	for _, v := range list {
		if _, ok := e.phases[v]; ok {
			continue
		}
		e.phases[v] = program.Curvature
		if _, ok := v.op.(vectorLeaf); ok {
			e.phases[v] = program.HessianProduct
		}
		for _, a := range v.reads() {
			if e.phases[a] == program.HessianProduct {
				e.phases[v] = program.HessianProduct
			}
		}
	}
}

func (e *emitter) newBuffer(b program.Buffer) program.BufferID {
	e.p.Buffers = append(e.p.Buffers, b)
	return program.BufferID(len(e.p.Buffers) - 1)
}

// leafBuffers makes the buffers that are there whether read or not: inputs,
// and for every parameter its slices of θ, ḡ, v and Hv; and the constants.
func (e *emitter) leafBuffers(values []*value) {
	p := e.p
	perParam := func(role program.Role) []program.BufferID {
		var ids []program.BufferID
		for _, q := range p.Params {
			ids = append(ids, e.newBuffer(program.Buffer{Name: q.Name, Role: role, Shape: q.Shape, Offset: q.Offset}))
		}
		return ids
	}
	params := perParam(program.Param)
	e.grads = perParam(program.Grad)
	vectors := perParam(program.Vector)
	e.outputs = perParam(program.Product)
	for _, v := range values {
		switch o := v.op.(type) {
		case inputLeaf:
			id := e.newBuffer(program.Buffer{Name: v.node, Role: program.Input, Batched: v.batched, Shape: sampleShape(v)})
			p.Inputs = append(p.Inputs, id)
			e.buffers[v] = id
		case paramLeaf:
			e.buffers[v] = params[o.index]
		case vectorLeaf:
			e.buffers[v] = vectors[o.index]
		case constLeaf:
			e.buffers[v] = e.newBuffer(program.Buffer{Name: fmt.Sprint(o.value), Role: program.Constant, Values: []float64{o.value}})
		}
	}
}

type rootCopy struct {
	phase program.Phase
	out   program.BufferID
	from  *value
}

// claimRoots lets the values that are gradients or products be computed where
// they belong, and returns the copies needed where that is impossible.
func (e *emitter) claimRoots(r *roots) []rootCopy {
	var copies []rootCopy
	claim := func(ph program.Phase, roots []*value, ids []program.BufferID) {
		for i, v := range roots {
			if v == nil {
				continue
			}
			b := base(v)
			if _, taken := e.buffers[b]; taken || e.phases[b] != ph {
				copies = append(copies, rootCopy{ph, ids[i], v})
				continue
			}
			e.buffers[b] = ids[i]
		}
	}
	claim(program.Gradient, r.grads, e.grads)
	claim(program.HessianProduct, r.products, e.outputs)
	return copies
}

// shareBuffers gives every value a buffer. Going backwards, a value computed
// in place (an accumulation, an elementwise op) hands its buffer to the
// operand it overwrites if that is read by nothing else.
func (e *emitter) shareBuffers(list []*value) {
	for i := len(list) - 1; i >= 0; i-- {
		v := list[i]
		if isReshape(v) {
			continue
		}
		if _, ok := e.buffers[v]; !ok {
			e.buffers[v] = e.newBuffer(program.Buffer{Name: v.node, Batched: v.batched, Shape: sampleShape(v)})
		}
		for _, c := range inPlace(v) {
			b := base(c)
			if _, taken := e.buffers[b]; taken || b.users != 1 || e.phases[b] != e.phases[v] || b.batched != v.batched || elements(b) != elements(v) {
				continue
			}
			e.buffers[b] = e.buffers[v]
			break
		}
	}
}

// inPlace returns the operands that v may overwrite, best first.
func inPlace(v *value) []*value {
	if v.acc != nil {
		return []*value{v.acc}
	}
	switch v.op.(type) {
	case op.Binary:
		return v.args
	case op.Unary, op.Scale:
		return v.args
	case addBias:
		return v.args[:1]
	case derivative:
		if len(v.args) == 2 {
			return []*value{v.args[1]}
		}
		return v.args
	}
	return nil
}

// sampleNorms finds for each parameter the rule that gives ‖gᵢ‖² and the factors
// of gᵢ without forming gᵢ, and makes the buffer for the norms.
func (e *emitter) sampleNorms(r *roots) {
	for i, v := range r.grads {
		e.p.Params[i].Norms = program.None
		if v == nil || e.p.BatchCoupled {
			continue
		}
		b := base(v)
		if b.acc != nil || b.mask != nil || !hasNormRule(b) || e.buffers[b] != e.grads[i] {
			continue
		}
		id := e.newBuffer(program.Buffer{Name: e.p.Params[i].Name, Role: program.SampleNorms, Type: program.Double, Batched: true})
		e.p.Params[i].Norms = id
		e.ruled[b] = &e.p.Params[i]
	}
}

func hasNormRule(v *value) bool {
	switch o := v.op.(type) {
	case op.MatMul:
		return o.TransA && v.args[0].batched && v.args[1].batched
	case op.Conv:
		return o.Dir == op.ConvWeight
	case op.Sum:
		_, _, ok := biasSum(v, o)
		return ok
	}
	return false
}

// biasSum reports whether v is a sum over all axes but one (or, of a batch,
// over the batch alone), seen as Outer×channels×inner with Outer the batch.
func biasSum(v *value, o op.Sum) (channels, inner int, ok bool) {
	x := v.args[0]
	if o.Mean || !x.batched || !o.Axes.Has(0) {
		return 0, 0, false
	}
	inner = 1
	k := len(x.shape)
	for k > 1 && o.Axes.Has(k-1) {
		k--
		inner *= x.shape[k]
	}
	channels = 1
	for _, d := range x.shape[1:k] {
		channels *= d
	}
	for axis := 1; axis < k; axis++ {
		if o.Axes.Has(axis) {
			return 0, 0, false
		}
	}
	return channels, inner, true
}

func (e *emitter) buf(v *value) program.BufferID { return e.buffers[base(v)] }

func (e *emitter) add(ph program.Phase, in program.Instr) {
	e.p.Phases[ph] = append(e.p.Phases[ph], in)
}

// accumulate makes sure that v's buffer holds v.acc and reports whether
// there is one.
func (e *emitter) accumulate(v *value) bool {
	if v.acc == nil {
		return false
	}
	if from := e.buf(v.acc); from != e.buf(v) {
		e.add(e.phases[v], &program.Copy{Out: e.buf(v), X: from, Size: extent(v)})
	}
	return true
}

func (e *emitter) epilogue(v *value) program.Epilogue {
	ep := program.NoEpilogue
	if v.bias != nil {
		ep.Bias = e.buf(v.bias)
	}
	ep.Func = v.fn
	if v.mask != nil {
		ep.Mask, ep.MaskFunc = e.buf(v.mask), v.maskFn
	}
	return ep
}

// results emits what the caller reads after a run: loss and correct count.
func (e *emitter) results(r *roots) {
	p := e.p
	if _, ok := base(r.loss).op.(op.Loss); ok {
		p.Loss = e.lossScalar(base(r.loss))
	} else {
		p.Loss = e.newBuffer(program.Buffer{Name: "loss", Role: program.Scalar, Type: program.Double})
		e.add(program.Forward, &program.Result{Out: p.Loss, X: e.buf(r.loss)})
	}
	p.Logits, p.Correct = program.None, program.None
	if r.logits == nil {
		return
	}
	p.Logits = e.buf(r.logits)
	if r.targets != nil {
		p.Correct = e.newBuffer(program.Buffer{Name: "correct", Role: program.Scalar, Type: program.Double})
		e.add(program.Forward, &program.Correct{Out: p.Correct, Z: p.Logits, Y: e.buf(r.targets), Classes: r.logits.shape[1]})
	}
}

// lossScalar returns the float64 scalar that a Loss instruction writes.
func (e *emitter) lossScalar(v *value) program.BufferID {
	for _, in := range e.p.Phases[e.phases[v]] {
		if l, ok := in.(*program.Loss); ok && l.Z == e.buf(v.args[0]) && l.Y == e.buf(v.args[1]) {
			return l.Out
		}
	}
	return program.None
}

func sampleShape(v *value) []int {
	if v.batched {
		return v.shape[1:]
	}
	return v.shape
}

// elements returns the number of elements of one sample, or of the whole.
func elements(v *value) int {
	n := 1
	for _, d := range sampleShape(v) {
		n *= d
	}
	return n
}

func extent(v *value) program.Extent { return program.Extent{N: elements(v), Batch: v.batched} }

// axis returns the extent of one axis of v.
func axis(v *value, k int) program.Extent {
	if k == 0 && v.batched {
		return program.Extent{N: 1, Batch: true}
	}
	return program.Extent{N: v.shape[k]}
}
