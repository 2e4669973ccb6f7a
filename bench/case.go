package bench

import (
	"runtime"

	"sgflow/data"
	"sgflow/engine/measure"
	"sgflow/engine/problem"
	"sgflow/engine/request"
)

// Case is one thing to time.
type Case struct {
	Device  string // cpu, cuda or cuda:N; empty is cpu
	Model   string // a preset or a spec, as package models reads it
	Batch   int    // samples a step
	Threads int    // of the processor; 0 is all cores
	Measure string // what is measured at every step, as measure.ParseSelection reads it; empty is none
	DType   string // problem.Float32 or problem.Float64; empty is problem.Float32
}

// setDefaults fills in what is left open.
func (c *Case) setDefaults() {
	if c.Device == "" {
		c.Device = cpu
	}
	if c.Threads == 0 {
		c.Threads = runtime.GOMAXPROCS(0)
	}
	if c.Measure == "" {
		c.Measure = "none"
	}
	if c.DType == "" {
		c.DType = problem.Float32
	}
}

// cpu is the processor's name.
const cpu = "cpu"

// open returns c with its defaults, and its problem on set. The error is a
// request.Error.
func (c Case) open(set *data.Set) (Case, *problem.Opened, error) {
	c.setDefaults()
	settings := problem.Default()
	settings.Device, settings.Model, settings.Threads, settings.DType, settings.Seed = c.Device, c.Model, c.Threads, c.DType, Seed
	if c.Batch < 1 || c.Batch > set.Train.N {
		return c, nil, request.BadValue("batch", c.Batch, "give 1 to %d, the samples that there are", set.Train.N)
	}
	if _, err := measure.ParseSelection(c.Measure); err != nil {
		return c, nil, request.Wrap(err)
	}
	p, err := settings.Open(problem.WithData(func(string) (*data.Set, error) { return set, nil }))
	if err == nil {
		c.Device = p.Device.Name
	}
	return c, p, err
}

// comparable reports whether c and d are timed in turns.
func (c *Case) comparable(d *Case) bool {
	return c.Model == d.Model && c.Batch == d.Batch && c.DType == d.DType
}

// Row is what was found for a case.
type Row struct {
	System           string  `json:"system"` // "sgflow"
	Device           string  `json:"device"` // "cpu", "cuda:0"
	Model            string  `json:"model"`
	Batch            int     `json:"batch"`
	Threads          int     `json:"threads"` // of the processor
	Measure          string  `json:"measure"`
	MSPerStep        float64 `json:"ms_per_step"` // median
	SamplesPerSecond float64 `json:"samples_per_second"`

	DType string `json:"dtype"`
	Steps int    `json:"steps"` // timed
	Warm  int    `json:"warm"`  // steps taken before, not timed
	// Spread is half the distance between the quartiles of the steps' times, as
	// a share of the median.
	Spread float64 `json:"spread"`
	// GFLOPS is 2·10⁻⁹ × the multiply-adds that the step's products and
	// convolutions need, by second; nothing else is counted.
	GFLOPS float64 `json:"gflops"`
	// PeakShare is GFLOPS as a share of [Peak] with the same number of threads;
	// absent for devices other than the processor.
	PeakShare float64 `json:"peak_share,omitempty"`
}
