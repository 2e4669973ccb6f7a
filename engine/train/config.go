package train

import (
	"math"

	"sgflow/data"
	"sgflow/engine/measure"
	"sgflow/engine/optim"
	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/request"
)

// Config is all that a user can ask of a training run.
type Config struct {
	problem.Problem `yaml:",inline"`

	Batch           int     `json:"batch" help:"Samples in a step."`
	Epochs          int     `json:"epochs" help:"Passes through the training set."`
	Steps           int     `json:"steps" help:"Steps in all; wins over --epochs where above 0."`
	LR              float64 `json:"lr" name:"lr" help:"Learning rate."`
	Momentum        float64 `json:"momentum" help:"Momentum of sgd, sgdw, sam and asam, at least 0 and below 1."`
	Nesterov        bool    `json:"nesterov" help:"Nesterov's form of momentum."`
	WeightDecay     float64 `json:"weight-decay" help:"Weight decay: beside the gradient with sgdw and adamw, added to it with the others."`
	Optimizer       string  `json:"optimizer" help:"Optimizer: sgd, sgdw (with decoupled weight decay), adam, adamw (with decoupled weight decay), sgld (Langevin dynamics), sam or asam (sharpness-aware minimisation, adaptive)."`
	Beta1           float64 `json:"beta1" name:"beta1" help:"What the mean of gradients keeps from step to step, of adam and adamw."`
	Beta2           float64 `json:"beta2" name:"beta2" help:"What the mean of squared gradients keeps, of adam and adamw."`
	Epsilon         float64 `json:"epsilon" help:"Added to the root of the mean of squared gradients, of adam and adamw."`
	SGLDTemperature float64 `json:"sgld-temperature" name:"sgld-temperature" help:"Temperature T of sgld, whose steps add noise of variance 2·lr·T: it samples exp(−loss/T)."`
	Rho             float64 `json:"rho" help:"Radius ρ of the ascent of sam and asam; 0 is the papers', 0.05 and 0.5."`
	Noise           string  `json:"noise" help:"Noise added to gradients: sigma:B, diagonal:B or isotropic:B make it as large as that of batches of B samples, with the covariance of the samples' gradients, its diagonal, or the same in every direction; gaussian:S has standard deviation S."`
	Schedule        string  `json:"schedule" help:"Learning-rate schedule: constant, step:K:F (K steps, or Ke epochs), cosine[:FINAL], linear[:FINAL] or one-cycle[:PEAK[:DIV[:FINALDIV]]]."`
	Warmup          int     `json:"warmup" help:"Steps in which the rate rises linearly to the schedule."`
	Sampling        string  `json:"sampling" help:"Batches: shuffle (each epoch a permutation), replacement, or full (the whole training set each step)."`

	Until      string `json:"until" help:"Stop once a target is met: test-loss:X, test-accuracy:X, train-loss:X or train-accuracy:X. --epochs or --steps is then the most that a run takes."`
	UntilEvery int    `json:"until-every" help:"Look for the target of --until every K steps, train values being means since the last look; 0 is at the end of every epoch."`

	Measure         string  `json:"measure" help:"What to measure: none, all, everything, or a comma list of sets (noise, flatness, economy, business, full) and quantities; see sgflow measures."`
	MeasureEvery    int     `json:"measure-every" help:"Flatness every K steps; noise is every step."`
	MeasureLog      int     `json:"measure-log" help:"Flatness at this many steps a decade, evenly spaced on a logarithmic scale, instead of every K steps; 0 is off."`
	FlatnessSamples int     `json:"flatness-samples" help:"Measure flatness on this many training samples, chosen once; 0 is the current batch."`
	FlatnessTol     float64 `json:"flatness-tol" help:"Residual, as a share of lambda_max, at which lambda_max is good (with --measure-every above 1)."`
	FlatnessIters   int     `json:"flatness-iters" help:"Most Hessian-vector products for one lambda_max (with --measure-every above 1)."`
	FlatnessWindow  int     `json:"flatness-window" help:"Random probes that the estimate of the trace is a mean of."`

	Batches  `yaml:",inline"`
	Averages `yaml:",inline"`
	Reach    `yaml:",inline"`

	Trajectory    string `json:"trajectory" help:"Keep points of the path in the run folder, for sgflow landscape: every K steps, or log (20 a decade of steps); the first and the last are always kept."`
	TrajectoryDim int    `json:"trajectory-dim" help:"Keep a random projection of each point to this many numbers, which keeps distances only; 0 keeps points in full."`

	Out             string  `json:"out" help:"Run folder; runs/<time>-<model>-<data> where not given."`
	CheckpointEvery float64 `json:"checkpoint-every" help:"Seconds between checkpoints within an epoch."`
}

