package optim

import (
	"fmt"
	"strconv"
	"strings"

	"sgflow/engine/nearest"
)

// ParseSchedule reads a schedule: its name and, after colons, its numbers, of
// which those in brackets may be left out.
//
//	constant
//	step:K:F                          × F after every K steps; K with an e
//	                                  (step:30e:0.1) counts epochs
//	cosine[:FINAL]                    half a cosine down to FINAL × base (0)
//	linear[:FINAL]                    straight down to FINAL × base (0)
//	one-cycle[:PEAK[:DIV[:FINALDIV]]] up from base/DIV (25) for the share PEAK
//	                                  of the run (0.3), down to
//	                                  base/(DIV·FINALDIV) (10,000)
//
// The error says what is wrong with which part and what would be right; for
// an unknown name it gives the nearest. Warmup and StepsPerEpoch are left 0.
func ParseSchedule(text string) (Schedule, error) {
	name, rest, hasRest := strings.Cut(strings.TrimSpace(text), ":")
	var args []string
	if hasRest {
		args = strings.Split(rest, ":")
	}
	s := Schedule{Name: name}
	var err error
	switch name {
	case Constant:
		err = s.parse(args, "constant", 0)
	case StepDown:
		if len(args) > 0 {
			args[0], s.EveryEpochs = strings.CutSuffix(args[0], "e")
			if s.Every, err = strconv.Atoi(args[0]); err != nil {
				return Schedule{}, fmt.Errorf("optim: schedule %q: period %q is not a whole number: write it as step:30:0.1 or, in epochs, step:30e:0.1", text, args[0])
			}
			args = args[1:]
		}
		err = s.parse(args, "step:K:F, such as step:30e:0.1", 1, &s.Factor)
	case Cosine:
		err = s.parse(args, "cosine or cosine:FINAL, such as cosine:0.01", 0, &s.Final)
	case Linear:
		err = s.parse(args, "linear or linear:FINAL, such as linear:0.01", 0, &s.Final)
	case OneCycle:
		s.Peak, s.Div, s.FinalDiv = s.oneCycle()
		err = s.parse(args, "one-cycle or one-cycle:PEAK:DIV:FINALDIV, such as one-cycle:0.3:25:10000", 0, &s.Peak, &s.Div, &s.FinalDiv)
		if err == nil && (s.Peak == 0 || s.Div == 0 || s.FinalDiv == 0) {
			err = fmt.Errorf("optim: schedule %q: its numbers must be above 0", text)
		}
	default:
		return Schedule{}, unknownSchedule(name)
	}
	if err == nil {
		err = s.validateShape()
	}
	if err != nil {
		return Schedule{}, err
	}
	return s, nil
}

// parse reads args into the numbers at into, of which the first need must be
// there; form is how the schedule is written.
func (s Schedule) parse(args []string, form string, need int, into ...*float64) error {
	switch {
	case len(args) < need:
		return fmt.Errorf("optim: schedule %s lacks a number: write it as %s", s.Name, form)
	case len(args) > len(into):
		return fmt.Errorf("optim: schedule %s has too many numbers: write it as %s", s.Name, form)
	}
	for i, arg := range args {
		x, err := strconv.ParseFloat(arg, 64)
		if err != nil {
			return fmt.Errorf("optim: schedule %s: %q is not a number: write it as %s", s.Name, arg, form)
		}
		*into[i] = x
	}
	return nil
}

func unknownSchedule(name string) error {
	return fmt.Errorf("optim: schedule %q is unknown: did you mean %q? (one of %s)",
		name, nearest.Name(name, schedules), strings.Join(schedules, ", "))
}

// String returns the schedule as ParseSchedule reads it; Warmup and
// StepsPerEpoch are no part of that text.
func (s Schedule) String() string {
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	switch s.name() {
	case StepDown:
		unit := ""
		if s.EveryEpochs {
			unit = "e"
		}
		return fmt.Sprintf("step:%d%s:%s", s.Every, unit, number(s.Factor))
	case Cosine, Linear:
		if s.Final != 0 {
			return s.Name + ":" + number(s.Final)
		}
	case OneCycle:
		peak, div, finalDiv := s.oneCycle()
		return strings.Join([]string{s.Name, number(peak), number(div), number(finalDiv)}, ":")
	}
	return s.name()
}
