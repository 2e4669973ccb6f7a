package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/flow"
	"sgflow/engine/nearest"
)

// Kind is what moves a path.
type Kind string

// The kinds.
const (
	SGD          Kind = "sgd"
	Descent      Kind = "descent"
	GradientFlow Kind = "gradient-flow"
	SDE          Kind = "sde"
	SVAG         Kind = "svag"
	Langevin     Kind = "langevin"
)

// Spec is a path: what moves it, and how.
type Spec struct {
	Name        string        `json:"name"` // as it was asked for
	Kind        Kind          `json:"kind"`
	LR          float64       `json:"lr,omitempty"`
	Batch       int           `json:"batch,omitempty"` // 0 is all samples
	Sampling    data.Sampling `json:"sampling,omitempty"`
	Noise       flow.Noise    `json:"noise,omitempty"`
	Order       int           `json:"order,omitempty"`
	Steps       int           `json:"steps,omitempty"` // of Euler and Maruyama for one of SGD
	L           int           `json:"l,omitempty"`
	Temperature float64       `json:"temperature,omitempty"`
	Tolerance   float64       `json:"tolerance,omitempty"`
}

// kinds are the options that each kind has, and its short forms.
var kinds = []struct {
	name    string
	kind    Kind
	noise   flow.Noise // of a short form of sde
	options []string
}{
	{name: "sgd", kind: SGD, options: []string{"batch", "lr", "sampling"}},
	{name: "descent", kind: Descent, options: []string{"lr"}},
	{name: "gradient-flow", kind: GradientFlow, options: []string{"tolerance"}},
	{name: "sde", kind: SDE, options: []string{"batch", "lr", "noise", "order", "steps"}},
	{name: "sde-full", kind: SDE, noise: flow.Full, options: []string{"batch", "lr", "order", "steps"}},
	{name: "sde-diagonal", kind: SDE, noise: flow.Diagonal, options: []string{"batch", "lr", "order", "steps"}},
	{name: "sde-isotropic", kind: SDE, noise: flow.Isotropic, options: []string{"batch", "lr", "order", "steps"}},
	{name: "svag", kind: SVAG, options: []string{"batch", "lr", "l"}},
	{name: "langevin", kind: Langevin, options: []string{"batch", "lr", "temperature"}},
}

func kindNames() []string {
	var list []string
	for _, k := range kinds {
		list = append(list, k.name)
	}
	return list
}

// defaultSteps is into how many steps an equation with a drift of second order is
// divided, whose correction a single step's own error is as large as.
const defaultSteps = 4

