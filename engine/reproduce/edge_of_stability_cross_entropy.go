package reproduce

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"

	"sgflow/engine/figure"
	"sgflow/engine/page"
)

// Criterion: the 95 % interval over seeds of the highest lambda_max·η/2, of means over
// five measurements that follow each other, lies above 0.9, so that the edge was
// reached; and that of the mean over the last tenth lies below 0.5.
const (
	fallReached = 0.9
	fallEnd     = 0.5
)

var edgeCrossEntropy = Experiment{
	Name:    "edge-of-stability-cross-entropy",
	Claim:   "With cross-entropy lambda_max reaches 2/η as well, but late in training, as all samples are fitted, it falls far below: the edge of stability is no place of rest.",
	Source:  "Cohen, Kaur, Li, Kolter, Talwalkar 2021, arXiv:2103.00065",
	Paper:   "a drop at the end of training for cross-entropy, none for mean squared error, on 5,000 samples of CIFAR-10",
	Setting: "mlp 784-64-64-64-64-64-10 with tanh, cross-entropy, the first 500 samples of MNIST (in full 1,000), full batch, η = 0.15; lambda_max of the full loss to 1 % at every 2 units of t = Σ η up to 100 (in full 300)",
	Differs: "data set, and size of network and training set",
	Run:     runEdgeCrossEntropy,
}

func runEdgeCrossEntropy(ctx context.Context, l *Lab) (*Outcome, error) {
	rate := 0.15
	samples, time := pick(l, 500, 1000), pick(l, 100.0, 300.0)
	runs, err := EachSeed(ctx, l, func(ctx context.Context, l *Lab, seed uint64) (*edgeRun, error) {
		c := NewSetup("mlp:784-64-64-64-64-64-10,act=tanh", samples, seed)
		return takeEdge(ctx, l, c, rate, int(time/rate), int(2/rate))
	})
	if err != nil {
		return nil, err
	}
	return judgeFall(rate, l.Seeds, runs), nil
}

// fallWindow is how many measurements count as having been at the edge.
const fallWindow = 5

// highest returns the largest mean of n values that follow each other.
func highest(values []float64, n int) float64 {
	most := math.Inf(-1)
	for i := n; i <= len(values); i++ {
		most = max(most, stat.Mean(values[i-n:i], nil))
	}
	return most
}

// judgeFall applies the criterion to a run a seed.
func judgeFall(rate float64, seeds []uint64, runs []*edgeRun) *Outcome {
	var reached, end, accuracy []float64
	var curves []*curve
	losses := page.Chart{
		Name: "loss", Title: "Training loss", Chart: figure.Chart{X: figure.Axis{Label: "t = Σ η"}, Y: figure.Axis{Label: "loss", Log: true}},
	}
	for i, r := range runs {
		reached = append(reached, highest(r.lambda.y, fallWindow))
		tenth := max(len(r.lambda.y)/10, 1)
		end = append(end, stat.Mean(r.lambda.y[len(r.lambda.y)-tenth:], nil))
		accuracy = append(accuracy, r.accuracy)
		curves = append(curves, r.lambda)
		losses.Series = append(losses.Series, line(fmt.Sprintf("seed %d", seeds[i]), r.loss.x, r.loss.y))
	}
	sharpness := page.Chart{
		Name: "lambda-max", Title: "Sharpness under gradient descent with cross-entropy, in units of 2/η",
		Caption: []string{"It reaches 1 and falls as the samples are fitted: the second derivative of cross-entropy vanishes where it is sure."},
		How:     "lambda_max·η/2 of the full loss by Lanczos iteration against t = Σ η",
		Chart:   figure.Chart{X: figure.Axis{Label: "t = Σ η"}, Y: figure.Axis{Label: "lambda_max·η/2"}, Series: lines("lambda_max·η/2", seeds, curves)},
	}
	last := curves[0].x[len(curves[0].x)-1]
	sharpness.Series = append(sharpness.Series, level("2/η", 0, last, 1))
	reachedLow, _ := Interval(reached)
	_, endHigh := Interval(end)
	return &Outcome{
		Verdict: All(Decide(reached, fallReached, math.Inf(1)), Decide(end, math.Inf(-1), fallEnd)),
		Why: fmt.Sprintf("lambda_max·η/2 has to reach %g, and to be below %g in the last tenth of the steps: it reaches %.2f (95 %% interval from %.2f on) and ends at %.2f (up to %.2f), with %.1f %% of the training samples right.",
			fallReached, fallEnd, stat.Mean(reached, nil), reachedLow, stat.Mean(end, nil), endHigh, 100*stat.Mean(accuracy, nil)),
		Measured: []Finding{
			Over(fmt.Sprintf("highest lambda_max·η/2 over %d measurements, η = %g", fallWindow, rate), reached, "1 or just above"),
			Over("lambda_max·η/2 in the last tenth", end, "far below 1"),
			Over("training accuracy at the end", accuracy, "1"),
		},
		Charts: []page.Chart{sharpness, losses},
	}
}
