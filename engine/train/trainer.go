package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/measure"
	"sgflow/engine/optim"
	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/request"
	"sgflow/engine/trajectory"
)

// trainer is a run under way.
type trainer[T engine.Float] struct {
	c *Config
	p *problem.Opened
	r Reporter

	session   *engine.Session[T]
	objective *measure.Objective[T] // of the training set
	test      *measure.Objective[T]
	monitor   *measure.Monitor[T]
	sampler   *data.Sampler
	sizes     *sizes
	schedule  optim.Schedule
	updater   *updater[T]
	averages  *averages[T]
	injector  *injector[T] // nil where gradients get no noise
	steps     int          // in the whole run; unknown for epochs of adaptive batches, and then more than will be taken
	epochs    int          // of the whole run, the last perhaps in part; as steps where they are unknown
	until     *target      // nil where the run goes through all its steps
	ahead     *ahead[T]    // nil where steps are taken one by one

	path   *trajectory.Writer[T] // nil where no points are kept
	keep   trajectory.Steps
	folder *record.Folder
	run    *record.Run

	at       int // steps done
	progress progress
	saved    int       // steps done at the last checkpoint
	savedAt  time.Time // when that was
	epochAt  time.Time // since when this process is in the epoch
	line     record.Step
	indices  []int32 // of a step
	tests    []int32 // of the test set
}

// progress is what a run remembers beside arrays; it is part of a checkpoint.
type progress struct {
	// Sums over the steps of the epoch under way.
	Loss    float64 `json:"loss"` // of all samples
	Correct int     `json:"correct"`
	Samples int     `json:"samples"`
	// EpochSeconds were spent in the epoch under way, by earlier processes too.
	EpochSeconds float64 `json:"epoch_seconds"`
	// Look holds the same sums over the steps since the target was last looked
	// for, and Reached says that it was met.
	Look    sums `json:"look,omitzero"`
	Reached bool `json:"reached,omitempty"`
	// Time is Σ η over the steps done.
	Time float64 `json:"time,omitempty"`
	// SWA is how far the average of equal weights is.
	SWA swaState `json:"swa,omitzero"`
	// Place is where in the training set the run is, and Size what sizes of batches
	// that adapt remember.
	Place data.Place `json:"place,omitzero"`
	Size  sizeState  `json:"size,omitzero"`
	// Summary is as of the last epoch that ended.
	Summary record.Summary `json:"summary"`
}

// newTrainer makes all that a run needs but its folder. Close frees it.
func newTrainer[T engine.Float](c *Config, p *problem.Opened, r Reporter) (*trainer[T], error) {
	t := &trainer[T]{c: c, p: p, r: r}
	var err error
	t.sampler, err = data.NewSampler(data.Sampling(c.Sampling), p.Train.N, c.Batch, c.Seed)
	if err != nil {
		return nil, request.Wrap(err)
	}
	if t.sizes, err = c.sizes(p.Train.N); err != nil {
		return nil, err
	}
	largest := t.plan()
	t.schedule, err = c.schedule(t.sampler.StepsPerEpoch())
	if err != nil {
		return nil, err
	}
	if t.until, err = parseTarget(c.Until); err != nil {
		return nil, err
	}
	selection, err := measure.ParseSelection(c.Measure)
	if err != nil {
		return nil, request.Wrap(err)
	}
	subset, err := c.flatnessSubset(p.Train.N)
	if err != nil {
		return nil, err
	}
	if t.keep, err = trajectory.ParseSteps(c.Trajectory); err != nil {
		return nil, request.Wrap(err)
	}
	if err := p.Compile(selection.Flatness()); err != nil {
		return nil, err
	}
	if err := t.checkPath(); err != nil {
		return nil, err
	}
	injection, err := c.injection(p)
	if err != nil {
		return nil, err
	}
	swa, err := c.swa(p)
	if err != nil {
		return nil, err
	}
	t.session, err = problem.NewSession[T](p, max(largest, len(subset)))
	if err != nil {
		return nil, err
	}
	t.updater = newUpdater(c, t.session)
	t.averages = newAverages(&c.Averages, swa, t.session)
	t.test = problem.NewObjective(p, t.session, p.Set.Test)
	t.tests = problem.Sequence(0, p.Set.Test.N)
	t.objective = problem.NewObjective(p, t.session, p.Train)
	t.injector = newInjector(injection, t.objective, c.Seed)
	t.monitor = measure.NewMonitor(t.objective, measure.Config{
		Select: selection, Every: c.MeasureEvery, Window: c.FlatnessWindow,
		Tol: c.FlatnessTol, MaxProducts: c.FlatnessIters, Seed: c.Seed, Subset: subset,
		PerDecade: c.MeasureLog, Converge: selection.Converged(), Momentum: c.Momentum,
		Plain: c.optimizer().Plain() && injection == nil, NotSGD: !c.IsSGD(), Ascends: c.optimizer().IsSAM(),
		Norms: injection.norms() || t.sizes.rule != "", Reach: c.Reach.reach(),
	})
	t.ahead = newAhead(t)
	if err := t.session.Err(); err != nil { // such as too little memory for the data
		t.session.Close()
		return nil, fmt.Errorf("train: %w", err)
	}
	t.progress.Summary = record.Summary{Device: p.Device.Name, Params: len(t.session.Params())}
	return t, nil
}