// ParsePaths reads the paths of a list such as
//
//	sgd, descent, gradient-flow
//	sgd:batch=32,lr=0.1; svag:l=4; sde:noise=diagonal,order=2; langevin:temperature=1e-4
//
// Paths are separated by semicolons or commas; a part with = belongs to the path
// before. Rate, batch and sampling are c's where they are not given.
func (c *Config) ParsePaths() ([]Spec, error) {
	var specs []Spec
	var options []map[string]string
	for _, part := range strings.FieldsFunc(c.Paths, func(r rune) bool { return r == ';' || r == ',' }) {
		part = strings.TrimSpace(part)
		head, option, _ := strings.Cut(part, ":")
		if strings.Contains(head, "=") { // an option of the path before
			if len(specs) == 0 {
				return nil, fmt.Errorf("%q comes before any path", part)
			}
			option, head = part, ""
		}
		if head = strings.TrimSpace(head); head != "" {
			if !slices.Contains(kindNames(), head) {
				return nil, fmt.Errorf("no path is called %q: did you mean %s? There are %s", head, nearest.Name(head, kindNames()), strings.Join(kindNames(), ", "))
			}
			specs = append(specs, Spec{Name: head})
			options = append(options, map[string]string{"": head})
		}
		if option = strings.TrimSpace(option); option == "" {
			continue
		}
		name, value, ok := strings.Cut(option, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fmt.Errorf("%q: options are name=value", option)
		}
		last := len(specs) - 1
		if _, twice := options[last][name]; twice {
			return nil, fmt.Errorf("%s has %s twice", specs[last].Name, name)
		}
		options[last][name] = strings.TrimSpace(value)
		sep := ","
		if len(options[last]) == 2 {
			sep = ":"
		}
		specs[last].Name += sep + name + "=" + strings.TrimSpace(value)
	}
	if len(specs) == 0 {
		return nil, fmt.Errorf("there is no path: give some of %s", strings.Join(kindNames(), ", "))
	}
	names := map[string]bool{}
	for i := range specs {
		if err := c.complete(&specs[i], options[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", specs[i].Name, err)
		}
		if names[specs[i].Name] {
			return nil, fmt.Errorf("%s is there twice", specs[i].Name)
		}
		names[specs[i].Name] = true
	}
	return specs, nil
}

// complete sets what the options say, and the rest to what c says.
func (c *Config) complete(s *Spec, options map[string]string) error {
	k := kinds[slices.Index(kindNames(), options[""])]
	s.Kind, s.Noise = k.kind, k.noise
	for name := range options {
		if name != "" && !slices.Contains(k.options, name) {
			return fmt.Errorf("no option is called %q: did you mean %s? There are %s", name, nearest.Name(name, k.options), strings.Join(k.options, ", "))
		}
	}
	takes := func(name string) bool { return slices.Contains(k.options, name) }
	if takes("lr") {
		s.LR = c.LR
	}
	if takes("batch") {
		s.Batch = c.Batch
	}
	if takes("sampling") {
		s.Sampling = data.Sampling(c.Sampling)
	}
	if k.kind == SDE {
		s.Order = 1
		if s.Noise == "" {
			s.Noise = flow.Full
		}
	}
	if k.kind == SVAG {
		s.L = 2
	}
	for name, value := range options {
		if err := s.set(name, value); err != nil {
			return err
		}
	}
	if _, given := options["steps"]; k.kind == SDE && !given {
		s.Steps = 1
		if s.Order == 2 {
			s.Steps = defaultSteps
		}
	}
	if _, given := options["temperature"]; k.kind == Langevin && !given {
		return fmt.Errorf("give its temperature, as in langevin:temperature=1e-4 (1/N is that of the posterior)")
	}
	return s.validate()
}

// set gives an option its value.
func (s *Spec) set(name, value string) (err error) {
	switch name {
	case "lr":
		s.LR, err = strconv.ParseFloat(value, 64)
	case "temperature":
		s.Temperature, err = strconv.ParseFloat(value, 64)
	case "tolerance":
		s.Tolerance, err = strconv.ParseFloat(value, 64)
	case "batch":
		if value == "full" {
			s.Batch = 0
			break
		}
		s.Batch, err = strconv.Atoi(value)
	case "order":
		s.Order, err = strconv.Atoi(value)
	case "steps":
		s.Steps, err = strconv.Atoi(value)
	case "l":
		s.L, err = strconv.Atoi(value)
	case "noise":
		s.Noise = flow.Noise(value)
	case "sampling":
		s.Sampling = data.Sampling(value)
	}
	if err != nil {
		return fmt.Errorf("%s %q is no number", name, value)
	}
	return nil
}

// validate checks what does not depend on the data.
func (s *Spec) validate() error {
	positive := func(x float64) bool { return x > 0 && !math.IsInf(x, 0) }
	switch {
	case s.Kind != GradientFlow && !positive(s.LR):
		return fmt.Errorf("lr %v: give a number above 0", s.LR)
	case s.Batch < 0 || s.Batch == 0 && (s.Kind == SGD || s.Kind == SDE || s.Kind == SVAG):
		return fmt.Errorf("batch %d: give 1 or more", s.Batch)
	case s.Kind == SGD && s.Sampling != data.Shuffle && s.Sampling != data.Replacement:
		return fmt.Errorf("sampling %q: did you mean %s? There are %s and %s", s.Sampling,
			nearest.Name(string(s.Sampling), []string{string(data.Shuffle), string(data.Replacement)}), data.Shuffle, data.Replacement)
	case s.Kind == SDE && !slices.Contains(flow.Noises, string(s.Noise)):
		return fmt.Errorf("noise %q: did you mean %s? There are %s", s.Noise, nearest.Name(string(s.Noise), flow.Noises), strings.Join(flow.Noises, ", "))
	case s.Kind == SDE && s.Order != 1 && s.Order != 2:
		return fmt.Errorf("order %d: give 1 or 2", s.Order)
	case s.Kind == SDE && s.Steps < 1:
		return fmt.Errorf("steps %d: give 1 or more", s.Steps)
	case s.Kind == SVAG && s.L < 1:
		return fmt.Errorf("l %d: give 1 or more", s.L)
	case s.Kind == Langevin && (!(s.Temperature >= 0) || math.IsInf(s.Temperature, 0)):
		return fmt.Errorf("temperature %v: give a number from 0 on", s.Temperature)
	case !(s.Tolerance >= 0 && s.Tolerance < 1):
		return fmt.Errorf("tolerance %v: give a number between 0 and 1", s.Tolerance)
	}
	return nil
}

// Length returns the time that a step takes; 0 where it is the path's own choice.
func (s *Spec) Length() float64 {
	switch s.Kind {
	case GradientFlow:
		return 0
	case SDE:
		return s.LR / float64(s.Steps)
	case SVAG:
		return s.LR / float64(s.L)
	}
	return s.LR
}

// Random reports whether the path depends on the seed.
func (s *Spec) Random() bool {
	return s.Kind != Descent && s.Kind != GradientFlow && !(s.Kind == SDE && s.Noise == flow.NoNoise)
}

// heat returns the temperature 𝒯 of Langevin dynamics whose noise has the trace of
// the path's at a point where tr Σ is trace, in dim dimensions: √(2η𝒯)z in a step
// of length η. Of noise √(η/B)Σ^½ it is η tr Σ/(2BP).
func (s *Spec) heat(trace float64, dim int) float64 {
	if !s.Random() {
		return 0
	}
	heat := s.Temperature
	if s.Batch > 0 {
		heat += s.LR * trace / (2 * float64(s.Batch) * float64(dim))
	}
	return heat
}

// open returns the path from start.
func open[T engine.Float](s *Spec, on flow.Surface[T], start []T, first float64, seed uint64) (flow.Path[T], error) {
	switch s.Kind {
	case SGD:
		return flow.NewSGD(on, start, flow.SGDConfig{Rate: s.LR, Batch: s.Batch, Sampling: s.Sampling, Seed: seed})
	case Descent:
		return flow.NewDescent(on, start, s.LR)
	case GradientFlow:
		return flow.NewGradientFlow(on, start, first, s.Tolerance)
	case SDE:
		return flow.NewDiffusion(on, start, flow.DiffusionConfig{Rate: s.LR, Batch: s.Batch, Noise: s.Noise, Order: s.Order, Divide: s.Steps, Seed: seed})
	case SVAG:
		return flow.NewSVAG(on, start, flow.SVAGConfig{Rate: s.LR, Batch: s.Batch, L: s.L, Seed: seed})
	}
	return flow.NewLangevin(on, start, flow.LangevinConfig{Rate: s.LR, Batch: s.Batch, Temperature: s.Temperature, Seed: seed})
}
