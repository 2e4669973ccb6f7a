package report

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"sgflow/engine/record"
)

// Series is a run's log, thinned: means over bins of steps. Bins get longer with
// the steps, so that both the first steps and the last are seen.
type Series struct {
	Steps   column            `json:"steps"`   // in the middle of each bin, counted from 0
	Samples column            `json:"samples"` // seen before it
	Values  map[string]column `json:"values"`  // by the log's names
}

// column is numbers of which some may be missing: NaN, null in JSON, as is what is too
// large to be drawn. Five digits are written.
type column []float64

// MarshalJSON writes the numbers.
func (c column) MarshalJSON() ([]byte, error) {
	text := []byte{'['}
	for i, x := range c {
		if i > 0 {
			text = append(text, ',')
		}
		if !(math.Abs(x) <= 1e100) {
			text = append(text, "null"...)
			continue
		}
		text = strconv.AppendFloat(text, x, 'g', 5, 64)
	}
	return append(text, ']'), nil
}

var _ json.Marshaler = column(nil)

// bins is about the number of points of a series.
const bins = 160

// newSeries thins a log.
func newSeries(steps []record.Step) Series {
	edges := binEdges(len(steps))
	s := Series{Values: map[string]column{}}
	n := len(edges) - 1
	seen := 0
	for k := range n {
		bin := steps[edges[k]:edges[k+1]]
		before := seen
		sums := map[string][2]float64{}
		add := func(name string, x float64) {
			sum := sums[name]
			sums[name] = [2]float64{sum[0] + x, sum[1] + 1}
		}
		for i := range bin {
			p := &bin[i]
			add("loss", p.Loss)
			add("lr", p.LR)
			if x, ok := p.Accuracy.Get(); ok {
				add("accuracy", x)
			}
			for _, group := range []record.Numbers{p.Noise, p.Flatness} {
				for _, number := range group {
					add(number.Name, number.X)
				}
			}
			seen += p.Samples
		}
		s.Steps = append(s.Steps, float64(bin[0].Step+bin[len(bin)-1].Step)/2)
		s.Samples = append(s.Samples, float64(before+seen-bin[len(bin)-1].Samples)/2)
		ratio(sums)
		for name, sum := range sums {
			c, ok := s.Values[name]
			if !ok {
				c = slices.Repeat(column{math.NaN()}, n)
				s.Values[name] = c
			}
			c[k] = sum[0] / sum[1]
		}
	}
	return s
}

// ratio makes the noise scale of a bin the ratio of the bin's means, as the mean
// of ratios of which some do not exist is none.
func ratio(sums map[string][2]float64) {
	delete(sums, "noise_scale")
	v, okV := sums["grad_var_trace"]
	g, okG := sums["grad_norm_sq_unbiased"]
	if okV && okG && g[0] > 0 {
		sums["noise_scale"] = [2]float64{v[0] / v[1] * g[1] / g[0], 1}
	}
}

// binEdges cuts n steps into bins: half of the edges evenly spaced, half
// geometrically.
func binEdges(n int) []int {
	edges := []int{0, n}
	for i := range bins / 2 {
		share := float64(i) / (bins / 2)
		edges = append(edges, int(share*float64(n)), int(math.Pow(float64(n), share)))
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	for len(edges) > 0 && edges[len(edges)-1] > n {
		edges = edges[:len(edges)-1]
	}
	return edges
}
