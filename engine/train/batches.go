package train

import (
	"math"
	"strconv"
	"strings"

	"sgflow/data"
	"sgflow/engine/measure"
	"sgflow/engine/optim"
	"sgflow/engine/request"
)

// Batches are the settings of batch sizes that change on the way. Training is a
// function of the configuration still: sizes follow from the steps before.
type Batches struct {
	BatchSchedule string `json:"batch-schedule" help:"Batch sizes: constant, step:K:F (F times larger after every K steps, or Ke epochs) or at:K:B[:K:B...] (B samples from step K, or epoch Ke, on)."`
	AdaptiveBatch string `json:"adaptive-batch" help:"Batch sizes that follow the gradient's noise, from --batch on: norm-test:THETA grows them until the noise is at most THETA times the gradient, noise-scale:FACTOR makes them FACTOR times noise_scale_ema."`
	BatchMin      int    `json:"batch-min" help:"Smallest of batch sizes that change; 0 is 1, and 2 with --adaptive-batch."`
	BatchMax      int    `json:"batch-max" help:"Largest of batch sizes that change; 0 is the training set."`
}

// The rules of the setting adaptive-batch.
const (
	normTest   = "norm-test"
	noiseScale = "noise-scale"
)

// sizes gives the batch sizes of a run.
type sizes struct {
	base     int // --batch
	n        int // training samples
	least    int
	most     int
	schedule optim.BatchSchedule
	rule     string // of adaptive sizes, "" for others
	constant float64
}

// sizeState is what adaptive sizes remember; it is part of a checkpoint.
type sizeState struct {
	Size int `json:"size"` // of the next step
	// Averages of tr Σ̂ and of ‖ḡ‖² − tr Σ̂/n, whose ratio is noise_scale_ema.
	VarTrace float64 `json:"var_trace"`
	NormSq   float64 `json:"norm_sq"`
}

// parseAdaptive reads the setting adaptive-batch; "" is none.
func parseAdaptive(setting string) (rule string, constant float64, err error) {
	if setting == "" {
		return "", 0, nil
	}
	rule, text, _ := strings.Cut(setting, ":")
	if rule != normTest && rule != noiseScale {
		return "", 0, request.Unknown("adaptive-batch", rule, normTest, noiseScale)
	}
	constant, err = strconv.ParseFloat(text, 64)
	if err != nil || !(constant > 0) || math.IsInf(constant, 0) {
		return "", 0, request.BadValue("adaptive-batch", setting, "give its constant as a number above 0: %s:1, say", rule)
	}
	return rule, constant, nil
}

// batchesVary reports whether batches are not all of one size.
func (c *Config) batchesVary() bool {
	s, err := optim.ParseBatchSchedule(c.BatchSchedule)
	return err == nil && s.Varies() || c.AdaptiveBatch != ""
}

// sizes returns the batch sizes that c asks for of n training samples; where n is 0,
// what depends on it is not checked.
func (c *Config) sizes(n int) (*sizes, error) {
	s := &sizes{base: c.Batch, n: n, least: max(c.BatchMin, 1), most: n}
	var err error
	if s.schedule, err = optim.ParseBatchSchedule(c.BatchSchedule); err != nil {
		return nil, request.Wrap(err)
	}
	if s.rule, s.constant, err = parseAdaptive(c.AdaptiveBatch); err != nil {
		return nil, err
	}
	if c.BatchMax > 0 {
		s.most = c.BatchMax
	}
	adaptive := s.rule != ""
	if adaptive {
		s.least = max(s.least, 2)
	}
	bad := request.BadValue
	switch {
	case c.BatchMin < 0:
		return nil, bad("batch-min", c.BatchMin, "give 1 or more, or 0")
	case c.BatchMax < 0:
		return nil, bad("batch-max", c.BatchMax, "give 1 or more, or 0 for the training set")
	case c.BatchMin > 0 && !c.batchesVary():
		return nil, bad("batch-min", c.BatchMin, "batches have one size: give --batch-schedule or --adaptive-batch too")
	case c.BatchMax > 0 && !c.batchesVary():
		return nil, bad("batch-max", c.BatchMax, "batches have one size: give --batch-schedule or --adaptive-batch too")
	case s.schedule.Varies() && adaptive:
		return nil, bad("adaptive-batch", c.AdaptiveBatch, "--batch-schedule %s sets the sizes: give one of the two", c.BatchSchedule)
	case c.batchesVary() && c.Sampling == string(data.Full):
		return nil, bad("sampling", c.Sampling, "every step takes the whole training set, and its batches cannot change: use shuffle or replacement")
	case adaptive && c.BatchMin == 1:
		return nil, bad("batch-min", c.BatchMin, "a single sample says nothing of the noise: give 2 or more")
	case n > 0 && c.BatchMax > n:
		return nil, bad("batch-max", c.BatchMax, "the training set has %d: give at most %d", n, n)
	case c.batchesVary() && c.BatchMin > c.Batch:
		return nil, bad("batch-min", c.BatchMin, "the run begins with batches of %d: give at most that", c.Batch)
	case c.batchesVary() && c.BatchMax > 0 && c.BatchMax < c.Batch:
		return nil, bad("batch-max", c.BatchMax, "the run begins with batches of %d: give at least that", c.Batch)
	case adaptive && c.Batch < 2:
		return nil, bad("batch", c.Batch, "a single sample says nothing of the noise: begin with 2 or more")
	}
	return s, nil
}

