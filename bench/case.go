package bench

import (
	"fmt"
	"runtime"

	"sgflow/engine/measure"
)

// The element types of a case.
const (
	Float32 = "float32"
	Float64 = "float64"
)

// Case is one thing to time.
type Case struct {
	Model   string // a preset or a spec, as package models reads it
	Batch   int    // samples a step
	Threads int    // 0 is all cores
	Measure string // what is measured at every step, as measure.ParseSelection reads it; empty is none
	DType   string // Float32 or Float64; empty is Float32
}

// setDefaults fills in what is left open.
func (c *Case) setDefaults() {
	if c.Threads == 0 {
		c.Threads = runtime.GOMAXPROCS(0)
	}
	if c.Measure == "" {
		c.Measure = "none"
	}
	if c.DType == "" {
		c.DType = Float32
	}
}

// validate names the first thing that is wrong whatever the data are.
func (c *Case) validate() error {
	switch {
	case c.Batch < 1:
		return fmt.Errorf("batch of %d samples: give 1 or more", c.Batch)
	case c.Threads < 0:
		return fmt.Errorf("%d threads: give 1 or more, or 0 for all cores", c.Threads)
	case c.DType != Float32 && c.DType != Float64:
		return fmt.Errorf("dtype %q: give %s or %s", c.DType, Float32, Float64)
	}
	_, err := measure.ParseSelection(c.Measure)
	return err
}

// comparable reports whether c and d are timed in turns.
func (c *Case) comparable(d *Case) bool {
	return c.Model == d.Model && c.Batch == d.Batch && c.DType == d.DType
}

// Row is what was found for a case.
type Row struct {
	System           string  `json:"system"` // "sgflow"
	Device           string  `json:"device"` // "cpu"
	Model            string  `json:"model"`
	Batch            int     `json:"batch"`
	Threads          int     `json:"threads"`
	Measure          string  `json:"measure"`
	MSPerStep        float64 `json:"ms_per_step"` // median
	SamplesPerSecond float64 `json:"samples_per_second"`

	DType string `json:"dtype"`
	Steps int    `json:"steps"` // timed
	// Spread is half the distance between the quartiles of the steps' times, as
	// a share of the median.
	Spread float64 `json:"spread"`
	// GFLOPS is 2·10⁻⁹ × the multiply-adds that the step's products and
	// convolutions need, by second; nothing else is counted.
	GFLOPS float64 `json:"gflops"`
	// PeakShare is GFLOPS as a share of [Peak] with the same number of threads.
	PeakShare float64 `json:"peak_share"`
}
