package analysis

import (
	"cmp"
	"fmt"
	"slices"

	"sgflow/engine/record"
)

// Problem holds the runs that can be compared: they differ in setting and seed
// alone.
type Problem struct {
	Fixed  []Field
	Params int
	Groups []*Group // by batch, rate, momentum, length
}

// Group holds the runs of one setting. Each has another seed.
type Group struct {
	Setting    Setting
	Runs       []*Run // that ended, by seed
	Unfinished []*Run // diverged, interrupted or under way
}

// GroupRuns sorts runs into problems, in the order of their first runs. Of runs
// of the same setting and seed, which are repetitions and no evidence, the first
// that ended is kept; notes say so.
func GroupRuns(runs []*Run) (problems []*Problem, notes []string) {
	for _, run := range runs {
		problem := find(&problems, func(p *Problem) bool { return slices.Equal(p.Fixed, run.Fixed) })
		if problem.Fixed == nil {
			problem.Fixed, problem.Params = run.Fixed, run.Params
		}
		group := find(&problem.Groups, func(g *Group) bool { return g.Setting == run.Setting })
		group.Setting = run.Setting
		list := &group.Runs
		if !run.Ended {
			list = &group.Unfinished
		}
		if same := withSeed(*list, run.Seed); same != nil {
			notes = append(notes, fmt.Sprintf("%s repeats the setting and the seed of %s: left out", run.Name, same.Name))
			continue
		}
		*list = append(*list, run)
	}
	for _, p := range problems {
		for _, g := range p.Groups {
			g.Unfinished = slices.DeleteFunc(g.Unfinished, func(r *Run) bool { return withSeed(g.Runs, r.Seed) != nil })
			for _, list := range [][]*Run{g.Runs, g.Unfinished} {
				slices.SortFunc(list, func(a, b *Run) int { return cmp.Compare(a.Seed, b.Seed) })
			}
		}
		slices.SortFunc(p.Groups, func(a, b *Group) int { return a.Setting.compare(b.Setting) })
	}
	return problems, notes
}

// find returns the first item of the list for which f holds, or a new one.
func find[T any](list *[]*T, f func(*T) bool) *T {
	if i := slices.IndexFunc(*list, f); i >= 0 {
		return (*list)[i]
	}
	item := new(T)
	*list = append(*list, item)
	return item
}

func withSeed(runs []*Run, seed uint64) *Run {
	for _, r := range runs {
		if r.Seed == seed {
			return r
		}
	}
	return nil
}

func (s Setting) compare(o Setting) int {
	return cmp.Or(cmp.Compare(s.Batch, o.Batch), cmp.Compare(s.LR, o.LR), cmp.Compare(s.Momentum, o.Momentum),
		cmp.Compare(s.Epochs, o.Epochs), cmp.Compare(s.Steps, o.Steps))
}

// Values returns f of each run.
func (g *Group) Values(f func(*Run) record.Opt) []record.Opt {
	list := make([]record.Opt, len(g.Runs))
	for i, r := range g.Runs {
		list[i] = f(r)
	}
	return list
}

// Mean returns the mean of f over the runs; it reports whether there is one.
func (g *Group) Mean(f func(*Run) record.Opt) (Estimate, bool) { return MeanOf(g.Values(f)) }

// NoiseScale returns the noise scale in a phase: the ratio of the means of tr Σ
// and |G|² over the runs.
func (g *Group) NoiseScale(phase int) (Estimate, bool) {
	return RatioOf(g.Values(In(phase, "grad_var_trace")), g.Values(In(phase, "grad_norm_sq_unbiased")))
}

// Batches returns the batch sizes of the problem, ascending.
func (p *Problem) Batches() []int {
	var list []int
	for _, g := range p.Groups {
		list = append(list, g.Setting.Batch)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
