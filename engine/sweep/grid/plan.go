package grid

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"

	"sgflow/engine/train"
)

// Request is what a sweep is asked for.
type Request struct {
	// Axes are the values of settings, by name; a setting with one value is
	// the same for all runs, and one without has its default.
	Axes map[string][]string
	// Runs are runs of their own: settings by name, on top of the axes with
	// one value. Where there are any, no axis has more.
	Runs []map[string]string
	// Seeds is a number of seeds, counted up from the setting seed; 0 for
	// those that Axes have.
	Seeds int
	// ScaleLR scales the rate with the batch size: "" not, Linear or Sqrt. The
	// rate asked for is that of batches of ScaleBatch samples.
	ScaleLR    string
	ScaleBatch int
}

// The rules of ScaleLR: the rate grows as the batch size (Goyal et al. 2017,
// arXiv:1706.02677), or as its square root (Krizhevsky 2014, arXiv:1404.5997).
const (
	Linear = "linear"
	Sqrt   = "sqrt"
)

// Plan returns the configurations of the runs, in the order of the grid: the
// first setting changes slowest, the seed fastest. A run that comes twice is
// there once. Whether training can do what they ask for is for train.Check to
// say.
func (r *Request) Plan() ([]train.Config, error) {
	base, axes, err := r.axes()
	if err != nil {
		return nil, err
	}
	if r.ScaleLR != "" && r.ScaleLR != Linear && r.ScaleLR != Sqrt {
		return nil, fmt.Errorf("--scale-lr %s: give %s or %s", r.ScaleLR, Linear, Sqrt)
	}
	if r.ScaleLR != "" && r.ScaleBatch < 1 {
		return nil, fmt.Errorf("--scale-batch %d: give 1 or more", r.ScaleBatch)
	}
	total := 1
	for _, a := range axes {
		if total *= len(a.values); total > Most {
			return nil, fmt.Errorf("the grid has more than %d runs: make it coarser", Most)
		}
	}
	seen := map[string]bool{}
	var plan []train.Config
	choice := make([]int, len(axes))
	for {
		c := base
		for i, a := range axes {
			for _, s := range a.values[choice[i]] {
				if err := Set(&c, s.name, s.value); err != nil {
					return nil, err
				}
			}
		}
		switch r.ScaleLR {
		case Linear:
			c.LR *= float64(c.Batch) / float64(r.ScaleBatch)
		case Sqrt:
			c.LR *= math.Sqrt(float64(c.Batch) / float64(r.ScaleBatch))
		}
		if id := ID(c); !seen[id] {
			seen[id] = true
			plan = append(plan, c)
		}
		if !advance(choice, axes) {
			return plan, nil
		}
	}
}

// setting is a value of a setting.
type setting struct{ name, value string }

// axis is a side of the grid: what its places set.
type axis struct{ values [][]setting }

// advance goes to the next place of the grid, the last axis first, and reports
// whether there is one.
func advance(choice []int, axes []axis) bool {
	for i := len(axes) - 1; i >= 0; i-- {
		if choice[i]++; choice[i] < len(axes[i].values) {
			return true
		}
		choice[i] = 0
	}
	return false
}

// axes returns what all runs have, and the sides of the grid in their order.
func (r *Request) axes() (base train.Config, axes []axis, err error) {
	base = train.Default()
	for name := range r.Axes {
		if _, err := field(&base, name); err != nil {
			return base, nil, err
		}
	}
	names := Settings()
	seed := slices.Index(names, "seed")
	for _, name := range append(slices.Delete(names, seed, seed+1), "seed") {
		values, ok := r.Axes[name]
		switch {
		case !ok:
		case len(values) == 0:
			return base, nil, fmt.Errorf("--%s has no values: a grid without them is empty", name)
		case len(values) == 1:
			if err := Set(&base, name, values[0]); err != nil {
				return base, nil, err
			}
		case len(r.Runs) > 0:
			return base, nil, fmt.Errorf("--%s has %d values beside a list of runs: give one, or no list", name, len(values))
		default:
			var a axis
			for _, v := range values {
				a.values = append(a.values, []setting{{name, v}})
			}
			axes = append(axes, a)
		}
	}
	if len(r.Runs) > 0 {
		var a axis
		for _, run := range r.Runs {
			var place []setting
			for name, value := range run {
				place = append(place, setting{name, value})
			}
			a.values = append(a.values, place)
		}
		axes = append(axes, a)
	}
	return r.seeds(base, axes)
}

// seeds adds the axis of seeds that Seeds asks for.
func (r *Request) seeds(base train.Config, axes []axis) (train.Config, []axis, error) {
	switch {
	case r.Seeds < 0 || r.Seeds > Most:
		return base, nil, fmt.Errorf("--seeds %d: give a number from 1 to %d", r.Seeds, Most)
	case r.Seeds == 0:
		return base, axes, nil
	case len(r.Axes["seed"]) > 1:
		return base, nil, errors.New("--seeds counts up from one --seed: give one, or the list without --seeds")
	case base.Seed > math.MaxUint64-uint64(r.Seeds):
		return base, nil, fmt.Errorf("--seed %d leaves no room for %d seeds above it", base.Seed, r.Seeds)
	}
	var a axis
	for i := range r.Seeds {
		a.values = append(a.values, []setting{{"seed", fmt.Sprint(base.Seed + uint64(i))}})
	}
	return base, append(axes, a), nil
}

// Canonical returns c without what results do not depend on: where it is
// logged, by how many threads, and how often it is saved.
func Canonical(c train.Config) train.Config {
	c.Out, c.Threads, c.CheckpointEvery = "", 0, train.Default().CheckpointEvery
	return c
}

// ID names a run by its configuration: the first 16 hexadecimal digits of the
// SHA-256 of those settings of its canonical form that differ from the
// defaults, so that a setting that is new in a later version changes no id.
func ID(c train.Config) string {
	c = Canonical(c)
	v, usual := reflect.ValueOf(&c).Elem(), defaults()
	var text strings.Builder
	for _, f := range fields() {
		x := v.FieldByIndex(f.Index)
		if !x.Equal(usual.FieldByIndex(f.Index)) {
			fmt.Fprintf(&text, "%s=%q\n", f.Tag.Get("json"), fmt.Sprint(x.Interface()))
		}
	}
	sum := sha256.Sum256([]byte(text.String()))
	return hex.EncodeToString(sum[:8])
}

// fields are the fields of a configuration that are settings, and defaults is
// the default configuration.
var (
	fields = sync.OnceValue(func() (list []reflect.StructField) {
		for _, f := range reflect.VisibleFields(reflect.TypeFor[train.Config]()) {
			if f.Tag.Get("json") != "" {
				list = append(list, f)
			}
		}
		return list
	})
	defaults = sync.OnceValue(func() reflect.Value {
		c := train.Default()
		return reflect.ValueOf(&c).Elem()
	})
)
