package reproduce

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"

	"sgflow/engine/analysis"
	"sgflow/engine/measure"
)

// Criterion: the trade-off describes the steps that each batch size took (the fit to
// all seeds is not marked bad: within 25 % root mean square), and the 95 % interval
// over seeds of the logarithm of noise scale over critical batch size lies within an
// order of magnitude. The noise scale is its mean over the steps of the largest
// batch's run to the target, whose path is nearly free of noise: in the paper's theory
// E_min/S_min = ∫B_noise ds/∫ds along it.
const criticalFactor = 10

var criticalBatchSize = Experiment{
	Name:    "critical-batch-size",
	Claim:   "Steps S and samples E to a target loss follow (S/S_min − 1)(E/E_min − 1) = 1 over batch sizes, and the critical batch size E_min/S_min is the noise scale to within an order of magnitude.",
	Source:  "McCandlish, Kaplan, Amodei et al. 2018, arXiv:1812.06162",
	Paper:   "MNIST: critical batch size 20 at the start and 200 on average over training, simple noise scale 50 and 900, a ratio of 2.5 to 4.5",
	Setting: "mlp 784-32-10 with ReLU, cross-entropy, all of MNIST, batches 8 to 512 (in full 4 to 2,048), to a loss of 0.4 (in full 0.3) of 1,000 training samples; three networks a seed; for each batch size and network the rate that takes the fewest steps of those a factor of 2 apart; noise scale of 4,000 samples",
	Differs: "a small fully connected network, a target early in training, and rates on a coarser grid",
	Run:     runCriticalBatchSize,
}

// targetSamples is how many training samples the loss is of that is to fall to the
// target.
const targetSamples = 1000

// criticalRun is what a batch size took with one seed.
type criticalRun struct {
	batch    int
	seed     uint64
	rate     float64 // the best
	steps    float64
	onTarget float64 // noise scale where the target is reached
	average  float64 // mean noise scale over the steps to it
}

func runCriticalBatchSize(ctx context.Context, l *Lab) (*Outcome, error) {
	batches := pick(l, []int{8, 16, 32, 64, 128, 256, 512}, []int{4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048})
	target := pick(l, 0.4, 0.3)
	seeds := replicas(l, 3)
	runs, err := Map(ctx, l, len(batches)*len(seeds), func(ctx context.Context, l *Lab, i int) (*criticalRun, error) {
		batch, seed := batches[len(batches)-1-i/len(seeds)], seeds[i%len(seeds)] // the long ones first
		n, err := Open[float32](l, NewSetup("mlp:784-32-10", 0, seed))
		if err != nil {
			return nil, err
		}
		defer n.Close()
		s := &rateSearch{n: n, initial: n.Weights(), target: target}
		r, err := s.best(ctx, batch)
		if err != nil {
			return nil, err
		}
		r.seed = seed
		if batch == batches[len(batches)-1] {
			err = s.follow(ctx, r)
		}
		l.Report("batch %d, seed %d: %.0f steps at η = %g", batch, seed, r.steps, r.rate)
		return r, err
	})
	if err != nil {
		return nil, err
	}
	return judgeCritical(batches, seeds, runs), nil
}

// rateSearch finds the rate at which a network reaches a loss in the fewest steps.
type rateSearch struct {
	n       *Network[float32]
	initial []float32
	target  float64
}

// mostTargetSteps bounds the first run of a search, and mostSearch the rates on
// either side of the first.
const (
	mostTargetSteps = 4000
	mostSearch      = 8
)

// best climbs from a first rate by factors of 2 for as long as steps fall. The first
// is what the paper's ε_max/(1 + B_noise/B) comes to with ε_max = 0.4 and B_noise = 64.
func (s *rateSearch) best(ctx context.Context, batch int) (*criticalRun, error) {
	first := 0.4 / (1 + 64/float64(batch))
	first = 0.1 * math.Exp2(math.Round(math.Log2(first/0.1))) // on one grid for all batch sizes
	r := &criticalRun{batch: batch, rate: first}
	var err error
	most := mostTargetSteps
	if r.steps, err = s.steps(ctx, batch, first, most); err != nil {
		return nil, err
	}
	for _, factor := range []float64{2, 0.5} {
		climbed := false
		for range mostSearch {
			rate := r.rate * factor
			if finite(r.steps) {
				most = int(1.1 * r.steps)
			}
			steps, err := s.steps(ctx, batch, rate, most)
			if err != nil {
				return nil, err
			}
			if !(steps < r.steps) {
				if finite(r.steps) || factor > 1 {
					break
				}
				r.rate = rate // none has reached the target yet: go on to lower rates
				continue
			}
			r.rate, r.steps, climbed = rate, steps, true
		}
		if climbed {
			break
		}
	}
	if !finite(r.steps) {
		return nil, fmt.Errorf("batch %d reaches a loss of %g at no rate in %d steps", batch, s.target, mostTargetSteps)
	}
	return r, nil
}

// steps returns how many steps the network takes from its initial weights to the
// target, interpolated between evaluations 5 % apart; ∞ if more than most.
func (s *rateSearch) steps(ctx context.Context, batch int, rate float64, most int) (float64, error) {
	s.n.SetWeights(s.initial)
	reached, before, at, next := math.Inf(1), math.Inf(1), 0, 1
	samples := s.n.All[:targetSamples]
	err := s.n.Take(ctx, Course{
		Batch: batch, LR: rate, Steps: most, Every: 1,
		Hook: func(step int) error {
			if step != next {
				return nil
			}
			loss, _ := s.n.Evaluate(s.n.Train, samples)
			if loss <= s.target {
				reached = crossing(float64(at), before, float64(step), loss, s.target)
				return ErrEnough
			}
			before, at, next = loss, step, max(step+1, int(1.05*float64(step)))
			return nil
		},
	})
	if errors.Is(err, measure.ErrDiverged) {
		return math.Inf(1), nil
	}
	return reached, err
}

// crossing returns where the line from (a, ya) to (b, yb) with yb ≤ y < ya is at y; b
// where ya is not known.
func crossing(a, ya, b, yb, y float64) float64 {
	if !finite(ya) {
		return b
	}
	return a + (ya-y)/(ya-yb)*(b-a)
}

// noisePoints is at how many points on the way to the target the noise scale is taken.
const noisePoints = 25

// follow takes the best run once more with the noise scale of many samples.
func (s *rateSearch) follow(ctx context.Context, r *criticalRun) error {
	s.n.SetWeights(s.initial)
	samples := s.n.All[:min(4*targetSamples, len(s.n.All))]
	steps := int(math.Ceil(r.steps))
	var scales []float64
	err := s.n.Take(ctx, Course{
		Batch: r.batch, LR: r.rate, Steps: steps, Every: max(steps/noisePoints, 1),
		Hook: func(step int) error {
			var at noiseSums
			at.add(noiseAt(s.n, samples))
			if x := at.scale(); x > 0 && finite(x) {
				scales = append(scales, x)
			}
			return nil
		},
	})
	if err == nil && len(scales) == 0 {
		err = fmt.Errorf("the gradient of %d samples is all noise", len(samples))
	}
	if err != nil {
		return err
	}
	r.onTarget, r.average = scales[len(scales)-1], stat.Mean(scales, nil)
	return nil
}

// criticalOf fits the trade-off to runs.
func criticalOf(runs []*criticalRun) (*analysis.TradeOff, error) {
	var list []analysis.Reached
	for _, r := range runs {
		list = append(list, analysis.Reached{Batch: r.batch, Seed: r.seed, Steps: r.steps})
	}
	return analysis.FitTradeOff(list)
}