// varies reports whether sizes may change.
func (s *sizes) varies() bool { return s.rule != "" || s.schedule.Varies() }

// at returns the batch size of a step at its place.
func (s *sizes) at(step int, p data.Place, state *sizeState) int {
	size := s.base
	switch {
	case s.rule == "":
		size = s.schedule.Size(s.base, s.most, step, p.Epoch)
	case state.Size > 0:
		size = state.Size
	}
	if !s.varies() {
		return size
	}
	return max(s.least, min(size, s.most))
}

// plan returns how many steps and epochs (the last perhaps in part) a run takes that
// has so many of one of the two, with the other 0, and the largest of its batches.
// ok is false for adaptive sizes, of which only the bounds are known.
func (s *sizes) plan(sampler *data.Sampler, steps, epochs int) (allSteps, allEpochs, largest int, ok bool) {
	if s.rule != "" {
		return steps, epochs, s.most, false
	}
	if !s.varies() {
		per := sampler.StepsPerEpoch()
		if steps == 0 {
			steps = epochs * per
		}
		return steps, (steps + per - 1) / per, sampler.MaxBatch(), true
	}
	var p data.Place
	step := 0
	for ; step < steps || steps == 0 && p.Epoch < epochs; step++ {
		size := s.at(step, p, nil)
		largest = max(largest, size)
		p = sampler.After(p, size)
	}
	if p.Seen > 0 {
		p.Epoch++
	}
	return step, p.Epoch, largest, true
}

// averageDecay is that of noise_scale_ema.
const averageDecay = 0.99

// learn sets the size of the next step by the noise of a step of n samples. A size
// at most doubles or halves from step to step, as single batches say little.
//
// With norm-test:θ (Byrd, Chin, Nocedal and Wu 2012, doi:10.1007/s10107-012-0572-5,
// eq. 3.9), a batch is large enough where tr Σ̂/n ≤ θ²‖ḡ‖². One that is not is
// followed by the smallest that would have been, ⌈tr Σ̂/(θ²‖ḡ‖²)⌉; sizes never
// shrink. With noise-scale:f the next size is f·⟨tr Σ̂⟩/⟨‖ḡ‖² − tr Σ̂/n⟩, rounded,
// of the averages behind noise_scale_ema (McCandlish et al. 2018, arXiv:1812.06162,
// whose critical batch size is about f = 1), where that is positive.
func (s *sizes) learn(state *sizeState, size int, g measure.GradientNoise) {
	v, ok := g.VarTrace()
	if !ok {
		return
	}
	state.Size = size
	want := float64(size)
	if s.rule == normTest {
		if bound := s.constant * s.constant * g.NormSq; v > bound*float64(g.Samples) {
			want = max(want, math.Ceil(v/bound)) // +Inf for a gradient of 0
		}
	} else {
		d, _ := g.NormSqUnbiased()
		state.VarTrace = averageDecay*state.VarTrace + (1-averageDecay)*v
		state.NormSq = averageDecay*state.NormSq + (1-averageDecay)*d
		if state.NormSq > 0 {
			want = math.Round(s.constant * state.VarTrace / state.NormSq)
		}
	}
	want = max(float64(size)/2, min(want, 2*float64(size)))
	state.Size = int(max(float64(s.least), min(math.Ceil(want), float64(s.most))))
}