// Default returns the configuration of a run of which nothing is asked.
func Default() Config {
	return Config{
		Problem: problem.Default(),
		Batch:   64, Epochs: 5, LR: 0.1,
		Optimizer: optim.SGD, Beta1: optim.DefaultBeta1, Beta2: optim.DefaultBeta2, Epsilon: optim.DefaultEpsilon,
		Schedule: optim.Constant, Sampling: string(data.Shuffle),
		Measure: "all", MeasureEvery: 1, FlatnessTol: 0.01, FlatnessIters: 50, FlatnessWindow: 32,
		Batches:         Batches{BatchSchedule: optim.Constant},
		Reach:           defaultReach(),
		CheckpointEvery: 30,
	}
}

// Validate does for a training run what [problem.Problem.Validate] does for its
// problem, which it includes.
func (c *Config) Validate() error {
	if err := c.Problem.Validate(); err != nil {
		return err
	}
	if err := c.validateCounts(); err != nil {
		return err
	}
	if err := optim.ValidateLR(c.LR); err != nil {
		return request.Wrap(err)
	}
	if err := c.optimizer().Validate(); err != nil {
		return request.Wrap(err)
	}
	if _, err := c.schedule(1); err != nil {
		return err
	}
	if _, err := measure.ParseSelection(c.Measure); err != nil {
		return request.Wrap(err)
	}
	if _, err := parseInjection(c.Noise); err != nil {
		return err
	}
	if _, err := c.sizes(0); err != nil {
		return err
	}
	if err := c.Averages.validate(); err != nil {
		return err
	}
	if err := c.validateTrajectory(); err != nil {
		return err
	}
	_, err := parseTarget(c.Until)
	return err
}

// validateCounts checks the settings that only have a range.
func (c *Config) validateCounts() error {
	for _, count := range []struct {
		flag  string
		value int
		least int
	}{
		{"batch", c.Batch, 1},
		{"epochs", c.Epochs, 1},
		{"steps", c.Steps, 0},
		{"warmup", c.Warmup, 0},
		{"until-every", c.UntilEvery, 0},
		{"measure-every", c.MeasureEvery, 1},
		{"measure-log", c.MeasureLog, 0},
		{"flatness-samples", c.FlatnessSamples, 0},
		{"flatness-iters", c.FlatnessIters, 1},
		{"flatness-window", c.FlatnessWindow, 1},
	} {
		if count.value < count.least {
			return request.BadValue(count.flag, count.value, "give %d or more", count.least)
		}
	}
	if !(c.FlatnessTol > 0 && c.FlatnessTol < 1) {
		return request.BadValue("flatness-tol", c.FlatnessTol, "give a share between 0 and 1, such as 0.01")
	}
	if err := c.Reach.validate(); err != nil {
		return err
	}
	if !(c.CheckpointEvery > 0) || math.IsInf(c.CheckpointEvery, 0) {
		return request.BadValue("checkpoint-every", c.CheckpointEvery, "give a number of seconds above 0")
	}
	return nil
}

// optimizer returns the optimizer that c asks for.
func (c *Config) optimizer() optim.Config {
	return optim.Config{
		Name: c.Optimizer, Momentum: c.Momentum, Nesterov: c.Nesterov, WeightDecay: c.WeightDecay,
		Beta1: c.Beta1, Beta2: c.Beta2, Epsilon: c.Epsilon, Temperature: c.SGLDTemperature, Rho: c.Rho,
	}
}

// IsSGD reports whether steps follow the batch's gradient, with momentum or without,
// and nothing is added to it: then the noise of training has SGD's temperature, and
// its edge of stability is at 2(1 + momentum)/lr.
func (c *Config) IsSGD() bool { return c.optimizer().IsSGD() && c.Noise == "" }

// Temperature returns lr/(batch·(1 − momentum)), the scale of the noise of SGD's
// stationary distribution; absent where training is not SGD, or where the sizes of
// its batches change.
func (c *Config) Temperature() record.Opt {
	if !c.IsSGD() || c.batchesVary() {
		return record.Opt{}
	}
	return record.Some(c.LR / (float64(c.Batch) * (1 - c.Momentum)))
}

// schedule returns the learning-rate schedule that c asks for.
func (c *Config) schedule(stepsPerEpoch int) (optim.Schedule, error) {
	s, err := optim.ParseSchedule(c.Schedule)
	if err == nil {
		s.Warmup, s.StepsPerEpoch = c.Warmup, stepsPerEpoch
		err = s.Validate()
	}
	return s, request.Wrap(err)
}
