package reproduce

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"sgflow/engine/figure"
	"sgflow/engine/page"
)

// Criterion: with the first layer times α and the second times 1/α the logits of all
// test samples stay the same to 1e-9 of the largest in every seed, and the 95 %
// interval over seeds of the decimal logarithm of the largest lambda_max over that at
// α = 1 lies above 2.
const (
	rescaleSame   = 1e-9
	rescaleDecade = 2
)

var flatnessDisputed = Experiment{
	Name:    "flatness-disputed",
	Claim:   "Flatness alone cannot explain generalisation: rescaling the layers of a ReLU network leaves its function alone and makes lambda_max as large as one likes.",
	Source:  "Dinh, Pascanu, Bengio, Bengio 2017, arXiv:1703.04933",
	Paper:   "a theorem: for α-scale transformations of rectified networks the spectral norm of the Hessian has no upper bound",
	Setting: "mlp 784-32-10 with ReLU in float64, cross-entropy, 500 samples of MNIST, 500 steps of SGD with batch 32 and η = 0.1; first layer times α, second over α, α from 1/100 to 100; logits of 1,000 test samples, lambda_max to 1 %",
	Differs: "the theorem, on one network",
	Run:     runFlatnessDisputed,
}

// rescaleAlphas are the factors of the first layer.
var rescaleAlphas = []float64{0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100}

// rescaled is a network's lambda_max by α and what became of its function.
type rescaled struct {
	lambda     []float64 // of rescaleAlphas
	difference float64   // largest of a logit, over the largest logit
	accuracy   float64   // on the test samples
	lost       float64   // the largest difference of that
}

func runFlatnessDisputed(ctx context.Context, l *Lab) (*Outcome, error) {
	runs, err := EachSeed(ctx, l, func(ctx context.Context, l *Lab, seed uint64) (*rescaled, error) {
		c := NewSetup("mlp:784-32-10", 500, seed)
		c.Tests = 1000
		return takeRescaled(ctx, l, c, 500)
	})
	if err != nil {
		return nil, err
	}
	return judgeRescaled(l.Seeds, runs), nil
}

// takeRescaled trains a network of two layers and rescales it.
func takeRescaled(ctx context.Context, l *Lab, c Setup, steps int) (*rescaled, error) {
	n, err := Open[float64](l, c)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	if err := n.Take(ctx, Course{Batch: 32, LR: 0.1, Steps: steps}); err != nil {
		return nil, err
	}
	theta := n.Weights()
	logits, accuracy := n.logits()
	r := &rescaled{accuracy: accuracy}
	largest := 0.0
	for _, z := range logits {
		largest = max(largest, math.Abs(z))
	}
	for _, alpha := range rescaleAlphas {
		l.Report("seed %d: α = %g", c.Seed, alpha)
		n.rescale(theta, alpha)
		again, right := n.logits()
		for i, z := range again {
			r.difference = max(r.difference, math.Abs(z-logits[i])/largest)
		}
		r.lost = max(r.lost, math.Abs(right-accuracy))
		lambda, err := n.LambdaMax(ctx, n.All)
		if err != nil {
			return nil, err
		}
		r.lambda = append(r.lambda, lambda)
	}
	return r, nil
}

// rescale sets the parameters to theta with the first layer, weights and biases,
// times alpha and the second layer's weights over alpha: relu(αz)/α = relu(z).
func (n *Network[T]) rescale(theta []T, alpha float64) {
	n.SetWeights(theta)
	factors := map[string]float64{"fc1.weight": alpha, "fc1.bias": alpha, "fc2.weight": 1 / alpha}
	for _, p := range n.Session.Program().Params {
		if f, ok := factors[p.Name]; ok {
			n.Session.Scale(f, n.Session.Params()[p.Offset:p.Offset+p.Size])
		}
	}
}

// logits returns the logits of the test samples, row by row, and the accuracy.
func (n *Network[T]) logits() (list []T, accuracy float64) {
	for at := 0; at < len(n.Tests); at += n.Session.Capacity() {
		chunk := n.Tests[at:min(at+n.Session.Capacity(), len(n.Tests))]
		_, right := n.Evaluate(n.Test, chunk)
		accuracy += right * float64(len(chunk)) / float64(len(n.Tests))
		list = append(list, n.Session.Logits(len(chunk))...)
	}
	return list, accuracy
}

// judgeRescaled applies the criterion to a network a seed.
func judgeRescaled(seeds []uint64, runs []*rescaled) *Outcome {
	var decades, differences, lost, accuracies, original []float64
	same := Confirmed
	one := slices.Index(rescaleAlphas, 1)
	var curves []*curve
	for _, r := range runs {
		decades = append(decades, math.Log10(slices.Max(r.lambda)/r.lambda[one]))
		original = append(original, r.lambda[one])
		differences, lost, accuracies = append(differences, r.difference), append(lost, r.lost), append(accuracies, r.accuracy)
		same = All(same, If(r.difference <= rescaleSame))
		curves = append(curves, &curve{rescaleAlphas, r.lambda})
	}
	low, high := Interval(decades)
	return &Outcome{
		Verdict: All(same, Decide(decades, rescaleDecade, math.Inf(1))),
		Why: fmt.Sprintf("Logits have to stay the same to %g and lambda_max to grow by more than %g decades (95 %% interval): they differ by up to %.1g, and it grows by %.1f (%.1f to %.1f).",
			rescaleSame, float64(rescaleDecade), slices.Max(differences), stat.Mean(decades, nil), low, high),
		Measured: []Finding{
			Over("lambda_max at α = 1", original, ""),
			Over("decades by which lambda_max grows", decades, "unbounded"),
			Over("largest difference of a logit, relative", differences, "0"),
			Over("test accuracy", accuracies, ""),
			Over("largest difference of it", lost, "0"),
		},
		Charts: []page.Chart{{
			Name: "rescaled", Title: "lambda_max of one function, rescaled",
			Caption: []string{"All points of a seed are the same function: the same logits, loss and accuracy."},
			How:     "lambda_max of the training loss with the first layer times α and the second over α",
			Chart: figure.Chart{
				X: figure.Axis{Label: "α", Log: true}, Y: figure.Axis{Label: "lambda_max", Log: true},
				Series: lines("lambda_max", seeds, curves),
			},
		}},
	}
}
