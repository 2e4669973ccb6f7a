package program

import "slices"

// LogitLoss is where the loss meets the logits z in a program whose loss is
// one mean over samples of a function of z and the targets: the gradient is
// (1/n) Σ Jᵢᵀ∇ℓᵢ(zᵢ) with Jᵢ = ∂zᵢ/∂θ, and nothing else. The numbers are
// indices of instructions in their phases.
type LogitLoss struct {
	Kind    LossKind
	Classes int
	Loss    int // the Loss in Forward
	Grad    int // the LossGrad in Gradient; all of ḡ is linear in its result
	Hess    int // the LossHess in HessianProduct, −1 without curvature; its U is J·v
}

// HasLogitLoss reports whether the program has a LogitLoss, so that Jacobians
// of the logits can be had from it.
func (p *Program) HasLogitLoss() bool {
	_, ok := p.LogitLoss()
	return ok
}

// LogitLoss finds the instructions of the loss at the logits. ok is false where
// the loss is made of other instructions, is scaled, or has another term, such
// as a penalty on weights.
func (p *Program) LogitLoss() (l LogitLoss, ok bool) {
	if p.Logits == None {
		return l, false
	}
	loss, k := only[*Loss](p.Phases[Forward])
	if loss == nil || loss.Out != p.Loss || loss.Z != p.Logits {
		return l, false
	}
	grad, g := only[*LossGrad](p.Phases[Gradient])
	if grad == nil || grad.Z != loss.Z || grad.Y != loss.Y || grad.G != None {
		return l, false
	}
	l = LogitLoss{Kind: loss.Kind, Classes: loss.Classes, Loss: k, Grad: g, Hess: -1}
	if !p.HasProduct() {
		return l, true
	}
	hess, h := only[*LossHess](p.Phases[HessianProduct])
	if hess == nil || hess.Z != loss.Z || hess.G != None {
		return l, false
	}
	l.Hess = h
	return l, true
}

// only returns the only instruction of type I in list and its place, nil where
// there is none or more than one.
func only[I Instr](list []Instr) (in I, at int) {
	count := 0
	for k, i := range list {
		if i, ok := i.(I); ok {
			in, at = i, k
			count++
		}
	}
	if count != 1 {
		var none I
		return none, -1
	}
	return in, at
}

// Tangent returns what computes J·v, the derivative of the logits along v, in U
// of the LossHess: the instructions of the Curvature and HessianProduct phases
// by their indices. It is for programs with a LogitLoss and products.
// afterGradient says that they read what the Gradient phase computes, not only
// Forward.
func (p *Program) Tangent(l LogitLoss) (curvature, product []int, afterGradient bool) {
	needed := map[BufferID]bool{p.Phases[HessianProduct][l.Hess].(*LossHess).U: true}
	product = p.slice(HessianProduct, l.Hess, needed)
	curvature = p.slice(Curvature, len(p.Phases[Curvature]), needed)
	return curvature, product, len(p.slice(Gradient, len(p.Phases[Gradient]), needed)) > 0
}

// slice returns the instructions among the first n of a phase that compute the
// buffers in needed, in order, and replaces those by what they read.
func (p *Program) slice(ph Phase, n int, needed map[BufferID]bool) []int {
	var list []int
	for k := n - 1; k >= 0; k-- {
		in := p.Phases[ph][k]
		found := false
		for _, id := range Writes(in) {
			found = found || needed[id]
		}
		if !found {
			continue
		}
		for _, id := range Writes(in) {
			delete(needed, id)
		}
		for _, id := range Reads(in) {
			needed[id] = true
		}
		list = append(list, k)
	}
	slices.Reverse(list)
	return list
}
