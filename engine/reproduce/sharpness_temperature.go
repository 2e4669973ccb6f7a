package reproduce

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine/figure"
	"sgflow/engine/page"
)

// Criterion. For each network log lambda_max = a + b·log(η/B) + c·log B is fitted to
// all settings, once after equal epochs, as in the paper, and once where each first
// has the same training loss, as η/B also sets how far training gets. The claim is
// confirmed where both times the 95 % interval of b over networks lies below zero and
// that of c/|b̄| within ±0.5: at equal η/B the batch size matters at most half as much
// as η/B does. It is contradicted where an interval lies wholly outside.
const temperatureShare = 0.5

var sharpnessTemperature = Experiment{
	Name:    "sharpness-temperature",
	Claim:   "Lambda_max at the end of training depends on learning rate η and batch size B through η/B: it falls with η/B, and settings of equal η/B agree.",
	Source:  "Jastrzębski, Kenton, Arpit, Ballas, Fischer, Bengio, Storkey 2017, arXiv:1711.04623",
	Paper:   "ResNets and VGG on CIFAR-10: the Hessian's norm at the end falls with η/B; runs with η and B rescaled together end alike unless η is too large",
	Setting: "mlp 784-32-10 with ReLU, cross-entropy, the first 2,000 samples of MNIST, B = 8, 16, 32 at each of η/B = 1/160, 1/320, 1/640, 1/1,280; after 30 epochs, and where the training loss first is 0.05 or less; two networks a seed (in full four)",
	Differs: "a small fully connected network; ends of training at equal loss are looked at too",
	Run:     runSharpnessTemperature,
}

// The ends of training for sharpness-temperature.
const (
	temperatureEpochs = 30
	temperatureLoss   = 0.05
	temperatureMost   = 500 // epochs
	temperatureLooks  = 2   // at the loss, an epoch
)

// temperatureRun is lambda_max of one network in one setting.
type temperatureRun struct {
	epochs, level float64 // after equal epochs, at equal loss
	lossAtEnd     float64 // after equal epochs
}

// temperatureGrid is what the networks are trained with.
type temperatureGrid struct {
	temperatures []float64 // η/B
	batches      []int
}

func (g *temperatureGrid) size() int { return len(g.temperatures) * len(g.batches) }

// at returns setting k.
func (g *temperatureGrid) at(k int) (temperature float64, batch int) {
	return g.temperatures[k/len(g.batches)], g.batches[k%len(g.batches)]
}

func runSharpnessTemperature(ctx context.Context, l *Lab) (*Outcome, error) {
	g := &temperatureGrid{[]float64{1. / 160, 1. / 320, 1. / 640, 1. / 1280}, []int{8, 16, 32}}
	seeds := replicas(l, pick(l, 2, 4))
	runs, err := Map(ctx, l, g.size()*len(seeds), func(ctx context.Context, l *Lab, i int) (*temperatureRun, error) {
		temperature, batch := g.at(i / len(seeds))
		n, err := Open[float32](l, NewSetup("mlp:784-32-10", 2000, seeds[i%len(seeds)]))
		if err != nil {
			return nil, err
		}
		defer n.Close()
		r, err := takeTemperature(ctx, n, batch, temperature*float64(batch))
		l.Report("η/B = %.2g, B = %d, seed %d: done", temperature, batch, seeds[i%len(seeds)])
		return r, err
	})
	if err != nil {
		return nil, err
	}
	byNetwork := make([][]*temperatureRun, len(seeds))
	for i, r := range runs {
		byNetwork[i%len(seeds)] = append(byNetwork[i%len(seeds)], r)
	}
	return judgeTemperature(g, byNetwork), nil
}

