//go:build gpu && cgo && linux && amd64

package cuda

import (
	"slices"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// noLoss is the loss kernel's kind of a Correct by itself.
const noLoss = 2

// loss computes the mean loss, the count of correct predictions of the same
// logits, and in a run for a gradient ∂L/∂z, in one launch; where the logits are those
// of a dense layer of few classes, also these and, in a run for a gradient, what goes
// back through the layer.
type loss struct {
	m          *Machine
	what       string
	kind       int
	z, y       operand
	targets    program.BufferID
	mean       operand
	correct    operand
	gradient   operand
	p          driver.Pointer // softmax of the logits, float64; 0 for mse
	each, hits driver.Pointer // ℓᵢ and whether i is correct, float64
	classes    int

	dense *matMul // that makes z, or nil
	back  *matMul // of the gradient at z, through dense; or nil
}

// The dense layers that the loss takes in: what a block does for its sample has to take
// no longer than the launches that it spares.
const (
	fewClasses = 32
	fewWeights = 1 << 15
)

// bindRows makes what all losses need.
func bindRows(b *binder, name string, kind int, z, y program.BufferID, classes int) *loss {
	if classes < 1 {
		b.fail("%d classes", classes)
	}
	size := each(max(1, classes))
	l := &loss{m: b.m, what: b.what(name), kind: kind, targets: y, classes: classes, z: b.real(z, size)}
	if y != program.None {
		l.y = b.real(y, size)
	}
	if kind == int(program.CrossEntropy) {
		l.p = b.alloc("softmax", size.At(b.m.capacity)*double)
	}
	return l
}

func (b *binder) checkLoss(kind program.LossKind) {
	if kind > program.MSE {
		b.fail("no rule for loss %d", kind)
	}
}

// scratch makes room for the results of samples.
func (l *loss) scratch(b *binder) {
	l.each, l.hits = b.alloc("losses of samples", b.m.capacity*double), b.alloc("hits of samples", b.m.capacity*double)
}

func bindLoss(b *binder, in *program.Loss) bound {
	b.checkLoss(in.Kind)
	l := bindRows(b, "loss", int(in.Kind), in.Z, in.Y, in.Classes)
	l.mean = b.double(in.Out, whole(1))
	l.scratch(b)
	if b.phase == program.Forward && b.final(in.Z) && b.final(in.Y) {
		b.losses[in.Z] = l
		l.dense = b.takeDense(in.Z, in.Classes)
	}
	return l
}

// takeDense returns the product of the instruction before, or of that and another, where it is
// a dense layer of few classes that makes z, or its derivative: it is then part of the
// instruction being bound.
func (b *binder) takeDense(z program.BufferID, classes int) *matMul {
	if b.err != nil || b.place == 0 || classes > fewClasses {
		return nil
	}
	r, ok := b.list[b.place-1].(*matMul)
	if !ok || r.accumulate || r.epilogue.f != program.Identity || r.epilogue.mask.present() {
		return nil
	}
	for q := r; q != nil; q = q.second {
		in := q.in
		if in.Out != z || in.TransA || !in.TransB || in.M != each(1) || in.K.Batch || in.K != r.in.K || classes*in.K.N > fewWeights {
			return nil
		}
	}
	b.list[b.place-1] = &taken{r}
	return r
}

// afterLoss reports whether the loss takes in r, the product of in: that of the gradient
// at the logits with the weights of the layer that made them.
func (b *binder) afterLoss(in *program.MatMul, r *matMul) bool {
	for z, l := range b.losses {
		if l.dense == nil || l.back != nil || l.gradient.p == 0 || r.a != l.gradient || r.b != l.dense.b ||
			in.TransA || in.TransB || in.Accumulate || in.Bias != program.None || in.Func != program.Identity {
			continue
		}
		if b.freeSince(in.Out, z) && !b.overlap(in.Out, in.A) && r.out.p != l.dense.a.p {
			l.back = r
			return true
		}
	}
	return false
}

func bindCorrect(b *binder, in *program.Correct) bound {
	out := b.double(in.Out, whole(1))
	if l := b.losses[in.Z]; l != nil && l.targets == in.Y && l.classes == in.Classes && !l.correct.present() {
		l.correct = out
		return nil
	}
	l := bindRows(b, "correct", noLoss, in.Z, in.Y, in.Classes)
	l.correct = out
	l.scratch(b)
	return l
}

// lossThreads are those of the blocks of dense_loss and dense_hess.
const lossThreads = 256

func (l *loss) run(n int) {
	gradient, mean, correct, arrived := l.gradient.p, l.mean.p, l.correct.p, l.m.lane.arrived
	if !l.m.toGradient {
		gradient = 0
	}
	hits := l.hits
	if !l.correct.present() {
		hits = 0
	}
	var step driver.Pointer
	if l.m.stepping && l == l.m.training.loss { // the end of the step sums
		step, mean, correct, arrived = l.m.training.counter, 0, 0, 0
	}
	args := []driver.Arg{
		driver.Int(l.kind), driver.Ptr(l.z.p), driver.Ptr(l.y.p), driver.Ptr(l.p), driver.Ptr(l.each), driver.Ptr(hits), driver.Ptr(gradient),
		driver.Ptr(mean), driver.Ptr(correct), driver.Ptr(arrived), driver.Int(n), driver.Int(l.classes), driver.Float64(1 / float64(n)), driver.Ptr(step),
	}
	d := l.dense
	if d == nil {
		l.m.launch(l.what, l.m.kernels.loss, warps(n), args...)
		return
	}
	var dx, mask driver.Pointer
	slope := program.Identity
	if back := l.back; back != nil && gradient != 0 {
		dx, mask, slope = back.out.p, back.epilogue.mask.p, back.epilogue.df
	}
	l.m.launch(l.what, l.m.kernels.denseLoss, driver.Grid{Blocks: driver.Dim{X: n}, Threads: driver.Dim{X: lossThreads}}, append(args,
		driver.Ptr(d.a.p), driver.Ptr(d.b.p), driver.Ptr(d.epilogue.bias.p), driver.Int(d.k.N), driver.Ptr(dx), driver.Ptr(mask), driver.Int(int(slope)))...)
}

// keep makes the row of a step's results that of its losses too, which no launch has
// summed.
func (l *loss) keep(row *rowArgs) {
	place := func(o operand) int {
		if !o.present() {
			return -1
		}
		return int(o.p-row.results) / double
	}
	row.losses, row.hits, row.meanAt, row.correctAt = l.each, l.hits, place(l.mean), place(l.correct)
}

// softmaxOf returns the loss that has made the softmax of z by the time that the
// instruction being bound runs, or one that must make it.
func softmaxOf(b *binder, z program.BufferID, kind program.LossKind, classes int) (l *loss, made bool) {
	if l := b.losses[z]; l != nil && l.classes == classes && l.kind == int(kind) {
		return l, true
	}
	return bindRows(b, "softmax", int(kind), z, program.None, classes), kind == program.MSE
}

// makeSoftmax queues the softmax of the logits.
func (l *loss) makeSoftmax(n int) {
	l.m.launch(l.what, l.m.kernels.softmaxRows, warps(n), driver.Ptr(l.p), driver.Ptr(l.z.p), driver.Int(n), driver.Int(l.classes))
}

// lossGrad computes g·(p − y)/n, or g·(z − y)/n for mse.
type lossGrad struct {
	l         *loss
	made      bool
	what      string
	out, y, g operand
}

func bindLossGrad(b *binder, in *program.LossGrad) bound {
	b.checkLoss(in.Kind)
	out := b.real(in.Out, each(in.Classes))
	r := &lossGrad{what: b.what("loss_grad"), out: out, y: b.real(in.Y, each(in.Classes)), g: b.real(in.G, whole(1))}
	r.l, r.made = softmaxOf(b, in.Z, in.Kind, in.Classes)
	if b.err == nil && r.l.mean.present() && r.l.targets == in.Y && in.G == program.None && b.phase == program.Gradient && b.freeSince(in.Out, in.Z) {
		r.l.gradient = out
		return nil
	}
	return r
}

// freeSince reports whether the memory of the temporary out is not used between
// the Loss of z in the Forward phase and the instruction being bound, in the
// Gradient phase.
func (b *binder) freeSince(out, z program.BufferID) bool {
	if b.p.Buffer(out).Role != program.Temporary {
		return false
	}
	since := false
	for ph := program.Forward; ph <= program.Gradient; ph++ {
		for k, in := range b.p.Phases[ph] {
			if ph == b.phase && k == b.place {
				return since
			}
			if l, ok := in.(*program.Loss); ok && l.Z == z {
				since = true
			}
			if !since {
				continue
			}
			if b.touches(in, out) {
				return false
			}
		}
	}
	return false
}

func (r *lossGrad) run(n int) {
	if !r.made {
		r.l.makeSoftmax(n)
	}
	r.l.queueGrad(r.what, r.out.p, r.y.p, r.g.p, 1/float64(n), n)
}

// queueGrad queues out = factor·g·(p − y), or of z − y.
func (l *loss) queueGrad(what string, out, y, g driver.Pointer, factor float64, n int) {
	l.m.launch(what, l.m.kernels.lossGrad, elements(n*l.classes), driver.Ptr(out), driver.Ptr(l.p), driver.Ptr(l.z.p), driver.Ptr(y),
		driver.Ptr(g), driver.Float64(factor), driver.Int(n*l.classes))
}

// lossHess computes g·(p∘u − p⟨p,u⟩)/n, or g·u/n for mse; where u is the derivative of the
// logits of a dense layer of few classes, also that and what goes back through the layer, in
// one launch.
type lossHess struct {
	l         *loss
	made      bool
	what      string
	out, u, g operand
	in        *program.LossHess

	dense *matMul // that makes u, or nil
	back  *matMul // of the result and the gradient at the logits, through dense; or nil
}

func bindLossHess(b *binder, in *program.LossHess) bound {
	b.checkLoss(in.Kind)
	r := &lossHess{what: b.what("loss_hess"), out: b.real(in.Out, each(in.Classes)), u: b.real(in.U, each(in.Classes)), g: b.real(in.G, whole(1)), in: in}
	r.l, r.made = softmaxOf(b, in.Z, in.Kind, in.Classes)
	if b.phase == program.HessianProduct && r.made && !b.readAfter(in.U) {
		r.dense = b.takeDense(in.U, in.Classes)
	}
	return r
}

// readAfter reports whether an instruction after the one being bound, in its phase, reads id
// before anything is written there.
func (b *binder) readAfter(id program.BufferID) bool {
	for _, in := range b.p.Phases[b.phase][b.place+1:] {
		switch {
		case slices.Contains(program.Reads(in), id):
			return true
		case slices.Contains(program.Writes(in), id):
			return false
		}
	}
	return false
}

// afterHess reports whether the instruction before, a lossHess, takes in r, a sum of two
// products of which the second is being bound: of the gradient at the logits with a
// direction's weights of the layer that made them, and of the lossHess with its weights. It
// must write nowhere where other samples' logits are still to be made from.
func (b *binder) afterHess(r *matMul) bool {
	if b.err != nil || b.place == 0 {
		return false
	}
	h, ok := b.list[b.place-1].(*lossHess)
	if !ok || h.dense == nil || h.dense.second == nil {
		return false
	}
	first, second, dense := r.in, r.second.in, h.dense
	if first.TransA || first.TransB || second.TransA || second.TransB || first.Accumulate || r.epilogue.bias.present() || r.epilogue.f != program.Identity ||
		r.b != dense.b || r.second.a != h.out || r.second.b != dense.second.b || first.K != whole(h.l.classes) || second.K != first.K {
		return false
	}
	for _, id := range []program.BufferID{dense.in.A, dense.second.in.A, first.A, h.in.U, h.in.Out} {
		if b.overlap(first.Out, id) {
			return false
		}
	}
	h.back = r
	return true
}

func (r *lossHess) run(n int) {
	if !r.made {
		r.l.makeSoftmax(n)
	}
	d := r.dense
	if d == nil {
		r.l.queueHess(r.what, r.out.p, r.u.p, r.g.p, 1/float64(n), n)
		return
	}
	var rx, w, dx, gradient, mask driver.Pointer
	slope := program.Identity
	if d.second != nil {
		rx, w = d.second.a.p, d.second.b.p
	}
	if back := r.back; back != nil {
		dx, gradient, mask, slope = back.out.p, back.a.p, back.epilogue.mask.p, back.epilogue.df
	}
	r.l.m.launch(r.what, r.l.m.kernels.denseHess, driver.Grid{Blocks: driver.Dim{X: n}, Threads: driver.Dim{X: lossThreads}},
		driver.Ptr(r.out.p), driver.Ptr(r.l.p), driver.Ptr(r.g.p), driver.Float64(1/float64(n)), driver.Int(r.l.classes),
		driver.Ptr(d.a.p), driver.Ptr(d.b.p), driver.Ptr(rx), driver.Ptr(w), driver.Ptr(d.epilogue.bias.p), driver.Int(d.k.N),
		driver.Ptr(dx), driver.Ptr(gradient), driver.Ptr(mask), driver.Int(int(slope)))
}

// queueHess queues out = factor·g·(p∘u − p⟨p,u⟩), or factor·g·u.
func (l *loss) queueHess(what string, out, u, g driver.Pointer, factor float64, n int) {
	l.m.launch(what, l.m.kernels.lossHess, warps(n), driver.Ptr(out), driver.Ptr(l.p), driver.Ptr(u), driver.Ptr(g),
		driver.Float64(factor), driver.Int(n), driver.Int(l.classes))
}

// softmax computes the softmax of every row, or its logarithm.
type softmax struct {
	m      *Machine
	what   string
	out, x operand
	rows   program.Extent
	cols   int
	log    bool
}

func bindSoftmax(b *binder, in *program.Softmax) bound {
	if in.Cols < 1 {
		b.fail("%d columns", in.Cols)
	}
	size := b.extent(in.Rows, whole(in.Cols))
	return &softmax{b.m, b.what("softmax"), b.real(in.Out, size), b.real(in.X, size), in.Rows, in.Cols, in.Log}
}

func (s *softmax) run(n int) {
	rows := s.rows.At(n)
	s.m.launch(s.what, s.m.kernels.softmax, warps(rows), driver.Ptr(s.out.p), driver.Ptr(s.x.p), driver.Int(rows), driver.Int(s.cols), flag(s.log))
}
