package measure

import (
	"errors"
	"math"

	"sgflow/engine"
	"sgflow/engine/rng"
)

// curvatures is what a point knows of matrices beside the Hessian, and of
// sharpness over batches.
type curvatures[T engine.Float] struct {
	gaussNewton *logitOperator[T]
	fisher      *Fisher[T]
	drawn       bool // fisher's labels are the point's
	iteration   *lanczos[T]
	blocks      []float64 // traces by parameter

	zz, zzErr float64 // mean of ‖Hz‖² over the window of probes
	zzErrOK   bool

	sharpness *SharpnessResult
	sharpErr  error
	sharp     bool // sharpness is the point's
}

// begin starts a new point.
func (c *curvatures[T]) begin() { c.drawn, c.sharp = false, false }

// absent turns the error of a quantity that does not exist at a point into
// none: nothing is logged then.
func absent(err error) error {
	if errors.Is(err, ErrNoLogits) || errors.Is(err, ErrCoupled) || errors.Is(err, ErrZeroGradient) {
		return nil
	}
	return err
}

// logAverage logs a value, and its standard error if there is one.
func (p *Point[T]) logAverage(value, stderr string, a Average) {
	p.log(value, a.Value)
	e, ok := a.Stderr.Get()
	p.logIf(stderr, e, ok)
}

// gaussNewton returns the Gauss-Newton operator of the point.
func (p *Point[T]) gaussNewton() (*logitOperator[T], error) {
	c := &p.curvature
	if c.gaussNewton == nil {
		a, err := newLogitOperator(p.o)
		if err != nil {
			return nil, err
		}
		a.curve = func(u []T, _, _ int) { p.o.s.LossCurvature(u, u) }
		c.gaussNewton = a
	}
	return c.gaussNewton, nil
}

// sampledFisher returns the Fisher matrix of the point with one label drawn for
// each sample.
func (p *Point[T]) sampledFisher() (*Fisher[T], error) {
	const drawn = "fisher_mc.draws"
	c := &p.curvature
	if c.drawn {
		return c.fisher, nil
	}
	k := p.number(drawn)
	config := FisherConfig{Seed: p.c.Seed, First: uint64(k)}
	if c.fisher == nil {
		f, err := SampledFisher(p.o, config)
		if err != nil {
			return nil, err
		}
		c.fisher = f
	} else {
		c.fisher.draw(config)
	}
	p.setNumber(drawn, k+1)
	c.drawn = true
	return c.fisher, nil
}

// eigenvalue logs the largest eigenvalue of A, or the smallest, under the name,
// and the residual of its vector under name_residual. At the points of training
// it is a short iteration from the last point's vector, ḡ and a random vector
// to Config.Tol; elsewhere it is that of Eigenpairs. One that does not converge is
// logged with the residual that it has.
func eigenvalue[T engine.Float](p *Point[T], name string, a Operator[T], smallest bool) error {
	var pairs []Eigenpair[T]
	var err error
	if p.step == nil {
		pairs, err = Eigenpairs(p.ctx, a, EigenConfig{Smallest: smallest, Tol: p.c.Tol, MaxProducts: p.c.MaxProducts, Seed: p.c.Seed, Progress: p.progress(name)})
		if errors.Is(err, ErrNotConverged) {
			err = nil
		}
	} else {
		pairs, err = follow(p, name, a, smallest)
	}
	if err != nil || len(pairs) == 0 {
		return err
	}
	p.log(name, pairs[0].Value)
	p.log(name+"_residual", pairs[0].Residual)
	return nil
}

// follow finds the pair at a point of training, and remembers its vector for
// the next.
func follow[T engine.Float](p *Point[T], name string, a Operator[T], smallest bool) ([]Eigenpair[T], error) {
	s := p.o.s
	start, g := p.temporary(0), p.o.Grad()
	drawn := name + ".probes"
	k := p.number(drawn)
	p.setNumber(drawn, k+1)
	s.Signs(start, rng.New(rng.Probes, p.c.Seed, followProbes+uint64(k)))
	s.Scale(1/math.Sqrt(float64(len(start))), start)
	if gg := p.gradNormSq(); gg >= leastNormSq[T]() {
		s.Axpy(1/math.Sqrt(gg), g, start)
	}
	u, _ := p.vector(name+".vector", len(g))
	s.Axpy(1, u, start)
	c := &p.curvature
	if c.iteration == nil {
		c.iteration = &lanczos[T]{k: 1, quick: true, basis: p.c.MaxProducts, maxSteps: p.c.MaxProducts, tol: p.c.Tol}
	}
	l := c.iteration
	l.o, l.sign = a, 1
	if smallest {
		l.sign = -1
	}
	pairs, err := l.run(start)
	if err == nil && len(pairs) > 0 {
		s.Copy(u, pairs[0].Vector)
	}
	return pairs, err
}