// takeTemperature trains to equal epochs and to the loss, whichever comes later.
func takeTemperature(ctx context.Context, n *Network[float32], batch int, rate float64) (*temperatureRun, error) {
	r := &temperatureRun{}
	perEpoch := (len(n.All) + batch - 1) / batch
	err := n.Take(ctx, Course{
		Batch: batch, LR: rate, Steps: temperatureMost * perEpoch, Every: max(perEpoch/temperatureLooks, 1),
		Hook: func(step int) (err error) {
			loss, _ := n.Evaluate(n.Train, n.All)
			if loss <= temperatureLoss && r.level == 0 {
				if r.level, err = n.LambdaMax(ctx, n.All); err != nil {
					return err
				}
			}
			if step >= temperatureEpochs*perEpoch && r.epochs == 0 {
				r.lossAtEnd = loss
				if r.epochs, err = n.LambdaMax(ctx, n.All); err != nil {
					return err
				}
			}
			if r.level != 0 && r.epochs != 0 {
				return ErrEnough
			}
			return nil
		},
	})
	if err == nil && (r.level == 0 || r.epochs == 0) {
		err = fmt.Errorf("batch %d at η = %g does not reach a training loss of %g in %d epochs", batch, rate, temperatureLoss, temperatureMost)
	}
	return r, err
}

// slopes returns b and c of the least-squares fit log y = a + b·log(η/B) + c·log B to a
// value of every setting of the grid.
func (g *temperatureGrid) slopes(y []float64) (b, c float64) {
	a := mat.NewDense(g.size(), 3, nil)
	for k := range g.size() {
		temperature, batch := g.at(k)
		a.SetRow(k, []float64{1, math.Log(temperature), math.Log(float64(batch))})
	}
	var solution mat.VecDense
	if err := solution.SolveVec(a, mat.NewVecDense(g.size(), logs(y))); err != nil {
		return math.NaN(), math.NaN() // of a grid without both directions
	}
	return solution.AtVec(1), solution.AtVec(2)
}

// judgeTemperature applies the criterion to the runs of every network, which are in
// the order of the grid.
func judgeTemperature(g *temperatureGrid, networks [][]*temperatureRun) *Outcome {
	o := &Outcome{Verdict: Confirmed}
	var said string
	for _, end := range []struct {
		name, title string
		of          func(*temperatureRun) float64
	}{
		{"equal-epochs", fmt.Sprintf("after %d epochs", temperatureEpochs), func(r *temperatureRun) float64 { return r.epochs }},
		{"equal-loss", fmt.Sprintf("at training loss %g", temperatureLoss), func(r *temperatureRun) float64 { return r.level }},
	} {
		var b, c []float64
		byKey := make([][]float64, g.size())
		for _, runs := range networks {
			var y []float64
			for k, r := range runs {
				y = append(y, end.of(r))
				byKey[k] = append(byKey[k], end.of(r))
			}
			slope, byBatch := g.slopes(y)
			b, c = append(b, slope), append(c, byBatch)
		}
		mean := Over("", b, "").Mean
		share := apply(c, func(x float64) float64 { return x / math.Abs(mean) })
		o.Verdict = All(o.Verdict, Decide(b, math.Inf(-1), 0), Decide(share, -temperatureShare, temperatureShare))
		said += fmt.Sprintf("; %s lambda_max goes as η/B to the power %s, and at equal η/B as B to the power %s", end.title, spanOf(b), spanOf(c))
		o.Measured = append(o.Measured,
			Over("exponent of η/B in lambda_max, "+end.title, b, "below 0"),
			Over("exponent of B at equal η/B, "+end.title, c, "0"))
		chart := page.Chart{
			Name: end.name, Title: "lambda_max against η/B, " + end.title,
			Caption: []string{"Batch sizes lie on one line where η/B is all that counts."},
			How:     "lambda_max of the full training loss by Lanczos iteration to 1 %; geometric means over networks with 95 % intervals",
			Chart:   figure.Chart{X: figure.Axis{Label: "η/B", Log: true}, Y: figure.Axis{Label: "lambda_max", Log: true}},
		}
		for j, batch := range g.batches {
			var x []float64
			var y [][]float64
			for i := len(g.temperatures) - 1; i >= 0; i-- { // ascending
				x, y = append(x, g.temperatures[i]), append(y, byKey[i*len(g.batches)+j])
			}
			chart.Series = append(chart.Series, factorSpread(fmt.Sprintf("B = %d", batch), x, y))
		}
		o.Charts = append(o.Charts, chart)
	}
	o.Why = fmt.Sprintf("The exponent of η/B has to lie below 0, and that of B at equal η/B within half its size (95 %% intervals over networks), after equal epochs and at equal loss%s.", said)
	return o
}
