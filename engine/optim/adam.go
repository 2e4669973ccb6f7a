package optim

import "math"

// AdamUpdate holds the numbers of one step of Adam.
type AdamUpdate struct {
	LR           float64 // η, the learning rate of this step
	Beta1, Beta2 float64 // what the moments keep from step to step
	Epsilon      float64 // ε, beside the root of the second moment
	WeightDecay  float64 // λ
	Decoupled    bool    // decay the parameters, not the gradient: AdamW
	Step         int     // t, the number of this step, counted from 1
}

// Rate returns η/(1 − β₁ᵗ): the rate with the correction of the first moment's
// bias toward its start at 0.
func (u AdamUpdate) Rate() float64 { return u.LR / (1 - math.Pow(u.Beta1, float64(u.Step))) }

// Scale returns 1/√(1 − β₂ᵗ), the correction of the root of the second moment.
func (u AdamUpdate) Scale() float64 { return 1 / math.Sqrt(1-math.Pow(u.Beta2, float64(u.Step))) }

// Keep returns what decoupled decay leaves of the parameters, 1 − ηλ, or 1.
func (u AdamUpdate) Keep() float64 { return keep(u.Decoupled, u.LR, u.WeightDecay) }

// Coupled returns the decay that is added to the gradient, λ or 0.
func (u AdamUpdate) Coupled() float64 { return coupled(u.Decoupled, u.WeightDecay) }

// Optimizer is the rule of steps in a row with the vectors that it keeps from one to
// the next: Adam's where First is not nil, else that of SGD.
type Optimizer[T Float] struct {
	Update   Update
	Velocity []T // nil without momentum

	Adam          AdamUpdate // of the first of the steps
	First, Second []T        // moments
}

const badMoments = "optim: AdamStep: theta, grad and moments differ in length"

// AdamStep updates the parameters theta and the moments of their gradient, first
// and second, in place, element by element:
//
//	g ← grad + λθ                  (coupled decay: Adam)
//	θ ← (1 − ηλ)θ                  (decoupled decay: AdamW)
//	m ← m + (1 − β₁)(g − m)
//	v ← β₂v + (1 − β₂)g²
//	θ ← θ − η/(1 − β₁ᵗ) · m/(√v/√(1 − β₂ᵗ) + ε)
//
// (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1; Loshchilov and Hutter 2019,
// arXiv:1711.05101, algorithm 2, with the decay multiplied by the rate.) ε is
// added to the corrected root, as the paper and torch.optim.Adam and AdamW have
// it. Moments of zeros, at t = 1, are the right start.
//
// All slices have the same length; AdamStep panics otherwise, and keeps no
// reference. The constants are formed in float64 and rounded to T once.
func AdamStep[T Float](theta, grad, first, second []T, u AdamUpdate) {
	if len(grad) != len(theta) || len(first) != len(theta) || len(second) != len(theta) {
		panic(badMoments)
	}
	rate, scale, keep, coupled := T(u.Rate()), T(u.Scale()), T(u.Keep()), T(u.Coupled())
	move, beta2, add, epsilon := T(1-u.Beta1), T(u.Beta2), T(1-u.Beta2), T(u.Epsilon)
	for i, t := range theta {
		g := grad[i]
		if coupled != 0 {
			g += T(coupled * t)
		}
		m := first[i] + T(move*(g-first[i]))
		v := T(beta2*second[i]) + T(add*T(g*g))
		first[i], second[i] = m, v
		root := T(math.Sqrt(float64(v)))
		theta[i] = T(keep*t) - T(rate*T(m/(T(root*scale)+epsilon)))
	}
}
