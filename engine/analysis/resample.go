package analysis

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// observation is a run's value y at x, the abscissa of its group.
type observation struct {
	x, y float64
	seed uint64
}

// cell is the mean of the observations at one x; weight is their number.
type cell struct{ x, mean, weight float64 }

// Method says where the errors of a fit come from.
type Method string

// The methods.
const (
	// Seeds: whole seeds are resampled, as runs of one seed share their initial
	// weights and so their luck at every setting.
	Seeds Method = "bootstrap over seeds"
	// Runs: seeds differ from setting to setting, so runs are resampled within
	// each.
	Runs Method = "bootstrap over the runs of each setting"
	// Residuals: a single run a setting, so that what the curve misses must pass
	// for noise.
	Residuals Method = "residuals of the fit, as no setting has two runs"
)

// sample is a set of observations ready to be resampled.
type sample struct {
	cells  [][]observation // by x, ascending
	seeds  []uint64
	method Method
	// df are the degrees of freedom of a resampled standard error; inflate is
	// √(n/(n−1)), by which the bootstrap's spread of means of n is too small.
	df      int
	inflate float64
}

// newSample sorts observations into cells and chooses the method.
func newSample(list []observation) *sample {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b observation) int {
		switch {
		case a.x != b.x:
			return compare(a.x, b.x)
		case a.seed != b.seed:
			return compare(a.seed, b.seed)
		}
		return compare(a.y, b.y)
	})
	s := &sample{method: Residuals}
	seen := map[uint64]bool{}
	pairs := 0 // of cell and seed
	for i, o := range list {
		fresh := i == 0 || o.x != list[i-1].x
		if fresh {
			s.cells = append(s.cells, nil)
		}
		if fresh || o.seed != list[i-1].seed {
			pairs++
		}
		last := len(s.cells) - 1
		s.cells[last] = append(s.cells[last], o)
		if !seen[o.seed] {
			seen[o.seed] = true
			s.seeds = append(s.seeds, o.seed)
		}
	}
	slices.Sort(s.seeds)
	least := math.MaxInt
	for _, c := range s.cells {
		least = min(least, len(c))
	}
	// A design of settings by seeds may have gaps, where runs failed.
	const filled = 0.75
	switch n := len(s.seeds); {
	case n > 1 && float64(pairs) >= filled*float64(n*len(s.cells)):
		s.method, s.df, s.inflate = Seeds, n-1, inflation(n)
	case len(s.cells) > 0 && least > 1:
		s.method, s.df, s.inflate = Runs, len(list)-len(s.cells), inflation(least)
	}
	return s
}

func inflation(n int) float64 { return math.Sqrt(float64(n) / float64(n-1)) }

func compare[T float64 | uint64](a, b T) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// means returns the cells with each observation counted as often as weight says.
// A cell without any is left out.
func (s *sample) means(weight func(cell, i int, o observation) float64) []cell {
	list := make([]cell, 0, len(s.cells))
	for k, observations := range s.cells {
		c := cell{x: observations[0].x}
		for i, o := range observations {
			w := weight(k, i, o)
			c.weight += w
			c.mean += w * o.y
		}
		if c.weight > 0 {
			c.mean /= c.weight
			list = append(list, c)
		}
	}
	return list
}

// all returns the cells as they are.
func (s *sample) all() []cell {
	return s.means(func(int, int, observation) float64 { return 1 })
}

// replicates is the number of bootstrap replicates: the standard error of a
// standard error is then 1/√(2·1000) = 2 % of it.
const replicates = 1000

// stderrs returns the bootstrap standard errors of the statistics that f
// computes from cells. A replicate for which f reports false is left out; the
// result is nil where more than a fifth are, or the method is Residuals.
func (s *sample) stderrs(f func([]cell) ([]float64, bool)) []float64 {
	if s.method == Residuals {
		return nil
	}
	source := rand.New(rand.NewPCG(1, 2)) // the same report for the same runs
	var values [][]float64
	for range replicates {
		if v, ok := f(s.replicate(source)); ok {
			if values == nil {
				values = make([][]float64, len(v))
			}
			for i, x := range v {
				values[i] = append(values[i], x)
			}
		}
	}
	if values == nil || len(values[0]) < replicates*4/5 {
		return nil
	}
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = s.inflate * stat.StdDev(v, nil)
	}
	return out
}

// replicate draws a bootstrap replicate.
func (s *sample) replicate(source *rand.Rand) []cell {
	if s.method == Seeds {
		count := map[uint64]float64{}
		for range s.seeds {
			count[s.seeds[source.IntN(len(s.seeds))]]++
		}
		return s.means(func(_, _ int, o observation) float64 { return count[o.seed] })
	}
	counts := make([][]float64, len(s.cells))
	for k, c := range s.cells {
		counts[k] = make([]float64, len(c))
		for range c {
			counts[k][source.IntN(len(c))]++
		}
	}
	return s.means(func(k, i int, _ observation) float64 { return counts[k][i] })
}

// pureError returns the sum of squares within cells and its degrees of freedom:
// what no curve through the cells could explain. Where seeds are shared between
// cells, what a seed adds everywhere is taken out first.
func (s *sample) pureError() (sum float64, df int) {
	n := 0
	deviation := map[uint64][]float64{}
	for _, c := range s.cells {
		mean := 0.0
		for _, o := range c {
			mean += o.y / float64(len(c))
		}
		for _, o := range c {
			deviation[o.seed] = append(deviation[o.seed], o.y-mean)
		}
		n += len(c)
	}
	df = n - len(s.cells)
	if s.method == Seeds {
		df -= len(s.seeds) - 1
	}
	for _, seed := range s.seeds {
		list := deviation[seed]
		center := 0.0
		if s.method == Seeds {
			center = stat.Mean(list, nil)
		}
		for _, d := range list {
			sum += (d - center) * (d - center)
		}
	}
	return sum, df
}
