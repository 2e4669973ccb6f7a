package optim

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"sgflow/engine/nearest"
)

// batchAt is the schedule of batch sizes that lists them.
const batchAt = "at"

// batchSchedules lists the names of ParseBatchSchedule.
var batchSchedules = []string{Constant, StepDown, batchAt}

// BatchSchedule gives the batch size of every step: growing it instead of decaying
// the rate (Smith, Kindermans, Ying and Le 2018, arXiv:1711.00489). The zero value
// is a constant size.
type BatchSchedule struct {
	every  period  // of "step", zero for other schedules
	factor float64 // of "step"
	stages []stage // of "at", in their order
}

// period is a number of steps or of epochs.
type period struct {
	n      int
	epochs bool
}

// of returns which of the two counts p is in.
func (p period) of(step, epoch int) int {
	if p.epochs {
		return epoch
	}
	return step
}

// stage is a size from a step or an epoch on.
type stage struct {
	from period
	size int
}

// parsePeriod reads a whole number from least on, of epochs where it ends in an e.
func parsePeriod(text string, least int) (period, bool) {
	digits, epochs := strings.CutSuffix(text, "e")
	n, err := strconv.Atoi(digits)
	return period{n, epochs}, err == nil && n >= least
}

// ParseBatchSchedule reads a schedule of batch sizes:
//
//	constant         the size of the run
//	step:K:F         × F after every K steps; Ke counts epochs
//	at:K:B[:K:B…]    B from step K on; Ke is an epoch; both count from 0
//
// "" is constant. The error says what is wrong with which part; for an unknown name
// it gives the nearest.
func ParseBatchSchedule(text string) (s BatchSchedule, err error) {
	bad := func(form string, args ...any) (BatchSchedule, error) {
		return BatchSchedule{}, fmt.Errorf("optim: batch schedule %q: "+form, append([]any{text}, args...)...)
	}
	parts := strings.Split(text, ":")
	name, args := parts[0], parts[1:]
	switch name {
	case "", Constant:
		if len(args) > 0 {
			return bad("constant has no numbers")
		}
	case StepDown:
		if len(args) != 2 {
			return bad("write it as step:K:F, such as step:2e:2")
		}
		var ok bool
		if s.every, ok = parsePeriod(args[0], 1); !ok {
			return bad("period %q is no whole number from 1 on: write it as step:500:2 or, in epochs, step:2e:2", args[0])
		}
		if s.factor, err = strconv.ParseFloat(args[1], 64); err != nil || !(s.factor > 0) || math.IsInf(s.factor, 0) {
			return bad("factor %q is no number above 0", args[1])
		}
	case batchAt:
		if len(args) == 0 || len(args)%2 != 0 {
			return bad("write it as at:K:B, such as at:2e:128:4e:512")
		}
		for ; len(args) > 0; args = args[2:] {
			from, okFrom := parsePeriod(args[0], 0)
			size, okSize := parsePeriod(args[1], 1)
			switch {
			case !okFrom:
				return bad("%q is no whole number of steps or, with an e, epochs", args[0])
			case !okSize || size.epochs:
				return bad("batch %q is no whole number from 1 on", args[1])
			}
			if n := len(s.stages); n > 0 && (s.stages[n-1].from.epochs != from.epochs || s.stages[n-1].from.n >= from.n) {
				return bad("%s does not come after %s: list stages in their order, all in steps or all in epochs", args[0], s.stages[n-1].from)
			}
			s.stages = append(s.stages, stage{from, size.n})
		}
	default:
		return BatchSchedule{}, fmt.Errorf("optim: batch schedule %q is unknown: did you mean %q? (one of %s)",
			name, nearest.Name(name, batchSchedules), strings.Join(batchSchedules, ", "))
	}
	return s, nil
}

// String returns p as it is written.
func (p period) String() string {
	if p.epochs {
		return strconv.Itoa(p.n) + "e"
	}
	return strconv.Itoa(p.n)
}

// Varies reports whether sizes may differ from the run's.
func (s BatchSchedule) Varies() bool { return s.every.n > 0 || len(s.stages) > 0 }

// Size returns the batch size of a step in an epoch, both counted from 0, of a run
// whose batches have base samples, from 1 to most:
//
//	step   base·F^⌊t/K⌋, rounded
//	at     the size of the last stage that has begun, base before the first
//
// with t the step or the epoch. It is a pure function.
func (s BatchSchedule) Size(base, most, step, epoch int) int {
	size := float64(base)
	if s.every.n > 0 {
		size *= math.Pow(s.factor, float64(s.every.of(step, epoch)/s.every.n))
	}
	for _, stage := range s.stages {
		if stage.from.of(step, epoch) >= stage.from.n {
			size = float64(stage.size)
		}
	}
	return int(math.Round(max(1, min(size, float64(most)))))
}
