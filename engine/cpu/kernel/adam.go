package kernel

import "math"

// Adam is the constants of a step of Adam. With g the gradient, m and v its
// moments and w the parameters:
//
//	g′ = g + Decay·w
//	m  = m + (1−Beta1)·(g′ − m)
//	v  = Beta2·v + (1−Beta2)·g′²
//	w  = Shrink·w − Rate·m/(Scale·√v + Epsilon)
//
// Kingma & Ba 2015 with Rate = η/(1−β₁ᵗ) and Scale = 1/√(1−β₂ᵗ), which correct
// the moments' bias; Loshchilov & Hutter 2019 with Decay 0 and Shrink 1−ηλ.
type Adam struct {
	Decay, Shrink, Beta1, Beta2, Scale, Epsilon, Rate float64
}

// adamStep is Adam's constants as the loops use them: move = 1−β₁, keep = β₂,
// add = 1−β₂. The assembly reads it as an array.
type adamStep[T Float] struct {
	decay, shrink, move, keep, add, scale, epsilon, rate T
}

// Adam updates the parameters w and the moments m and v in place from the gradient
// g; len(w) elements each.
func (k *Kernels[T]) Adam(u Adam, w, g, m, v []T) {
	k.flat = flatTask[T]{op: opAdam, dst: w, x: g[:len(w)], y: m[:len(w)], z: v[:len(w)], adam: adamStep[T]{
		decay: T(u.Decay), shrink: T(u.Shrink), move: T(1 - u.Beta1), keep: T(u.Beta2), add: T(1 - u.Beta2),
		scale: T(u.Scale), epsilon: T(u.Epsilon), rate: T(u.Rate),
	}}
	k.runFlat(len(w), flatChunk)
}

// adamPortable applies c to a chunk.
func adamPortable[T Float](c *adamStep[T], w, g, m, v []T) {
	g, m, v = g[:len(w)], m[:len(w)], v[:len(w)]
	for i, x := range w {
		d := g[i] + c.decay*x
		first := m[i] + c.move*(d-m[i])
		second := c.keep*v[i] + c.add*(d*d)
		m[i], v[i] = first, second
		w[i] = c.shrink*x - c.rate*(first/(c.scale*T(math.Sqrt(float64(second)))+c.epsilon))
	}
}