// flatnessSubset returns the samples that flatness is measured on, spread
// evenly over the training set, or nil for the current batch.
func (c *Config) flatnessSubset(n int) ([]int32, error) {
	m := c.FlatnessSamples
	if m > n {
		return nil, request.BadValue("flatness-samples", m, "the training set has %d: give at most %d", n, n)
	}
	var subset []int32
	for i := range m {
		subset = append(subset, int32(i*n/m))
	}
	return subset, nil
}

// close frees what the run holds. The error is that of the logs.
func (t *trainer[T]) close() error {
	t.session.Close()
	if t.folder == nil {
		return nil
	}
	return errors.Join(t.path.Close(), t.folder.Close())
}

// loop takes all steps that are left, and returns ErrInterrupted where ctx
// ends before them. On any error what was logged stays.
func (t *trainer[T]) loop(ctx context.Context) error {
	t.r.Started(t.info())
	t.savedAt, t.epochAt = time.Now(), time.Now()
	for !t.over() {
		if ctx.Err() != nil && t.settled() {
			return t.interrupted()
		}
		if err := t.advance(ctx); err != nil {
			return err
		}
		epoch := t.progress.Place.Epoch
		t.averages.stepped(&t.progress.SWA, t.at, epoch, epoch != t.line.Epoch)
		ended := t.done() || epoch != t.line.Epoch
		if t.lookDue(ended) {
			t.look()
		}
		if err := t.keepPoint(); err != nil {
			return err
		}
		if ended = ended || t.progress.Reached; ended {
			if err := t.endEpoch(); err != nil {
				return err
			}
		}
		if t.settled() && t.saveDue(ended) {
			if err := t.save(); err != nil {
				return err
			}
		}
	}
	return t.finish()
}

// over reports whether there is no step left to take.
func (t *trainer[T]) over() bool { return t.done() || t.progress.Reached }

// done reports whether as many steps or epochs as were asked for are taken.
func (t *trainer[T]) done() bool {
	return t.at == t.steps || t.c.Steps == 0 && t.progress.Place.Epoch == t.c.Epochs
}

// plan sets how many steps the run takes and returns the largest of its batches.
func (t *trainer[T]) plan() (largest int) {
	epochs := t.c.Epochs
	if t.c.Steps > 0 {
		epochs = 0
	}
	var ok bool
	t.steps, t.epochs, largest, ok = t.sizes.plan(t.sampler, t.c.Steps, epochs)
	if !ok && t.steps == 0 {
		t.steps = math.MaxInt
	}
	if !ok && t.epochs == 0 {
		t.epochs = math.MaxInt
	}
	return largest
}

