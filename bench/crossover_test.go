package bench

import (
	"math"
	"testing"
)

// line makes rows of a device whose step takes a + b·batch ms.
func line(device string, a, b, spread float64) (rows []Row) {
	for _, batch := range []int{1, 16, 64, 256, 1024} {
		rows = append(rows, Row{Device: device, Model: "mlp", Measure: "none", Batch: batch, MSPerStep: a + b*float64(batch), Spread: spread})
	}
	return rows
}

// The ratio of the two times is a power of the batch size, 8·batch^(−1/2), so the
// interpolation is exact: it is 1 at 64, and e^±0.1 at 64·e^∓0.2.
func TestCrossoverOfPowersIsExact(t *testing.T) {
	var rows []Row
	for _, batch := range []int{1, 10, 100, 1000} {
		rows = append(rows,
			Row{Device: "cpu", Model: "mlp", Measure: "none", Batch: batch, MSPerStep: float64(batch), Spread: 0.04},
			Row{Device: "cuda:0", Model: "mlp", Measure: "none", Batch: batch, MSPerStep: 8 * math.Sqrt(float64(batch)), Spread: 0.06},
			// More threads that are slower change nothing.
			Row{Device: "cpu", Model: "mlp", Measure: "none", Batch: batch, Threads: 8, MSPerStep: 3 * float64(batch), Spread: 0.5})
	}
	list := Crossovers(rows)
	if len(list) != 1 {
		t.Fatalf("%+v", list)
	}
	c := list[0]
	if c.Below != "cpu" || c.Above != "cuda:0" || c.Model != "mlp" || c.Measure != "none" {
		t.Errorf("%+v", c)
	}
	for what, x := range map[string][2]float64{
		"batch": {c.Batch, 64}, "from": {c.From, 64 * math.Exp(-0.2)}, "to": {c.To, 64 * math.Exp(0.2)},
	} {
		if math.Abs(x[0]-x[1]) > 1e-9*x[1] {
			t.Errorf("%s: %v, want %v", what, x[0], x[1])
		}
	}
}

// The device named first may be the one for large batches; the interval is then
// still From ≤ Batch ≤ To.
func TestCrossoverNamesWhoIsFaster(t *testing.T) {
	list := Crossovers(append(line("cuda:0", 2, 0.001, 0.01), line("cpu", 0.1, 0.02, 0.02)...))
	if len(list) != 1 || list[0].Below != "cpu" || list[0].Above != "cuda:0" {
		t.Fatalf("%+v", list)
	}
	c := list[0]
	if !(c.From < c.Batch && c.Batch < c.To) || c.Batch < 64 || c.Batch > 256 {
		t.Errorf("%+v; the lines cross at %v", c, 1.9/0.019)
	}
}

func TestNoCrossoverNamesTheFasterDevice(t *testing.T) {
	list := Crossovers(append(line("cpu", 1, 1, 0), line("cuda:0", 2, 2, 0)...))
	if len(list) != 1 || list[0] != (Crossover{Model: "mlp", Measure: "none", Above: "cpu"}) {
		t.Errorf("%+v", list)
	}
	if list := Crossovers(line("cpu", 1, 1, 0)); list != nil {
		t.Errorf("one device: %+v", list)
	}
}
