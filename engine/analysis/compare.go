package analysis

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"sgflow/engine/record"
)

// Goal is what runs are ranked by.
type Goal struct {
	Name  string
	Least bool // the least is best
	Of    func(*Run) record.Opt
}

// Goals are those of runs of a given length, the most wanted first.
var Goals = []Goal{
	{"test accuracy", false, func(r *Run) record.Opt { return r.Final.TestAccuracy }},
	{"test loss", true, func(r *Run) record.Opt { return r.Final.TestLoss }},
	{"training loss", true, func(r *Run) record.Opt { return r.Final.TrainLoss }},
}

// Ranked is a setting beside the best one.
type Ranked struct {
	Group    *Group
	Estimate Estimate
	// P is the probability, were both equally good, of a difference from the best
	// at least as large: a t-test paired by seed where at least two seeds are
	// shared, else Welch's. It is absent for the best, and where there are too few
	// runs to tell. Neither the choice of the best nor the number of tests is
	// corrected for.
	P record.Opt
}

// Significance is the P below which a setting counts as worse than the best.
const Significance = 0.05

// Equal reports whether the data cannot tell the setting from the best.
func (r *Ranked) Equal() bool {
	p, ok := r.P.Get()
	return !ok || p >= Significance
}

// Rank returns the settings with results, the best first, for the first of the
// goals that runs have. Settings of which a run did not end come last: their
// means are of the survivors.
func (p *Problem) Rank(goals ...Goal) (list []Ranked, goal Goal) {
	for _, goal = range goals {
		var whole, partial []Ranked
		for _, g := range p.Groups {
			e, ok := g.Mean(goal.Of)
			switch {
			case !ok:
			case len(g.Unfinished) > 0:
				partial = append(partial, Ranked{Group: g, Estimate: e})
			default:
				whole = append(whole, Ranked{Group: g, Estimate: e})
			}
		}
		for _, part := range [][]Ranked{whole, partial} {
			sortRanked(part, goal.Least)
			list = append(list, part...)
		}
		if len(list) == 0 {
			continue
		}
		for i := 1; i < len(list); i++ {
			list[i].P = equality(list[0].Group, list[i].Group, goal.Of)
		}
		return list, goal
	}
	return nil, goal
}

func sortRanked(list []Ranked, least bool) {
	slices.SortStableFunc(list, func(a, b Ranked) int {
		if least {
			return cmp.Compare(a.Estimate.Mean, b.Estimate.Mean)
		}
		return cmp.Compare(b.Estimate.Mean, a.Estimate.Mean)
	})
}

// equality returns the two-sided probability of a t-test between two groups.
func equality(a, b *Group, of func(*Run) record.Opt) record.Opt {
	var paired, xs, ys []float64
	for _, r := range a.Runs {
		if x, ok := of(r).Get(); ok {
			xs = append(xs, x)
			if s := withSeed(b.Runs, r.Seed); s != nil {
				if y, ok := of(s).Get(); ok {
					paired = append(paired, x-y)
				}
			}
		}
	}
	ys = present(b.Values(of))
	if len(paired) >= 2 {
		return pairedTest(paired)
	}
	return welchTest(xs, ys)
}

// pairedTest is Student's t-test of a mean difference of zero.
func pairedTest(d []float64) record.Opt {
	mean, deviation := stat.MeanStdDev(d, nil)
	return tTest(mean, deviation*deviation/float64(len(d)), float64(len(d)-1))
}

// welchTest is Welch's t-test of equal means (Welch 1947,
// doi:10.1093/biomet/34.1-2.28).
func welchTest(xs, ys []float64) record.Opt {
	if len(xs) < 2 || len(ys) < 2 {
		return record.Opt{}
	}
	mx, vx := stat.MeanVariance(xs, nil)
	my, vy := stat.MeanVariance(ys, nil)
	n, m := float64(len(xs)), float64(len(ys))
	a, b := vx/n, vy/m
	df := (a + b) * (a + b) / (a*a/(n-1) + b*b/(m-1))
	return tTest(mx-my, a+b, df)
}

func tTest(difference, variance, df float64) record.Opt {
	if variance == 0 {
		if difference == 0 {
			return record.Some(1)
		}
		return record.Some(0)
	}
	return some(twoSided(difference/math.Sqrt(variance), df))
}