// rate returns the learning rate of the next step. Where batch sizes change, a run
// of epochs counts samples instead of steps, and so do periods of epochs: as many
// samples as --batch has are a step of the schedule.
func (t *trainer[T]) rate() float64 {
	step, steps := t.at, t.steps
	if t.sizes.varies() && (t.c.Steps == 0 || t.schedule.EveryEpochs) {
		per, p := t.sampler.StepsPerEpoch(), t.progress.Place
		step, steps = p.Epoch*per+p.Seen/t.c.Batch, t.c.Epochs*per
	}
	return t.schedule.LR(t.c.LR, step, steps)
}

// advance takes one step: measure, update, log. It allocates nothing.
func (t *trainer[T]) advance(ctx context.Context) error {
	if t.ahead != nil {
		if err := t.take(ctx); err != nil {
			return err
		}
		return t.logTaken()
	}
	began := time.Now()
	place := t.progress.Place
	size := t.sizes.at(t.at, place, &t.progress.Size)
	t.indices = t.sampler.From(place, t.at, size, t.indices)
	lr := t.rate()
	t.line.Step, t.line.Epoch, t.line.LR = t.at, place.Epoch, lr
	err := t.monitor.Step(t.at, t.indices, &t.line)
	if err == nil {
		if t.sizes.rule != "" {
			if noise, ok := t.monitor.Noise(); ok {
				t.sizes.learn(&t.progress.Size, size, noise)
			}
		}
		t.update(lr)
		err = t.monitor.Updated(&t.line)
	}
	if failed := t.session.Err(); failed != nil {
		return t.failed(fmt.Errorf("step %d: %w", t.at, failed))
	}
	if errors.Is(err, measure.ErrDiverged) {
		return t.diverged(err)
	}
	if err != nil {
		return fmt.Errorf("train: step %d: %w", t.at, err)
	}
	now := time.Now()
	t.line.MS.Set("step", math.Round(float64(now.Sub(began))/1e3)/1e3)
	return t.log(now)
}

// update moves the parameters along the gradient that was measured.
func (t *trainer[T]) update(lr float64) {
	noisy := false // that follows from the samples' gradients here: before any ascent
	if t.injector != nil {
		var own measure.GradientNoise
		if t.injector.norms() {
			own, _ = t.monitor.Noise()
		}
		noisy = t.injector.draw(t.at, len(t.indices), own)
	}
	if t.updater.IsSAM() {
		measure.Ascend(t.objective, measure.SAMConfig{Rho: t.updater.Rho, Adaptive: t.updater.Name == optim.ASAM})
	}
	if noisy {
		t.session.Axpy(1, t.injector.noise, t.session.Grad())
	}
	t.updater.step(t.at, lr)
}

// log writes the line of a step that was taken.
func (t *trainer[T]) log(now time.Time) error {
	if err := t.folder.Step(&t.line, now); err != nil {
		return t.failed(err)
	}
	t.progress.add(&t.line)
	t.progress.Place = t.sampler.After(t.progress.Place, t.line.Samples)
	t.at++
	t.r.Stepped(&t.line)
	return nil
}

// add counts a step's samples.
func (p *progress) add(s *record.Step) {
	n := float64(s.Samples)
	share, _ := s.Accuracy.Get()
	p.Loss += s.Loss * n
	p.Correct += int(math.Round(share * n))
	p.Samples += s.Samples
	p.Time += s.LR
	p.Look.Loss += s.Loss * n
	p.Look.Correct += int(math.Round(share * n))
	p.Look.Samples += s.Samples
}

