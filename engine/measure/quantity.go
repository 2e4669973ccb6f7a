package measure

import "sgflow/engine"

// Quantity is an entry of the registry: something that can be measured at a
// point of the loss surface. Adding one is a file that defines it and a line
// in [Quantities].
//
// In formulas gᵢ is the gradient of sample i's loss ℓᵢ, ḡ the mean of the n gᵢ,
// L the mean loss, H its Hessian, θ the parameters, P their number.
type Quantity struct {
	// Name is what --measure calls it, and the key of its number in the log.
	Name string
	// Keys are the keys in the log where it is not Name alone.
	Keys    []string
	Group   Group
	Sets    []string // the sets it belongs to
	Formula string
	Source  string // of the definition, or of the estimator
	Unit    string
	Cost    string // beside what it shares with others, in passes of a training step
	Needs   Need

	// measure logs the quantity at a point. Where updated is set, it is run once
	// more when the step's update was made, instead of or beside measure. Where queue
	// is set, it is run before measure: it queues all that measure will wait for, so that a
	// device is waited for once for all quantities, or not at all where what is queued was
	// recorded (see engine.Session.Record).
	queue, measure, updated rule
}

// Group is the object of a line of the log that a quantity is written to.
type Group string

// The groups. Noise is measured at every step; Flatness every so many.
const (
	Noise    Group = "noise"
	Flatness Group = "flatness"
)

// Need is what a quantity needs beside loss and gradient; a set of bits.
type Need uint

// The needs.
const (
	SampleNorms Need = 1 << iota // ‖gᵢ‖² of every sample
	SampleGrads                  // products with the gᵢ
	Products                     // Hessian-vector products, or those with the logits' Jacobian
	TraceProbes                  // the products zᵀHz and ‖Hz‖² of the trace
	Training                     // a step of training: learning rate, earlier steps
	Logits                       // a loss of logits that the program knows
	Parameters                   // θ itself
)

var needNames = []string{"sample norms", "sample gradients", "Hessian-vector products", "probes of the trace", "training", "logits", "parameters"}

// Names returns the needs in words.
func (n Need) Names() []string {
	names := []string{}
	for i, name := range needNames {
		if n&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// The sets that --measure takes by name. Economy, business and full are
// Cockpit's, as far as their quantities are here (Schneider et al. 2021,
// arXiv:2102.06604).
const (
	setNoise    = "noise"
	setFlatness = "flatness"
	setEconomy  = "economy"
	setBusiness = "business"
	setFull     = "full"
)

var setNames = []string{setNoise, setFlatness, setEconomy, setBusiness, setFull}

// rule is a generic function for both types of a run.
type rule struct {
	single func(*Point[float32]) error
	double func(*Point[float64]) error
}

func (r rule) isZero() bool { return r.single == nil }

// run calls r for the type of p.
func run[T engine.Float](r rule, p *Point[T]) error {
	switch p := any(p).(type) {
	case *Point[float32]:
		return r.single(p)
	case *Point[float64]:
		return r.double(p)
	}
	panic("measure: a point of another type")
}

// LogKeys returns the keys in the log that q writes.
func (q *Quantity) LogKeys() []string {
	if q.Keys != nil {
		return q.Keys
	}
	return []string{q.Name}
}
