package kernel

// elementTask is an activation or its derivatives as an operation of a stream.
type elementTask[T Float] struct {
	whole
	kernels   *Kernels[T]
	op        flatOp
	act       Activation
	width     int
	dst, x, y []T
}

func (s *Stream[T]) elements(op flatOp, f Activation, width int, dst, x, y []T) {
	t := s.activations.next()
	*t = elementTask[T]{kernels: s.kernels, op: op, act: f, width: width, dst: dst, x: x, y: y}
	work := moveWork
	if f != Identity && f != ReLU {
		work = mathWork
	}
	s.add(t, 2*width, width*work)
}

// mathWork is the multiply-adds that take as long as an activation of an element.
const mathWork = 64

// Activate is [Kernels.Activate] of width elements a sample.
func (s *Stream[T]) Activate(f Activation, width int, dst, x []T) {
	s.elements(opActivate, f, width, dst, x, nil)
}

// ActGrad is [Kernels.ActGrad] of width elements a sample.
func (s *Stream[T]) ActGrad(f Activation, width int, dst, dy, ref []T) {
	s.elements(opActGrad, f, width, dst, dy, ref)
}

// ActCurve is [Kernels.ActCurve] of width elements a sample.
func (s *Stream[T]) ActCurve(f Activation, width int, dst, v, ref []T) {
	s.elements(opActCurve, f, width, dst, v, ref)
}

func (t *elementTask[T]) samples(_, lo, hi, _ int) {
	lo, hi = lo*t.width, hi*t.width
	v, dst, x := &t.kernels.vec, t.dst[lo:hi], t.x[lo:hi]
	switch t.op {
	case opActivate:
		v.activate(t.act, dst, x)
	case opActGrad:
		v.actGrad(t.act, dst, x, t.y[lo:hi])
	case opActCurve:
		actCurvePortable(t.act, dst, x, t.y[lo:hi])
	}
}

func (t *elementTask[T]) forget() { *t = elementTask[T]{} }
