package reproduce

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"

	"sgflow/engine/figure"
	"sgflow/engine/record"
)

// replicas returns k seeds for every seed s of the lab, k·s … k·s+k−1: small networks
// are cheap and their luck is large. Labs that share no seed share no replica.
func replicas(l *Lab, k int) []uint64 {
	var list []uint64
	for _, s := range l.Seeds {
		for i := range k {
			list = append(list, uint64(k)*s+uint64(i))
		}
	}
	return list
}

// apply returns f of every value.
func apply(values []float64, f func(float64) float64) []float64 {
	list := make([]float64, len(values))
	for i, x := range values {
		list[i] = f(x)
	}
	return list
}

// logs returns the natural logarithms.
func logs(values []float64) []float64 { return apply(values, math.Log) }

// logRatios returns log(aᵢ/bᵢ), the pairs being of one seed.
func logRatios(a, b []float64) []float64 {
	list := make([]float64, len(a))
	for i := range a {
		list[i] = math.Log(a[i] / b[i])
	}
	return list
}

// differences returns aᵢ − bᵢ, the pairs being of one seed.
func differences(a, b []float64) []float64 {
	list := make([]float64, len(a))
	for i := range a {
		list[i] = a[i] - b[i]
	}
	return list
}

// spanOf says the mean of values with its 95 % interval: "0.8 (0.7 to 0.9)".
func spanOf(values []float64) string {
	low, high := Interval(values)
	return fmt.Sprintf("%.3g (%.3g to %.3g)", stat.Mean(values, nil), low, high)
}

// factorOf says the geometric mean with its 95 % interval of numbers whose logarithms
// are given.
func factorOf(logarithms []float64) string {
	low, high := Interval(logarithms)
	return fmt.Sprintf("%.3g (%.3g to %.3g)", math.Exp(stat.Mean(logarithms, nil)), math.Exp(low), math.Exp(high))
}

// spread is a series of means over seeds with their 95 % intervals: values[i] are
// those at x[i].
func spread(label string, x []float64, values [][]float64) figure.Series {
	s := figure.Series{Label: label, Line: true, Marks: true}
	for i := range x {
		p := figure.Point{X: x[i], Y: stat.Mean(values[i], nil)}
		if low, high := Interval(values[i]); finite(low) && finite(high) {
			p.Low, p.High = record.Some(low), record.Some(high)
		}
		s.Points = append(s.Points, p)
	}
	return s
}

// factorSpread is spread of positive values on a logarithmic scale: geometric means
// and their intervals.
func factorSpread(label string, x []float64, values [][]float64) figure.Series {
	list := make([][]float64, len(values))
	for i := range values {
		list[i] = logs(values[i])
	}
	s := spread(label, x, list)
	for i := range s.Points {
		p := &s.Points[i]
		p.Y = math.Exp(p.Y)
		for _, end := range []*record.Opt{&p.Low, &p.High} {
			if v, ok := end.Get(); ok {
				*end = record.Some(math.Exp(v))
			}
		}
	}
	return s
}

// above is the verdict on a part that holds where the values' mean is positive: by
// its 95 % interval, which decides nothing where it holds zero.
func above(values []float64) Verdict {
	switch low, high := Interval(values); {
	case low > 0:
		return Confirmed
	case high < 0:
		return Contradicted
	}
	return Undecided
}