// endEpoch evaluates the test set, logs the epoch and starts the sums anew.
func (t *trainer[T]) endEpoch() error {
	p, s := &t.progress, &t.progress.Summary
	n := float64(p.Samples)
	s.Steps, s.Epochs = t.at, t.line.Epoch+1
	s.TrainLoss, s.TrainAccuracy = record.Some(p.Loss/n), record.Some(float64(p.Correct)/n)
	loss, correct := t.test.Forward(t.tests)
	if err := t.session.Err(); err != nil {
		return t.failed(fmt.Errorf("test of epoch %d: %w", t.line.Epoch, err))
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return t.diverged(fmt.Errorf("the test loss is %g", loss))
	}
	s.TestLoss, s.TestAccuracy = record.Some(loss), record.Some(float64(correct)/float64(len(t.tests)))
	s.Averaged = t.evaluate()
	t.clock()
	epoch := record.Epoch{
		Epoch: t.line.Epoch, Step: t.at - 1, TrainLoss: s.TrainLoss, TrainAccuracy: s.TrainAccuracy,
		TestLoss: s.TestLoss, TestAccuracy: s.TestAccuracy, Averaged: s.Averaged, Seconds: p.EpochSeconds,
	}
	if err := t.folder.Epoch(&epoch, time.Now()); err != nil {
		return t.failed(err)
	}
	if tensors := t.monitor.ParameterTensors(); tensors != nil {
		if err := t.folder.SaveVariance(tensors); err != nil {
			return t.failed(err)
		}
	}
	*p = progress{Summary: *s, Look: p.Look, Reached: p.Reached, SWA: p.SWA, Place: p.Place, Size: p.Size, Time: p.Time}
	t.r.EpochEnded(&epoch)
	return nil
}

// clock adds the time since it was last called to the run's and the epoch's.
func (t *trainer[T]) clock() {
	now := time.Now()
	spent := now.Sub(t.epochAt).Seconds()
	t.epochAt = now
	t.progress.EpochSeconds += spent
	t.progress.Summary.Seconds += spent
}

// finish writes the final weights and the summary.
func (t *trainer[T]) finish() error {
	if err := t.folder.SaveWeights(t.params()); err != nil {
		return t.failed(err)
	}
	err := t.averages.each(&t.progress.SWA, func(name string, average []T) error {
		return t.folder.SaveAverage(name, t.tensors(average))
	})
	if err != nil {
		return t.failed(err)
	}
	t.progress.Summary.Out = t.folder.Dir()
	if t.until != nil {
		t.progress.Summary.Reached = &t.progress.Reached
	}
	t.run.Costs = t.monitor.Costs()
	t.r.Measured(t.run.Costs)
	t.run.Summary, t.run.Finished = &t.progress.Summary, time.Now()
	if err := t.folder.WriteRun(t.run); err != nil {
		return t.failed(err)
	}
	return nil
}

// diverged is the error of a run whose numbers stopped being finite.
func (t *trainer[T]) diverged(what error) error {
	return &divergence{fmt.Sprintf("train: step %d: training diverged at learning rate %g: %s; try a lower --lr, or --warmup. "+
		"The log and the checkpoint of step %d are kept in %s",
		t.at, t.line.LR, strings.TrimPrefix(what.Error(), measure.ErrDiverged.Error()+": "), t.saved, t.folder.Dir())}
}

// failed adds to an error of the run folder how to go on.
func (t *trainer[T]) failed(err error) error {
	return fmt.Errorf("train: %w; what was logged is kept: when that is put right, go on with `sgflow train --resume %s`", err, t.folder.Dir())
}

// info describes the run to the reporter.
func (t *trainer[T]) info() *Info {
	i := &Info{
		Config: t.c, Classes: t.p.Set.Classes, Train: t.p.Train.N, Test: t.p.Set.Test.N, Params: len(t.session.Params()),
		Spec: t.p.Spec.String(), Device: t.p.Device, Why: t.p.Why, Threads: t.p.Threads(),
		Out: t.folder.Dir(), First: t.at, Steps: t.steps, Epochs: t.epochs, StepsPerEpoch: t.sampler.StepsPerEpoch(),
	}
	if t.steps == math.MaxInt {
		i.Steps = t.c.Epochs * i.StepsPerEpoch
	}
	if t.epochs == math.MaxInt {
		i.Epochs = (i.Steps + i.StepsPerEpoch - 1) / i.StepsPerEpoch
	}
	for _, l := range t.p.Layers {
		i.Layers = append(i.Layers, fmt.Sprintf("%-16s %s", l.Layer, l.Out))
	}
	return i
}
