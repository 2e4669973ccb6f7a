package reproduce

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"sgflow/engine/figure"
	"sgflow/engine/measure"
	"sgflow/engine/page"
)

// Criterion: at equal rate, both after equal epochs and at equal training loss, the
// 95 % intervals over networks lie above zero of the logarithms of the ratios, large
// batch over small, of Keskar's sharpness and of lambda_max, and of the difference in
// test accuracy, small less large. Equal training loss is there because the small
// batch takes many more steps in equal epochs, and curvature falls with the loss: the
// claim is about minima, not about how far training got. Contradicted is the claim
// where one of the six intervals lies below zero.
var largeBatchSharpness = Experiment{
	Name:    "large-batch-sharpness",
	Claim:   "Large-batch training ends in sharper minima than small-batch training, and classifies test samples worse.",
	Source:  "Keskar, Mudigere, Nocedal, Smelyanskiy, Tang 2017, arXiv:1609.04836",
	Paper:   "network F1 on MNIST, batch 256 against 10 % of the data: sharpness (metric 2.1, ε = 1e-3, full space) 1.2 against 205, test accuracy 98.03 against 97.81 %",
	Setting: "mlp 784-64-10 with ReLU, cross-entropy, the first 2,000 samples of MNIST (in full 5,000), SGD with η = 0.1, batch 8 (16) against 10 % of the data; after 100 epochs, and where the training loss first is 0.02 or less at the end of an epoch; metric 2.1 with ε = 1e-3 in the full space, by projected gradient ascent; three networks a seed",
	Differs: "SGD in place of Adam, no batch normalisation, a smaller network and training set",
	Run:     runLargeBatchSharpness,
}

// minimum is what a network is like where training ended.
type minimum struct {
	keskar, lambda, accuracy float64
	loss                     float64 // of the training samples
	epochs                   int
}

// sharpnessRun is one batch size's training.
type sharpnessRun struct{ epochs, level minimum } // after equal epochs, at equal loss

// The ends of training for large-batch-sharpness.
const (
	sharpnessEpochs = 100
	sharpnessLoss   = 0.02
	sharpnessMost   = 2000 // epochs
)

func runLargeBatchSharpness(ctx context.Context, l *Lab) (*Outcome, error) {
	samples, small := pick(l, 2000, 5000), pick(l, 8, 16)
	batches := []int{small, samples / 10}
	seeds := replicas(l, 3)
	runs, err := Map(ctx, l, 2*len(seeds), func(ctx context.Context, l *Lab, i int) (*sharpnessRun, error) {
		n, err := Open[float32](l, NewSetup("mlp:784-64-10", samples, seeds[i/2]))
		if err != nil {
			return nil, err
		}
		defer n.Close()
		r, err := takeSharpness(ctx, n, batches[i%2], 0.1)
		l.Report("batch %d, seed %d: done", batches[i%2], seeds[i/2])
		return r, err
	})
	if err != nil {
		return nil, err
	}
	var pairs [2][]*sharpnessRun
	for i, r := range runs {
		pairs[i%2] = append(pairs[i%2], r)
	}
	return judgeSharpness(batches, pairs[0], pairs[1]), nil
}

// takeSharpness trains to equal epochs and to the loss, whichever comes later.
func takeSharpness(ctx context.Context, n *Network[float32], batch int, rate float64) (*sharpnessRun, error) {
	r := &sharpnessRun{}
	perEpoch := (len(n.All) + batch - 1) / batch
	err := n.Take(ctx, Course{
		Batch: batch, LR: rate, Steps: sharpnessMost * perEpoch, Every: perEpoch,
		Hook: func(step int) (err error) {
			epoch := step / perEpoch
			if loss, _ := n.Evaluate(n.Train, n.All); loss <= sharpnessLoss && r.level.epochs == 0 {
				if r.level, err = minimumOf(ctx, n, epoch); err != nil {
					return err
				}
			}
			if epoch == sharpnessEpochs {
				r.epochs, err = minimumOf(ctx, n, epoch)
			}
			if err == nil && r.level.epochs > 0 && epoch >= sharpnessEpochs {
				err = ErrEnough
			}
			return err
		},
	})
	if err == nil && r.level.epochs == 0 {
		err = fmt.Errorf("batch %d does not reach a training loss of %g in %d epochs", batch, sharpnessLoss, sharpnessMost)
	}
	return r, err
}

