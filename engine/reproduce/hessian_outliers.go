package reproduce

import (
	"context"
	"fmt"

	"gonum.org/v1/gonum/stat"

	"sgflow/engine/figure"
	"sgflow/engine/page"
)

// Criterion: with the outliers counted by the largest relative gap among the 20
// largest eigenvalues, whatever the number k of classes, the 95 % interval over seeds
// of the slope of the count on k lies within 0.75 to 1.25, and that of the mean of
// count − k within −2 to 1: the papers have about k or k − 1, taken as within one.
const (
	outliersLook                  = 20
	outlierSlopeLow, slopeHigh    = 0.75, 1.25
	outlierExcessLow, outlierHigh = -2, 1
)

var hessianOutliers = Experiment{
	Name:    "hessian-outliers",
	Claim:   "The Hessian of a trained network has about as many eigenvalues outside its bulk as there are classes.",
	Source:  "Sagun, Evci, Güney, Dauphin, Bottou 2017, arXiv:1706.04454; Ghorbani, Krishnan, Xiao 2019, arXiv:1901.10159; Papyan 2020, arXiv:2008.11865",
	Paper:   "about as many outliers as classes, k or k − 1 of k: in small networks (Sagun), and up to ResNets on CIFAR-10 and ImageNet (Ghorbani, Papyan)",
	Setting: "mlp 784-32-k, cross-entropy, SGD with batch 32 and η = 0.05 for 200 steps on the first 300·k samples of k classes of MNIST, k = 3, 5, 7, 10 (in full 2 to 10, 1,000·k samples and 1,000 steps), other classes for every seed; the 20 largest eigenvalues by Lanczos iteration, outliers being those above the largest ratio of neighbours",
	Differs: "data set and network; outliers are counted by the largest relative gap, where the papers look at the density",
	Run:     runHessianOutliers,
}

// spectrumTop are the largest eigenvalues of a network.
type spectrumTop struct {
	initial, trained []float64 // largest first
	accuracy         float64   // on the training samples, trained
}

func runHessianOutliers(ctx context.Context, l *Lab) (*Outcome, error) {
	numbers := pick(l, []int{3, 5, 7, 10}, []int{2, 3, 4, 5, 6, 7, 8, 9, 10})
	steps, samples := pick(l, 200, 1000), pick(l, 300, 1000) // samples of a class
	runs, err := Map(ctx, l, len(numbers)*len(l.Seeds), func(ctx context.Context, l *Lab, i int) (*spectrumTop, error) {
		k, seed := numbers[i/len(l.Seeds)], l.Seeds[i%len(l.Seeds)]
		c := NewSetup(fmt.Sprintf("mlp:784-32-%d", k), samples*k, seed)
		for j := range k {
			c.Classes = append(c.Classes, int32((seed+uint64(j))%10))
		}
		return takeSpectrum(ctx, l, c, steps)
	})
	if err != nil {
		return nil, err
	}
	return judgeOutliers(numbers, l.Seeds, runs), nil
}

// takeSpectrum trains a network and returns its largest eigenvalues before and after.
func takeSpectrum(ctx context.Context, l *Lab, c Setup, steps int) (*spectrumTop, error) {
	n, err := Open[float32](l, c)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	top := func() (list []float64, err error) {
		l.Report("%d classes, seed %d", n.Classes, c.Seed)
		pairs, err := n.Eigenpairs(ctx, n.All, outliersLook, 1e-3)
		for _, p := range pairs {
			list = append(list, p.Value)
		}
		return list, err
	}
	var r spectrumTop
	if r.initial, err = top(); err != nil {
		return nil, err
	}
	if err := n.Take(ctx, Course{Batch: 32, LR: 0.05, Steps: steps}); err != nil {
		return nil, err
	}
	r.trained, err = top()
	_, r.accuracy = n.Evaluate(n.Train, n.All)
	return &r, err
}

// outliers returns how many of the values, largest first, lie above the largest ratio
// of neighbours, and that ratio. Values that are not positive are part of the bulk.
func outliers(values []float64) (count int, ratio float64) {
	for i := 1; i < len(values) && values[i] > 0; i++ {
		if r := values[i-1] / values[i]; r > ratio {
			count, ratio = i, r
		}
	}
	return count, ratio
}

// judgeOutliers applies the criterion to the runs, of the seeds number by number.
func judgeOutliers(numbers []int, seeds []uint64, runs []*spectrumTop) *Outcome {
	o := &Outcome{}
	eigenvalues := page.Chart{
		Name: "eigenvalues", Title: "The largest eigenvalues, in units of the first",
		Caption: []string{"A step down after k − 1 or k of them, for k classes; first seed."},
		How:     "eigenvalue i over the largest, against i",
		Chart:   figure.Chart{X: figure.Axis{Label: "i"}, Y: figure.Axis{Label: "eigenvalue over the largest", Log: true}},
	}
	counted := page.Table{Title: "Outliers by seed", Head: []string{"classes"}}
	for _, s := range seeds {
		counted.Head = append(counted.Head, fmt.Sprintf("seed %d", s), "gap")
	}
	slopes, excess, control := make([]float64, len(seeds)), make([]float64, len(seeds)), make([]float64, len(seeds))
	counts := make([][]float64, len(seeds)) // by seed and number
	classes := make([]float64, len(numbers))
	for k, number := range numbers {
		classes[k] = float64(number)
		row := []page.Cell{page.Word(fmt.Sprint(number))}
		var list []float64
		for i := range seeds {
			r := runs[k*len(seeds)+i]
			count, gap := outliers(r.trained)
			before, _ := outliers(r.initial)
			counts[i], list = append(counts[i], float64(count)), append(list, float64(count))
			excess[i] += (float64(count) - float64(number)) / float64(len(numbers))
			control[i] += (float64(before) - float64(number)) / float64(len(numbers))
			row = append(row, page.Number(float64(count)), page.Number(gap))
			if i == 0 {
				var x, y []float64
				for j, v := range r.trained {
					x, y = append(x, float64(j+1)), append(y, v/r.trained[0])
				}
				eigenvalues.Series = append(eigenvalues.Series, marked(fmt.Sprintf("%d classes", number), x, y))
			}
		}
		counted.Rows = append(counted.Rows, row)
		o.Measured = append(o.Measured, Over(fmt.Sprintf("outliers of %d classes", number), list, fmt.Sprintf("%d or %d", number-1, number)))
	}
	for i := range seeds {
		_, slopes[i] = stat.LinearRegression(classes, counts[i], nil, false)
	}
	o.Measured = append(o.Measured,
		Over("slope of outliers on classes", slopes, "1"),
		Over("outliers less classes", excess, "−1 to 0"),
		Over("the same of the initial weights", control, ""))
	o.Verdict = All(Decide(slopes, outlierSlopeLow, slopeHigh), Decide(excess, outlierExcessLow, outlierHigh))
	slopeFrom, slopeTo := Interval(slopes)
	from, to := Interval(excess)
	o.Why = fmt.Sprintf("The slope of the number of outliers on that of classes has to lie within %g to %g (95 %% interval), and their difference within %d to %d: the slope is %.2f (%.2f to %.2f), the difference %.2f (%.2f to %.2f).",
		outlierSlopeLow, slopeHigh, outlierExcessLow, outlierHigh, stat.Mean(slopes, nil), slopeFrom, slopeTo, stat.Mean(excess, nil), from, to)
	o.Charts, o.Tables = []page.Chart{eigenvalues}, []page.Table{counted}
	return o
}
