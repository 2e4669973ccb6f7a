package train

import (
	"math"
	"strconv"
	"strings"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/request"
)

// Averages are the averages of its weights that a run keeps beside them. They are
// evaluated on the test set wherever the weights are, and have no part in training.
type Averages struct {
	EMA float64 `json:"ema" name:"ema" help:"Decay of an exponential moving average of the weights that is kept beside them, such as 0.999; 0 is none."`
	SWA string  `json:"swa" name:"swa" help:"Stochastic weight averaging: START or START:EVERY, in steps or epochs (3e), keeps the mean of the weights after START and every EVERY from then on; 1e where EVERY is left out."`
}

// validate returns a request.Error for the first setting that makes no average.
func (a *Averages) validate() error {
	if !(a.EMA >= 0 && a.EMA < 1) {
		return request.BadValue("ema", a.EMA, "give a decay above 0 and below 1, such as 0.999, or 0 for no average")
	}
	_, err := parseSWA(a.SWA)
	return err
}

// period is a number of steps or of epochs.
type period struct {
	n      int
	epochs bool
}

func parsePeriod(text string) (p period, ok bool) {
	digits, epochs := strings.CutSuffix(text, "e")
	n, err := strconv.Atoi(digits)
	return period{n, epochs}, err == nil && n >= 1
}

// swa says which weights are averaged: those after start, and every so often from
// then on (Izmailov et al. 2018, arXiv:1803.05407, algorithm 1).
type swa struct{ start, every period }

// parseSWA reads the setting swa; "" is none.
func parseSWA(setting string) (*swa, error) {
	if setting == "" {
		return nil, nil
	}
	first, second, two := strings.Cut(setting, ":")
	w := &swa{every: period{1, true}}
	var ok bool
	if w.start, ok = parsePeriod(first); ok && two {
		w.every, ok = parsePeriod(second)
	}
	if !ok {
		return nil, request.BadValue("swa", setting, "give START or START:EVERY, each in steps or, with an e, in epochs, from 1 on: 3e or 2000:100, say")
	}
	return w, nil
}

// check returns a request.Error where a run ends before the average begins.
func (w *swa) check(setting string, epochs, steps int) error {
	switch {
	case w == nil:
	case w.start.epochs && w.start.n > epochs:
		return request.BadValue("swa", setting, "the run has %d epochs, and this average begins after epoch %d: begin it earlier", epochs, w.start.n)
	case !w.start.epochs && w.start.n > steps:
		return request.BadValue("swa", setting, "the run has %d steps, and this average begins after step %d: begin it earlier", steps, w.start.n)
	}
	return nil
}

// swaState is how far an average of equal weights has come; it is part of a
// checkpoint.
type swaState struct {
	Count int `json:"count"` // of weights in it
	// Steps and Epochs were done when the first of them were added.
	Steps  int `json:"steps"`
	Epochs int `json:"epochs"`
}

// due reports whether the weights after the given number of steps and whole epochs
// are part of the average; ended says that an epoch has ended with this step.
func (w *swa) due(s *swaState, steps, epochs int, ended bool) bool {
	at := func(p period, steps, epochs int) bool {
		if p.epochs {
			return ended && epochs > 0 && epochs%p.n == 0
		}
		return steps%p.n == 0
	}
	if s.Count > 0 {
		return at(w.every, steps-s.Steps, epochs-s.Epochs)
	}
	if w.start.epochs {
		return ended && epochs >= w.start.n
	}
	return steps >= w.start.n
}

// averages keeps the averages of a run's weights.
type averages[T engine.Float] struct {
	s     *engine.Session[T]
	decay float64
	ema   []T // nil where none is kept
	swa   *swa
	mean  []T // of the weights of swa, nil where none is kept
	own   []T // the weights, while an average has their place
}

func newAverages[T engine.Float](c *Averages, w *swa, s *engine.Session[T]) *averages[T] {
	a := &averages[T]{s: s, decay: c.EMA, swa: w}
	n := len(s.Params())
	if c.EMA > 0 {
		a.ema = s.NewVector(n)
	}
	if w != nil {
		a.mean = s.NewVector(n)
	}
	if a.ema != nil || a.mean != nil {
		a.own = s.NewVector(n)
	}
	return a
}

// begin makes the initial weights the moving average.
func (a *averages[T]) begin() {
	if a.ema != nil {
		a.s.Copy(a.ema, a.s.Params())
	}
}

// stepped averages the weights θ after a step: the moving average is, with decay d,
//
//	θ̄ ← d·θ̄ + (1 − d)·θ, from the initial weights on
//
// and that of equal weights, of k of them before, θ̄ ← (k·θ̄ + θ)/(k + 1).
func (a *averages[T]) stepped(s *swaState, steps, epochs int, ended bool) {
	if a.ema != nil {
		a.s.Scale(a.decay, a.ema)
		a.s.Axpy(1-a.decay, a.s.Params(), a.ema)
	}
	if a.swa == nil || !a.swa.due(s, steps, epochs, ended) {
		return
	}
	if s.Count == 0 {
		s.Steps, s.Epochs = steps, epochs
	}
	s.Count++
	a.s.Scale(float64(s.Count-1)/float64(s.Count), a.mean)
	a.s.Axpy(1/float64(s.Count), a.s.Params(), a.mean)
}

// each calls f for every average that there is.
func (a *averages[T]) each(s *swaState, f func(name string, average []T) error) error {
	if a.ema != nil {
		if err := f(record.EMA, a.ema); err != nil {
			return err
		}
	}
	if s.Count > 0 {
		return f(record.SWA, a.mean)
	}
	return nil
}

// vectors returns what a checkpoint keeps of the averages.
func (a *averages[T]) vectors() (list []vector[T]) {
	if a.ema != nil {
		list = append(list, vector[T]{"average.ema", a.ema})
	}
	if a.mean != nil {
		list = append(list, vector[T]{"average.swa", a.mean})
	}
	return list
}

// evaluate returns how the averages do on the test set. A loss that is not finite
// is left out.
func (t *trainer[T]) evaluate() (r record.Averaged) {
	a := t.averages
	_ = a.each(&t.progress.SWA, func(name string, average []T) error { // f returns no error
		t.session.Copy(a.own, t.session.Params())
		t.session.Copy(t.session.Params(), average)
		loss, correct := t.test.Forward(t.tests)
		t.session.Copy(t.session.Params(), a.own)
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return nil
		}
		x, y := record.Some(loss), record.Some(float64(correct)/float64(len(t.tests)))
		if name == record.EMA {
			r.EMATestLoss, r.EMATestAccuracy = x, y
		} else {
			r.SWATestLoss, r.SWATestAccuracy = x, y
		}
		return nil
	})
	return r
}

// swa returns the average of equal weights that c asks for on the opened problem,
// nil where it asks for none.
func (c *Config) swa(p *problem.Opened) (*swa, error) {
	w, err := parseSWA(c.SWA)
	if w == nil || err != nil {
		return nil, err
	}
	perEpoch := 1
	if c.Sampling != string(data.Full) {
		perEpoch = (p.Train.N + c.Batch - 1) / c.Batch
	}
	steps, epochs := c.Steps, c.Steps/perEpoch
	switch {
	case steps == 0 && c.batchesVary():
		steps, epochs = math.MaxInt, c.Epochs
	case steps == 0:
		steps, epochs = c.Epochs*perEpoch, c.Epochs
	case c.batchesVary():
		epochs = math.MaxInt
	}
	return w, w.check(c.SWA, epochs, steps)
}
