package measure

import "sgflow/engine"

// Operator is a symmetric P×P matrix A that is known by its products with
// vectors. An Objective is the operator of its Hessian.
type Operator[T engine.Float] interface {
	// Apply computes out = A·v. out and v have P elements and do not overlap.
	Apply(out, v []T)
	// Session returns the session whose vector operations go with A.
	Session() *engine.Session[T]
}

// Apply is Product: an Objective is the Operator of the Hessian H of the mean
// loss of the samples of its last Gradient.
func (o *Objective[T]) Apply(out, v []T) { o.Product(out, v) }

// size returns P.
func size[T engine.Float](a Operator[T]) int { return a.Session().Program().NumParams }
