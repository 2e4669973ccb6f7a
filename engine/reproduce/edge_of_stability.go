package reproduce

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"

	"sgflow/data"
	"sgflow/engine/figure"
	"sgflow/engine/page"
	"sgflow/engine/problem"
)

// Criterion, for every learning rate: the 95 % interval over seeds of lambda_max·η/2,
// a mean over the last third of the steps, lies within 0.9 to 1.25 (the paper's
// "hovers just above 2/η"; on MNIST-sized networks the oscillation is some 20 %); that
// of lambda_max·η/2 at the start lies below 0.75, so that there is a rise; and the
// loss falls over the last third in every seed, from its first tenth to its last, as
// means since it oscillates.
const (
	edgeLow, edgeHigh = 0.9, 1.25
	edgeStart         = 0.75
)

var edgeOfStability = Experiment{
	Name:    "edge-of-stability",
	Claim:   "Under full-batch gradient descent lambda_max rises until it reaches 2/η and then hovers there, while the loss goes on falling.",
	Source:  "Cohen, Kaur, Li, Kolter, Talwalkar 2021, arXiv:2103.00065",
	Paper:   "lambda_max at or just above 2/η, for networks on 5,000 samples of CIFAR-10, mean squared error and cross-entropy",
	Setting: "mlp 784-64-64-64-10 with tanh, mean squared error, the first 500 samples of MNIST (in full 2,000), full batch, η = 0.1 and 0.15, in full also 0.05; lambda_max of the full loss to 1 % at every 2 units of t = Σ η up to 80 (in full 160)",
	Differs: "data set, size of network and training set; training ends long before the samples are fitted",
	Run:     runEdgeOfStability,
}

// edgeRun is one network's way.
type edgeRun struct {
	lambda, loss *curve // of the step: lambda_max·η/2, and the full loss
	start        float64
	late         float64 // mean of lambda over the last third
	fall         float64 // mean loss of the last tenth of the last third over that of its first
	accuracy     float64 // on the training samples, at the end
}

func runEdgeOfStability(ctx context.Context, l *Lab) (*Outcome, error) {
	rates := pick(l, []float64{0.15, 0.1}, []float64{0.15, 0.1, 0.05})
	samples, time := pick(l, 500, 2000), pick(l, 80.0, 160.0)
	runs, err := Map(ctx, l, len(rates)*len(l.Seeds), func(ctx context.Context, l *Lab, i int) (*edgeRun, error) {
		rate, seed := rates[i/len(l.Seeds)], l.Seeds[i%len(l.Seeds)]
		c := NewSetup("mlp:784-64-64-64-10,act=tanh", samples, seed)
		c.Loss = problem.MSE
		return takeEdge(ctx, l, c, rate, int(time/rate), int(2/rate))
	})
	if err != nil {
		return nil, err
	}
	return judgeEdge(rates, l.Seeds, runs), nil
}

// takeEdge trains by gradient descent and follows lambda_max.
func takeEdge(ctx context.Context, l *Lab, c Setup, rate float64, steps, every int) (*edgeRun, error) {
	n, err := Open[float32](l, c)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	r := &edgeRun{lambda: &curve{}, loss: &curve{}}
	err = n.Take(ctx, Course{
		LR: rate, Sampling: data.Full, Steps: steps, Every: every,
		Hook: func(step int) error {
			lambda, err := n.LambdaMax(ctx, n.All)
			r.lambda.add(float64(step)*rate, lambda*rate/2)
			l.Report("η = %g, seed %d: step %d of %d, lambda_max·η/2 = %.2f", rate, c.Seed, step, steps, lambda*rate/2)
			return err
		},
		Stepped: func(step int, loss float64) error {
			r.loss.add(float64(step)*rate, loss)
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	end := float64(steps) * rate
	late := r.loss.between(end*2/3, math.Inf(1))
	r.start, r.late = r.lambda.y[0], stat.Mean(r.lambda.between(end*2/3, math.Inf(1)), nil)
	tenth := max(len(late)/10, 1)
	r.fall = stat.Mean(late[len(late)-tenth:], nil) / stat.Mean(late[:tenth], nil)
	_, r.accuracy = n.Evaluate(n.Train, n.All)
	return r, nil
}

// judgeEdge applies the criterion to the runs, of the seeds rate by rate.
func judgeEdge(rates []float64, seeds []uint64, runs []*edgeRun) *Outcome {
	o := &Outcome{Verdict: Confirmed}
	var said string
	sharpness := page.Chart{
		Name: "lambda-max", Title: "Sharpness under gradient descent, in units of 2/η",
		Caption: []string{"It rises until gradient descent is barely stable, at 1, and stays there."},
		How:     "lambda_max·η/2 of the full loss by Lanczos iteration against t = Σ η",
		Chart:   figure.Chart{X: figure.Axis{Label: "t = Σ η"}, Y: figure.Axis{Label: "lambda_max·η/2"}},
	}
	losses := page.Chart{
		Name: "loss", Title: "Training loss", Chart: figure.Chart{X: figure.Axis{Label: "t = Σ η"}, Y: figure.Axis{Label: "loss", Log: true}},
	}
	for k, rate := range rates {
		var late, start, fall []float64
		for i := range seeds {
			r := runs[k*len(seeds)+i]
			late, start, fall = append(late, r.late), append(start, r.start), append(fall, r.fall)
			label := fmt.Sprintf("η = %g, seed %d", rate, seeds[i])
			if i == 0 {
				sharpness.Series = append(sharpness.Series, marked(label, r.lambda.x, r.lambda.y))
				losses.Series = append(losses.Series, line(label, r.loss.x, r.loss.y))
			}
		}
		o.Measured = append(o.Measured,
			Over(fmt.Sprintf("lambda_max·η/2 at the start, η = %g", rate), start, "below 1"),
			Over(fmt.Sprintf("lambda_max·η/2 over the last third, η = %g", rate), late, "1 or just above"),
			Over(fmt.Sprintf("loss at the end of the last third over that at its beginning, η = %g", rate), fall, "below 1"))
		falls := Confirmed
		for _, f := range fall {
			falls = All(falls, If(f < 1))
		}
		o.Verdict = All(o.Verdict, Decide(late, edgeLow, edgeHigh), Decide(start, math.Inf(-1), edgeStart), falls)
		low, high := Interval(late)
		said += fmt.Sprintf("; at η = %g it goes from %.2f to %.2f (%.2f to %.2f) and the loss over the last third to %.0f %%",
			rate, stat.Mean(start, nil), stat.Mean(late, nil), low, high, 100*stat.Mean(fall, nil))
	}
	o.Why = fmt.Sprintf("lambda_max·η/2 has to start below %g, to average %g to %g (95 %% interval) over the last third of the steps, and the loss to fall there%s.",
		edgeStart, edgeLow, edgeHigh, said)
	sharpness.Series = append(sharpness.Series, level("2/η", 0, runs[0].lambda.x[len(runs[0].lambda.x)-1], 1))
	o.Charts = []page.Chart{sharpness, losses}
	return o
}
