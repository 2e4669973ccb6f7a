package bench

import (
	"cmp"
	"math"
	"slices"
)

// Crossover says from which batch size on one device is faster than another, for
// a model and a measure, each at its best number of threads.
type Crossover struct {
	Model   string `json:"model"`
	Measure string `json:"measure"`
	Below   string `json:"below"` // the device that is faster at smaller batches
	Above   string `json:"above"` // and at larger ones; one of them is empty where the other is faster at all that were timed
	// Batch is interpolated between the two sizes where the order of the median
	// times changes, their ratio taken for a power of the batch size. From and To are where
	// it would be if one device were faster by the spreads of both, or
	// slower; 0 where that is outside of what was timed.
	Batch float64 `json:"batch,omitempty"`
	From  float64 `json:"from,omitempty"`
	To    float64 `json:"to,omitempty"`
}

// Crossovers compares every device of the rows with the first one.
func Crossovers(rows []Row) []Crossover {
	type subject struct{ model, measure, device string }
	best := map[subject][]Row{}
	var order []subject
	var devices []string
	for _, r := range rows {
		if !slices.Contains(devices, r.Device) {
			devices = append(devices, r.Device)
		}
		key := subject{r.Model, r.Measure, r.Device}
		if best[key] == nil {
			order = append(order, key)
		}
		at := slices.IndexFunc(best[key], func(q Row) bool { return q.Batch == r.Batch })
		switch {
		case at < 0:
			best[key] = append(best[key], r)
		case r.MSPerStep < best[key][at].MSPerStep:
			best[key][at] = r
		}
	}
	var list []Crossover
	for _, key := range order {
		if key.device == devices[0] {
			continue
		}
		one, other := best[subject{key.model, key.measure, devices[0]}], best[key]
		if c, ok := crossover(one, other); ok {
			c.Model, c.Measure = key.model, key.measure
			list = append(list, c)
		}
	}
	return list
}

// crossover compares two devices; ok is false where they share no batch size.
func crossover(one, other []Row) (c Crossover, ok bool) {
	type point struct{ batch, gain, spread float64 } // gain is ln(ms of one/ms of the other)
	var points []point
	for _, a := range one {
		for _, b := range other {
			if a.Batch == b.Batch {
				points = append(points, point{math.Log(float64(a.Batch)), math.Log(a.MSPerStep / b.MSPerStep), a.Spread + b.Spread})
			}
		}
	}
	if len(points) == 0 {
		return c, false
	}
	slices.SortFunc(points, func(p, q point) int { return cmp.Compare(p.batch, q.batch) })
	// zero returns where the gain, moved by so many spreads, changes sign last.
	zero := func(shift float64) float64 {
		for i := len(points) - 1; i > 0; i-- {
			p, q := points[i-1], points[i]
			y0, y1 := p.gain+shift*p.spread, q.gain+shift*q.spread
			if y0 < 0 != (y1 < 0) {
				return math.Exp(p.batch + (q.batch-p.batch)*y0/(y0-y1))
			}
		}
		return 0
	}
	a, b := one[0].Device, other[0].Device
	last := points[len(points)-1].gain
	if last < 0 {
		a, b = b, a
	}
	if c.Batch = zero(0); c.Batch == 0 {
		return Crossover{Above: b}, true
	}
	c.Below, c.Above = a, b
	c.From, c.To = zero(1), zero(-1)
	if last < 0 {
		c.From, c.To = c.To, c.From
	}
	return c, true
}
