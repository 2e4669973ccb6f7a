package optim

// Float is the element type of a parameter vector.
type Float interface{ float32 | float64 }

// Update holds the numbers of one step.
type Update struct {
	LR          float64 // η, the learning rate of this step
	Momentum    float64 // m; 0 leaves the velocity alone
	WeightDecay float64 // λ
	Nesterov    bool    // use g + m·v in place of v; only with Momentum
	Decoupled   bool    // decay the parameters, not the gradient
}

// Keep returns what decoupled decay leaves of the parameters, 1 − ηλ, or 1.
func (u Update) Keep() float64 { return keep(u.Decoupled, u.LR, u.WeightDecay) }

// Coupled returns the decay that is added to the gradient, λ or 0.
func (u Update) Coupled() float64 { return coupled(u.Decoupled, u.WeightDecay) }

func keep(decoupled bool, lr, decay float64) float64 {
	if decoupled {
		return 1 - float64(lr*decay)
	}
	return 1
}

func coupled(decoupled bool, decay float64) float64 {
	if decoupled {
		return 0
	}
	return decay
}

const badLengths = "optim: Step: theta, grad and velocity differ in length"

// Step updates the parameters theta and the velocity in place, element by
// element in one pass:
//
//	g ← grad + λθ                  (coupled decay)
//	θ ← (1 − ηλ)θ                  (decoupled decay)
//	v ← m·v + g                    (m > 0)
//	d = g, or v where m > 0, or g + m·v with Nesterov
//	θ ← θ − η·d
//
// These are PyTorch's conventions: no dampening, the rate outside the
// velocity, and for decoupled decay (Loshchilov and Hutter 2019, algorithm 1)
// the decay multiplied by the rate, as torch.optim.AdamW does. A velocity of
// zeros is the right start.
//
// theta, grad and velocity have the same length; velocity may be nil where
// u.Momentum is 0 and is not touched then. Step panics where the lengths
// differ, and keeps no reference.
//
// The numbers of u are rounded to T once (1 − ηλ is formed in float64 first),
// then every product and every sum is rounded to T by itself, in the order
// written: no fused multiply-add. Kernels that do the same give the same bits
// on every machine.
func Step[T Float](theta, grad, velocity []T, u Update) {
	if len(grad) != len(theta) || u.Momentum != 0 && len(velocity) != len(theta) {
		panic(badLengths)
	}
	var (
		lr       = T(u.LR)
		momentum = T(u.Momentum)
		coupled  = T(u.Coupled())
		keep     = T(u.Keep())
	)
	// The conversions T(…) around products keep the compiler from fusing
	// them with the sums that follow (Go specification, "Floating-point
	// operators"). The loops differ so that a term that is off costs nothing
	// and, being absent, cannot turn an infinite θ into NaN by 0·∞.
	switch {
	case u.Momentum == 0:
		for i, g := range grad {
			t := theta[i]
			if coupled != 0 {
				g += T(coupled * t)
			}
			theta[i] = T(keep*t) - T(lr*g)
		}
	default:
		for i, g := range grad {
			t := theta[i]
			if coupled != 0 {
				g += T(coupled * t)
			}
			v := T(momentum*velocity[i]) + g
			velocity[i] = v
			d := v
			if u.Nesterov {
				d = g + T(momentum*v)
			}
			theta[i] = T(keep*t) - T(lr*d)
		}
	}
}
