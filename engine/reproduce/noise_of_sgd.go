package reproduce

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"

	"sgflow/engine"
	"sgflow/engine/optim"
	"sgflow/engine/rng"
)

// Criterion, by 95 % intervals over seeds, all of which have to lie within the bounds:
//
//	the variance of a mini-batch gradient over its exact value, pooled over batch
//	sizes up to 90 % of the samples, within ±5 %;
//	its exponent in N/B − 1 within 0.95 to 1.05;
//	the exponents of the plateau's height in ε and in N/B − 1 within 0.9 to 1.1;
//	the height with momentum m at rate ε(1 − m) over that of plain SGD at ε, for
//	every m, within ±10 % (the claim is of first order in ε).
//
// The claim is contradicted where one lies wholly outside.
const (
	varianceTolerance = 0.05
	plateauTolerance  = 0.1
)

var noiseOfSGD = Experiment{
	Name:    "noise-of-sgd",
	Claim:   "The noise of SGD has the scale g = ε(N/B − 1): so does the variance of a mini-batch gradient drawn without replacement; and momentum m multiplies it by 1/(1 − m).",
	Source:  "Smith & Le 2018, arXiv:1710.06451",
	Paper:   "derived from a stochastic differential equation; shown by the best batch size growing in proportion to ε, N and 1/(1 − m)",
	Setting: "gradients: mlp 784-32-10 after 200 steps on the first 1,000 samples of MNIST, B = 8 to 900. Plateau: mlp 784-10 (softmax regression, convex) with weight decay 0.1 on the first 400 samples, ε = 0.005 to 0.02, B = 8 to 320, m = 0.5 and 0.9; mean height of the loss above its minimum after t = Σ ε = 20 for 60 (in full 240) more, four times as long at the batch size of different ε and m",
	Differs: "the height of the stationary loss in a convex problem in place of the best test accuracy",
	Run:     runNoiseOfSGD,
}

// varianceCase is a batch size with the number of batches that are drawn of it.
type varianceCase struct{ batch, draws int }

// gradientVariance returns, for every case, the mean of ‖g_B − G‖² over batches of B
// of the samples, drawn without replacement, and its exact value
//
//	(1/B − 1/N)·N/(N − 1)·tr Σ = tr Σ/(N − 1)·(N/B − 1),
//
// G being the gradient of the mean loss of all N and Σ the 1/N covariance of the
// samples' own (Cochran, Sampling Techniques, 1977, theorem 2.2).
func gradientVariance[T engine.Float](ctx context.Context, n *Network[T], cases []varianceCase, seed uint64) (measured, exact []float64, err error) {
	total := len(n.All)
	n.Train.Gradient(n.All, true)
	noise, _, _ := n.Train.Noise(nil)
	unbiased, _ := noise.VarTrace() // N/(N − 1)·tr Σ
	mean := make([]T, len(n.Train.Grad()))
	n.Session.Copy(mean, n.Train.Grad())
	draw := uint64(0)
	for _, c := range cases {
		sum := 0.0
		for range c.draws {
			if err := ctx.Err(); err != nil {
				return nil, nil, err
			}
			n.Train.Gradient(without(total, c.batch, seed, draw), false)
			sum += n.Session.DistanceSq(n.Train.Grad(), mean)
			draw++
		}
		measured = append(measured, sum/float64(c.draws))
		exact = append(exact, unbiased*(1/float64(c.batch)-1/float64(total)))
	}
	return measured, exact, nil
}

// without returns the draw-th batch of so many samples drawn without replacement,
// independently of other draws, unlike the batches of an epoch.
func without(samples, batch int, seed, draw uint64) []int32 {
	order := make([]int32, samples)
	stream := rng.New(rng.Batches, seed, draw)
	rng.Permutation(order, &stream)
	return order[:batch]
}

// plateauCase is a setting of SGD.
type plateauCase struct {
	rate     float64 // of plain SGD; with momentum m the rate is rate·(1 − m)
	batch    int
	momentum float64
	times    float64 // as long as the plateau says, where little else steadies a ratio
}

// noise is N/B − 1.
func (c plateauCase) noise(samples int) float64 { return float64(samples)/float64(c.batch) - 1 }

// plateau is a regularised loss L + (λ/2)‖θ‖² with its minimum.
type plateau struct {
	n       *Network[float32]
	decay   float64 // λ
	lowest  []float32
	least   float64 // the regularised loss there
	settled float64 // Σ ε before heights count
	length  float64 // Σ ε over which they do
}

// plateauHeights is how many heights a mean is of.
const plateauHeights = 300

// newPlateau finds the minimum by gradient descent with momentum.
func newPlateau(ctx context.Context, n *Network[float32], decay, settled, length float64) (*plateau, error) {
	p := &plateau{n: n, decay: decay, settled: settled, length: length}
	err := p.steps(ctx, plateauCase{rate: 0.2, batch: len(n.All), momentum: 0.9}, 600, 0, func(int) {})
	p.lowest = n.Weights()
	p.least = p.loss()
	return p, err
}

// loss returns the regularised loss of all samples.
func (p *plateau) loss() float64 {
	loss, _ := p.n.Evaluate(p.n.Train, p.n.All)
	return loss + p.decay/2*p.n.Session.NormSq(p.n.Session.Params())
}

// steps takes steps of SGD, every batch drawn without replacement and independently.
func (p *plateau) steps(ctx context.Context, c plateauCase, steps int, seed uint64, after func(step int)) error {
	s := p.n.Session
	var velocity []float32
	if c.momentum > 0 {
		velocity = make([]float32, len(s.Params()))
	}
	update := optim.Config{Momentum: c.momentum, WeightDecay: p.decay}.Update(c.rate * (1 - c.momentum))
	for step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.n.Train.Gradient(without(len(p.n.All), c.batch, seed, uint64(step)), false)
		s.Update(velocity, update)
		after(step)
	}
	return nil
}

// height returns how far above the minimum SGD keeps the regularised loss on average,
// from the minimum on and once it has settled. Cases of one seed see the same orders
// of the samples, so that their ratios are less noisy than they are. Gradients are no larger with momentum
// than without at rate·(1 − m), so that a step is time rate either way.
func (p *plateau) height(ctx context.Context, c plateauCase, seed uint64) (float64, error) {
	p.n.SetWeights(p.lowest)
	settled, steps := int(p.settled/c.rate), int((p.settled+c.times*p.length)/c.rate)
	every := max((steps-settled)/plateauHeights, 1)
	var heights []float64
	err := p.steps(ctx, c, steps, seed, func(step int) {
		if step >= settled && step%every == 0 {
			heights = append(heights, p.loss()-p.least)
		}
	})
	if err != nil {
		return 0, err
	}
	mean := stat.Mean(heights, nil)
	if !(mean > 0) || !finite(mean) {
		return 0, fmt.Errorf("SGD with ε = %g, B = %d, m = %g is %g above the minimum", c.rate, c.batch, c.momentum, mean)
	}
	return mean, nil
}

// exponent returns the least-squares slope of log y in log x.
func exponent(x, y []float64) float64 {
	_, slope := stat.LinearRegression(logs(x), logs(y), nil, false)
	return slope
}

// geometricRatio returns the geometric mean of the ratios.
func geometricRatio(a, b []float64) float64 { return math.Exp(stat.Mean(logRatios(a, b), nil)) }
