package kernel

// SGD is the constants of a stochastic gradient descent update. With g the
// gradient, v the velocity and w the parameters:
//
//	g′ = g + WeightDecay·w                   (coupled decay; g′ = g if Decoupled)
//	v  = Momentum·v + g′
//	s  = v, or g′ + Momentum·v with Nesterov (the new v)
//	w  = w − LR·s                            (w first shrunk by LR·WeightDecay·w if Decoupled)
//
// Sutskever et al. 2013 in the form of PyTorch's SGD; Loshchilov & Hutter 2019
// for the decoupled decay.
type SGD struct {
	LR, Momentum, WeightDecay float64
	Nesterov, Decoupled       bool
}

// sgdStep is an SGD rule with its cases turned into constants:
// g′ = g + decay·w; v = momentum·v + g′; w = shrink·w − (rateV·v + rateG·g′).
// The assembly reads it as an array.
type sgdStep[T Float] struct {
	decay, momentum, shrink, rateV, rateG T
}

// SGD updates the parameters w, and the velocity v, in place from the gradient
// g; len(w) elements each. v may be nil, which means no momentum: then
// u.Momentum is not read.
func (k *Kernels[T]) SGD(u SGD, w, g, v []T) {
	s := sgdStep[T]{shrink: 1, momentum: T(u.Momentum), rateV: T(u.LR)}
	if u.Decoupled {
		s.shrink = T(1 - u.LR*u.WeightDecay)
	} else {
		s.decay = T(u.WeightDecay)
	}
	switch {
	case v == nil:
		s.momentum, s.rateV, s.rateG = 0, 0, T(u.LR)
	case u.Nesterov:
		s.rateV, s.rateG = T(u.LR*u.Momentum), T(u.LR)
	}
	k.flat = flatTask[T]{op: opSGD, dst: w, x: g[:len(w)], step: s}
	if v != nil {
		k.flat.y = v[:len(w)]
	}
	k.runFlat(len(w), flatChunk)
}

// sgdPortable applies c to a chunk; v may be nil.
func sgdPortable[T Float](c *sgdStep[T], w, g, v []T) {
	g = g[:len(w)]
	if v == nil {
		for i, x := range w {
			w[i] = c.shrink*x - c.rateG*(g[i]+c.decay*x)
		}
		return
	}
	v = v[:len(w)]
	for i, x := range w {
		d := g[i] + c.decay*x
		u := c.momentum*v[i] + d
		v[i] = u
		w[i] = c.shrink*x - (c.rateV*u + c.rateG*d)
	}
}
