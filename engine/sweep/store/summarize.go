package store

import (
	"math"

	"sgflow/engine/record"
)

// Summarize averages the steps of a run over its parts: see the package's
// comment. A run without steps has no windows.
func Summarize(steps []record.Step) []Window {
	n := len(steps)
	if n == 0 {
		return nil
	}
	tenth := (n + 9) / 10
	var windows []Window
	for _, w := range []struct {
		part  Part
		first int
	}{{Start, 0}, {Middle, (n - tenth) / 2}, {End, n - tenth}} {
		part := steps[w.first : w.first+tenth]
		windows = append(windows, Window{
			Part: w.part, First: part[0].Step, Last: part[tenth-1].Step, Means: means(part),
		})
	}
	return windows
}

// means averages every number of the steps, in the order of their appearance.
func means(steps []record.Step) []Mean {
	var names []string
	values := map[string][]float64{}
	add := func(name string, x float64) {
		if _, ok := values[name]; !ok {
			names = append(names, name)
		}
		values[name] = append(values[name], x)
	}
	var variance, norm []float64 // of the steps that have both
	for i := range steps {
		s := &steps[i]
		add("lr", s.LR)
		add("loss", s.Loss)
		if x, ok := s.Accuracy.Get(); ok {
			add("accuracy", x)
		}
		for _, group := range []record.Numbers{s.Noise, s.Flatness} {
			for _, number := range group {
				if number.Name != noiseScale {
					add(number.Name, number.X)
				}
			}
		}
		v, hasVariance := s.Noise.Get(gradVarTrace).Get()
		g, hasNorm := s.Noise.Get(gradNormSqUnbiased).Get()
		if hasVariance && hasNorm {
			variance, norm = append(variance, v), append(norm, g)
		}
	}
	var list []Mean
	for _, name := range names {
		m, s := moments(values[name])
		list = append(list, Mean{Name: name, Mean: m, SD: math.Sqrt(s), N: len(values[name])})
	}
	if m, ok := ratio(variance, norm); ok {
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