// minimumOf measures the network where it is.
func minimumOf(ctx context.Context, n *Network[float32], epoch int) (m minimum, err error) {
	m.epochs = epoch
	m.loss, _ = n.Evaluate(n.Train, n.All)
	_, m.accuracy = n.Evaluate(n.Test, n.Tests)
	if m.lambda, err = n.LambdaMax(ctx, n.All); err != nil {
		return m, err
	}
	k, err := measure.Keskar(ctx, n.Train, measure.KeskarConfig{Seed: n.seed})
	m.keskar = k.Sharpness
	return m, err
}

// judgeSharpness applies the criterion to the runs of the two batch sizes, which are
// of the same seeds.
func judgeSharpness(batches []int, small, large []*sharpnessRun) *Outcome {
	o := &Outcome{Verdict: Confirmed}
	var said string
	for _, end := range []struct {
		name string
		of   func(*sharpnessRun) minimum
	}{
		{fmt.Sprintf("after %d epochs", sharpnessEpochs), func(r *sharpnessRun) minimum { return r.epochs }},
		{fmt.Sprintf("at training loss %g", sharpnessLoss), func(r *sharpnessRun) minimum { return r.level }},
	} {
		values := func(runs []*sharpnessRun, of func(minimum) float64) (list []float64) {
			for _, r := range runs {
				list = append(list, of(end.of(r)))
			}
			return list
		}
		keskar := func(m minimum) float64 { return m.keskar }
		lambda := func(m minimum) float64 { return m.lambda }
		accuracy := func(m minimum) float64 { return 100 * m.accuracy }
		loss := func(m minimum) float64 { return m.loss }
		sharper := logRatios(values(large, keskar), values(small, keskar))
		steeper := logRatios(values(large, lambda), values(small, lambda))
		worse := differences(values(small, accuracy), values(large, accuracy))
		o.Verdict = All(o.Verdict, above(sharper), above(steeper), above(worse))
		said += fmt.Sprintf("; %s sharpness is %s times as large, lambda_max %s times, and accuracy %s points lower", end.name, factorOf(sharper), factorOf(steeper), spanOf(worse))
		for _, side := range []struct {
			batch                      int
			runs                       []*sharpnessRun
			paperSharpness, paperRight string
		}{{batches[0], small, "1.2", "98.03"}, {batches[1], large, "205", "97.81"}} {
			label := fmt.Sprintf("batch %d %s", side.batch, end.name)
			o.Measured = append(o.Measured,
				Over("Keskar's sharpness, "+label, values(side.runs, keskar), side.paperSharpness),
				Over("lambda_max, "+label, values(side.runs, lambda), ""),
				Over("test accuracy in %, "+label, values(side.runs, accuracy), side.paperRight),
				Over("training loss, "+label, values(side.runs, loss), ""))
		}
	}
	o.Why = fmt.Sprintf("Batch %d has to be sharper by both measures and worse on the test set than batch %d, at equal epochs and at equal training loss (95 %% intervals above zero)%s.", batches[1], batches[0], said)
	o.Charts = []page.Chart{sharpnessChart(batches, small, large)}
	return o
}

// sharpnessChart plots test accuracy against lambda_max, a point a run.
func sharpnessChart(batches []int, small, large []*sharpnessRun) page.Chart {
	points := func(label string, runs []*sharpnessRun, of func(*sharpnessRun) minimum) figure.Series {
		s := figure.Series{Label: label, Marks: true}
		for _, r := range runs {
			m := of(r)
			s.Points = append(s.Points, figure.Point{X: m.lambda, Y: 100 * m.accuracy, Note: fmt.Sprintf("loss %.2g after %d epochs", m.loss, m.epochs)})
		}
		slices.SortFunc(s.Points, func(a, b figure.Point) int { return cmp.Compare(a.X, b.X) })
		return s
	}
	level := func(r *sharpnessRun) minimum { return r.level }
	epochs := func(r *sharpnessRun) minimum { return r.epochs }
	return page.Chart{
		Name: "minima", Title: "Where training ended",
		Caption: []string{"Each point is a network."},
		How:     "lambda_max of the training loss by Lanczos iteration; accuracy on the 10,000 test samples",
		Chart: figure.Chart{
			X: figure.Axis{Label: "lambda_max", Log: true}, Y: figure.Axis{Label: "test accuracy (%)"},
			Series: []figure.Series{
				points(fmt.Sprintf("batch %d, equal epochs", batches[0]), small, epochs), points(fmt.Sprintf("batch %d, equal epochs", batches[1]), large, epochs),
				points(fmt.Sprintf("batch %d, equal loss", batches[0]), small, level), points(fmt.Sprintf("batch %d, equal loss", batches[1]), large, level),
			},
		},
	}
}
