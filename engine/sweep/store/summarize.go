package store

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"sgflow/engine/record"
)

// Summarize averages the steps of a run over its parts: see the package's
// comment. A run without steps has no windows.
func Summarize(steps []record.Step) []Window {
	s := newSummary(len(steps))
	for i := range steps {
		s.add(i, &steps[i])
	}
	if s.miss() {
		for i := range steps {
			s.near(i, &steps[i])
		}
	}
	return s.windows()
}

// SummarizeFile does for the steps.jsonl at path, of a run of n steps, what
// Summarize does for steps in memory, and holds one at a time. A file with
// other steps than 0 … n−1 in its windows is an error.
func SummarizeFile(path string, n int) ([]Window, error) {
	s := newSummary(n)
	seen := 0
	err := record.EachStep(path, func(line int) bool { return s.has(line) }, func(step *record.Step) error {
		s.add(step.Step, step)
		seen++
		return nil
	})
	if err == nil {
		want := 0
		for line := range n {
			if s.has(line) {
				want++
			}
		}
		if seen != want || !s.whole() {
			err = fmt.Errorf("store: %s lacks steps of the %d that the run has", path, n)
		}
	}
	if err == nil && s.miss() {
		err = record.EachStep(path, func(line int) bool { return line < n && !s.has(line) }, func(step *record.Step) error {
			s.near(step.Step, step)
			return nil
		})
	}
	if err != nil {
		return nil, err
	}
	return s.windows(), nil
}

// summary is a Summarize under way.
type summary struct{ parts []part }

// part is a window that is being filled with steps.
type part struct {
	Window
	added            int
	names            []string // in the order of their appearance
	values           map[string][]float64
	variance, normSq []float64 // of the steps that have both
	// nearest are numbers that were logged at no step of the window, of the
	// step nearest to it.
	nearest map[string]nearby
}

// nearby is a number of a step outside a window, and how far from it that is.
type nearby struct {
	x        float64
	distance int
}

// newSummary lays the windows into a run of n steps.
func newSummary(n int) *summary {
	s := &summary{}
	if n <= 0 {
		return s
	}
	tenth := (n + 9) / 10
	for _, p := range []struct {
		part  Part
		first int
	}{{Start, 0}, {Middle, (n - tenth) / 2}, {End, n - tenth}} {
		s.parts = append(s.parts, part{
			Window: Window{Part: p.part, First: p.first, Last: p.first + tenth - 1}, values: map[string][]float64{},
		})
	}
	return s
}

// has reports whether a step is in a window.
func (s *summary) has(step int) bool {
	for i := range s.parts {
		if p := &s.parts[i]; p.First <= step && step <= p.Last {
			return true
		}
	}
	return false
}

// whole reports whether each window has got all its steps.
func (s *summary) whole() bool {
	for i := range s.parts {
		if p := &s.parts[i]; p.added != p.Last-p.First+1 {
			return false
		}
	}
	return true
}

// add takes the numbers of a step.
func (s *summary) add(at int, step *record.Step) {
	for i := range s.parts {
		if p := &s.parts[i]; p.First <= at && at <= p.Last {
			p.add(step)
		}
	}
}

// miss reports whether a number that is logged in some window is not in all, and
// makes room for it.
func (s *summary) miss() bool {
	missing := false
	for i := range s.parts {
		for k := range s.parts {
			for _, name := range s.parts[k].names {
				if p := &s.parts[i]; p.values[name] == nil {
					if p.nearest == nil {
						p.nearest = map[string]nearby{}
					}
					p.nearest[name], missing = nearby{distance: -1}, true
				}
			}
		}
	}
	return missing
}

// near takes the numbers of a step for the windows that have none and have it
// nearest, of equals the earlier.
func (s *summary) near(at int, step *record.Step) {
	for i := range s.parts {
		p := &s.parts[i]
		distance := max(p.First-at, at-p.Last)
		if distance <= 0 || p.nearest == nil {
			continue
		}
		each(step, func(name string, x float64) {
			if was, ok := p.nearest[name]; ok && (was.distance < 0 || distance < was.distance) {
				p.nearest[name] = nearby{x, distance}
			}
		})
	}
}

// windows returns the means.
func (s *summary) windows() []Window {
	var list []Window
	for i := range s.parts {
		p := &s.parts[i]
		p.Means = p.means()
		list = append(list, p.Window)
	}
	return list
}

func (p *part) add(s *record.Step) {
	p.added++
	each(s, p.number)
	v, hasVariance := s.Noise.Get(gradVarTrace).Get()
	g, hasNorm := s.Noise.Get(gradNormSqUnbiased).Get()
	if hasVariance && hasNorm {
		p.variance, p.normSq = append(p.variance, v), append(p.normSq, g)
	}
}

// each calls visit with every number of a step but the noise scale, which is made
// of two others.
func each(s *record.Step, visit func(name string, x float64)) {
	visit("lr", s.LR)
	visit("loss", s.Loss)
	if x, ok := s.Accuracy.Get(); ok {
		visit("accuracy", x)
	}
	for _, group := range []record.Numbers{s.Noise, s.Flatness} {
		for _, number := range group {
			if number.Name != noiseScale {
				visit(number.Name, number.X)
			}
		}
	}
}

func (p *part) number(name string, x float64) {
	if _, ok := p.values[name]; !ok {
		p.names = append(p.names, name)
	}
	p.values[name] = append(p.values[name], x)
}

// means averages every number, in the order of their appearance.
func (p *part) means() []Mean {
	var list []Mean
	for _, name := range p.names {
		m, s := moments(p.values[name])
		list = append(list, Mean{Name: name, Mean: m, SD: math.Sqrt(s), N: len(p.values[name])})
	}
	for _, name := range slices.Sorted(maps.Keys(p.nearest)) {
		if m := p.nearest[name]; m.distance > 0 {
			list = append(list, Mean{Name: name, Mean: m.x, N: 1})
		}
	}
	if m, ok := ratio(p.variance, p.normSq); ok {
		m.Name = noiseScale
		list = append(list, m)
	}
	return list
}

// Keys of the log that the noise scale is made of.
const (
	noiseScale         = "noise_scale"
	gradVarTrace       = "grad_var_trace"
	gradNormSqUnbiased = "grad_norm_sq_unbiased"
)

// moments returns mean and variance of x, which is not empty.
func moments(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	return mean, covariance(x, x, mean, mean)
}

// covariance returns Σ(x−mx)(y−my)/(n−1), 0 for one pair.
func covariance(x, y []float64, mx, my float64) float64 {
	if len(x) < 2 {
		return 0
	}
	sum := 0.0
	for i := range x {
		sum += (x[i] - mx) * (y[i] - my)
	}
	return sum / float64(len(x)-1)
}

// ratio returns the ratio of the means of a and b with its first-order standard
// deviation, or false where there is none or b's mean is not positive.
func ratio(a, b []float64) (Mean, bool) {
	if len(a) == 0 {
		return Mean{}, false
	}
	ma, va := moments(a)
	mb, vb := moments(b)
	if !(mb > 0) {
		return Mean{}, false
	}
	r := ma / mb
	spread := math.Sqrt(max(va+r*r*vb-2*r*covariance(a, b, ma, mb), 0)) / mb
	if math.IsInf(r, 0) || math.IsInf(spread, 0) {
		return Mean{}, false
	}
	return Mean{Mean: r, SD: spread, N: len(a)}, true
}
