package reproduce

import (
	"context"
	"fmt"
	"math"
	"time"

	"sgflow/engine/page"
)

// Experiment is a published claim and how to check it.
type Experiment struct {
	Name    string // as on the command line: "edge-of-stability"
	Claim   string // in one sentence
	Source  string // authors, year, arXiv
	Paper   string // the paper's value and its setting
	Setting string // ours
	Differs string // how that differs from the paper's
	// Run measures. Its errors are the context's and what kept it from measuring; a
	// claim that does not hold is an outcome.
	Run func(ctx context.Context, l *Lab) (*Outcome, error)
}

// Verdict is what the measurements say of a claim.
type Verdict string

// The verdicts.
const (
	Confirmed    Verdict = "confirmed"
	Contradicted Verdict = "contradicted"
	Undecided    Verdict = "undecided" // too few or too noisy measurements to say either
)

// Outcome is what was found.
type Outcome struct {
	Verdict  Verdict
	Why      string // in one sentence: the criterion, and the numbers that decide by it
	Measured []Finding
	Charts   []page.Chart
	Tables   []page.Table
}

// Result is an outcome with what it is the outcome of.
type Result struct {
	Experiment *Experiment
	Outcome    *Outcome
	Quick      bool
	Seeds      []uint64
	Seconds    float64
}

// Check runs the experiment in the lab.
func (e *Experiment) Check(ctx context.Context, l *Lab) (*Result, error) {
	began := time.Now()
	o, err := e.Run(ctx, l)
	if err == nil {
		err = o.check()
	}
	if err != nil {
		return nil, fmt.Errorf("reproduce: %s: %w", e.Name, err)
	}
	return &Result{Experiment: e, Outcome: o, Quick: l.Quick, Seeds: l.Seeds, Seconds: time.Since(began).Seconds()}, nil
}

// check returns an error for an outcome that cannot be printed: a verdict without
// its reason or a number that is none.
func (o *Outcome) check() error {
	switch o.Verdict {
	case Confirmed, Contradicted, Undecided:
	default:
		return fmt.Errorf("verdict %q is none", o.Verdict)
	}
	if o.Why == "" || len(o.Measured) == 0 {
		return fmt.Errorf("the verdict %q has no reason or nothing was measured", o.Verdict)
	}
	for _, f := range o.Measured {
		if e, _ := f.Stderr.Get(); !finite(f.Mean) || !finite(e) {
			return fmt.Errorf("%s is %g ± %g", f.Name, f.Mean, e)
		}
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
