package analysis

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/floats/scalar"

	"sgflow/engine/nearest"
	"sgflow/engine/record"
)

// Target is a loss to fall to, or an accuracy to rise to.
type Target struct {
	Test     bool // of the test set, at the ends of epochs; else of the training batches
	Accuracy bool // a share of samples; else a loss
	Value    float64
}

// targetNames are the names of what a target may be of, as --until has them.
var targetNames = []string{"train-loss", "train-accuracy", "test-loss", "test-accuracy"}

// ParseTarget reads what [Target.String] writes: train-loss:X, train-accuracy:X,
// test-loss:X or test-accuracy:X.
func ParseTarget(text string) (Target, error) {
	name, number, _ := strings.Cut(text, ":")
	if !slices.Contains(targetNames, name) {
		return Target{}, fmt.Errorf("%q: did you mean %s:X? There are %s", text, nearest.Name(name, targetNames), strings.Join(targetNames, ", "))
	}
	t := Target{Test: strings.HasPrefix(name, "test"), Accuracy: strings.HasSuffix(name, "accuracy")}
	var err error
	t.Value, err = strconv.ParseFloat(number, 64)
	switch {
	case err != nil || !finite(t.Value):
		return Target{}, fmt.Errorf("%q: give the target as a number: %s:0.5, say", text, name)
	case t.Accuracy && !(t.Value > 0 && t.Value < 1):
		return Target{}, fmt.Errorf("%q: an accuracy is a share above 0 and below 1", text)
	case !t.Accuracy && t.Value <= 0:
		return Target{}, fmt.Errorf("%q: a loss is above 0", text)
	}
	return t, nil
}

// String returns the target as --until takes it.
func (t Target) String() string { return t.name() + ":" + strconv.FormatFloat(t.Value, 'g', -1, 64) }

func (t Target) name() string {
	i := 0
	if t.Accuracy {
		i++
	}
	if t.Test {
		i += 2
	}
	return targetNames[i]
}

// Words returns the target in words.
func (t Target) Words() string {
	set := "training"
	if t.Test {
		set = "test"
	}
	if t.Accuracy {
		return fmt.Sprintf("%s accuracy %.4g %%", set, 100*t.Value)
	}
	return fmt.Sprintf("%s loss %g", set, t.Value)
}

// Smoothing is how far around a step, as a share of it, the mean reaches that is
// compared with a target. A share, so that curves which differ in their speed alone
// are smoothed alike, whatever the batch size.
const Smoothing = 0.1

// wrong turns a value of the target's quantity into one that falls to its level:
// the loss itself, or the share that is classified wrongly.
func (t Target) wrong(x float64) float64 {
	if t.Accuracy {
		return 1 - x
	}
	return x
}

// place is a point of a run's curve: the updates made, and the loss or the share
// that is wrong.
type place struct{ step, value float64 }

// curve returns the quantity of the target over a run: of the training batches the
// mean over the steps within Smoothing of each, of the test set as it was
// evaluated.
func (t Target) curve(r *Run) []place {
	if t.Test {
		var list []place
		for _, e := range r.Evaluations {
			value := e.Loss
			if t.Accuracy {
				value = e.Accuracy
			}
			if x, ok := value.Get(); ok {
				list = append(list, place{float64(e.Steps), t.wrong(x)})
			}
		}
		return list
	}
	values := r.Loss
	if t.Accuracy {
		values = r.Accuracy
	}
	sums := make([]float64, len(values)+1) // of the first values
	for i, x := range values {
		sums[i+1] = sums[i] + t.wrong(x)
	}
	var list []place
	for i := range values {
		low, high := int(math.Ceil((1-Smoothing)*float64(i))), int((1+Smoothing)*float64(i))
		if high >= len(values) {
			break
		}
		list = append(list, place{float64(i), (sums[high+1] - sums[low]) / float64(high+1-low)})
	}
	return list
}

// Steps returns how many updates the run had made when it first reached the
// target. A run that stopped at this very target says so itself; else its curve
// does, interpolated between its points. It reports false for a run that never
// reached the target, or had at the first point of its curve already.
func (t Target) Steps(r *Run) (float64, bool) {
	if r.Until == t.String() {
		return float64(r.Steps), r.Reached && r.Steps > 0
	}
	level := t.wrong(t.Value)
	var before place
	for i, p := range t.curve(r) {
		if p.value <= level {
			share := (before.value - level) / (before.value - p.value)
			return before.step + share*(p.step-before.step), i > 0
		}
		before = p
	}
	return 0, false
}

// NoiseOnReaching returns the means of tr Σ and |G|² over the steps within Smoothing
// of the one at which the run reached the target; absent where it did not, or nothing
// was measured there.
func (t Target) NoiseOnReaching(r *Run) (variance, norm record.Opt) {
	steps, ok := t.Steps(r)
	if !ok {
		return record.Opt{}, record.Opt{}
	}
	low, high := int(math.Ceil((1-Smoothing)*steps)), int((1+Smoothing)*steps)
	var v, g, n float64
	for i := low; i <= high && i < len(r.Noise); i++ {
		a, okA := r.Noise[i].VarTrace.Get()
		b, okB := r.Noise[i].NormSq.Get()
		if okA && okB {
			v, g, n = v+a, g+b, n+1
		}
	}
	if n == 0 {
		return record.Opt{}, record.Opt{}
	}
	return some(v / n), some(g / n)
}

// targetShare is the share of the batch sizes that a chosen target is reached at.
const targetShare = 0.75

// ChooseTarget returns the lowest training loss that three quarters of the batch
// sizes reach, each at its best setting with every seed, rounded up to two
// digits. It reports false where there are no curves.
func (p *Problem) ChooseTarget() (Target, bool) {
	var least []float64 // of each batch size
	for _, batch := range p.Batches() {
		best := math.Inf(1)
		for _, g := range p.Groups {
			if g.Setting.Batch == batch {
				best = min(best, worstLeast(g))
			}
		}
		if finite(best) {
			least = append(least, best)
		}
	}
	if len(least) == 0 {
		return Target{}, false
	}
	slices.Sort(least)
	x := least[int(math.Ceil(targetShare*float64(len(least))))-1]
	if x <= 0 {
		return Target{}, false
	}
	digits := 1 - int(math.Floor(math.Log10(x)))
	return Target{Value: scalar.Round(x*1.0001+0.5*math.Pow10(-digits), digits)}, true
}

// worstLeast returns the largest over the runs of the least smoothed loss.
func worstLeast(g *Group) float64 {
	if len(g.Runs) == 0 || len(g.Unfinished) > 0 {
		return math.Inf(1)
	}
	worst := math.Inf(-1)
	for _, r := range g.Runs {
		least := math.Inf(1)
		for _, p := range (Target{}).curve(r) {
			least = min(least, p.value)
		}
		worst = max(worst, least)
	}
	return worst
}

// BatchRow is how a batch size did on the way to a target, at the setting that
// reached it in the fewest steps.
type BatchRow struct {
	Batch    int
	Settings int    // of this batch size that were tried
	Group    *Group // nil where no setting reached the target with every seed
	Steps    Estimate
	Samples  Estimate
}

// NoiseScale returns the noise scale where the runs reached the target: the ratio of
// the means of tr Σ and |G|² over steps and runs.
func (b *BatchRow) NoiseScale(t Target) (Estimate, bool) {
	if b.Group == nil {
		return Estimate{}, false
	}
	var variances, norms []record.Opt
	for _, r := range b.Group.Runs {
		v, g := t.NoiseOnReaching(r)
		variances, norms = append(variances, v), append(norms, g)
	}
	return RatioOf(variances, norms)
}

// ToTarget returns a row for each batch size, and the runs of the best settings
// for [FitTradeOff]. That the best is chosen by the same runs makes it look a
// little better than it is.
func (p *Problem) ToTarget(t Target) (rows []BatchRow, reached []Reached) {
	for _, batch := range p.Batches() {
		row := BatchRow{Batch: batch}
		var best []Reached
		for _, g := range p.Groups {
			if g.Setting.Batch != batch {
				continue
			}
			row.Settings++
			list, ok := t.reachedBy(g)
			if !ok {
				continue
			}
			steps := make([]record.Opt, len(list))
			samples := make([]record.Opt, len(list))
			for i, r := range list {
				steps[i], samples[i] = record.Some(r.Steps), record.Some(r.Steps*float64(batch))
			}
			if e, ok := MeanOf(steps); ok && (row.Group == nil || e.Mean < row.Steps.Mean) {
				row.Group, row.Steps, best = g, e, list
				row.Samples, _ = MeanOf(samples)
			}
		}
		rows = append(rows, row)
		reached = append(reached, best...)
	}
	return rows, reached
}

// reachedBy returns when the runs of g reached the target, and whether all did.
func (t Target) reachedBy(g *Group) ([]Reached, bool) {
	if len(g.Runs) == 0 || len(g.Unfinished) > 0 {
		return nil, false
	}
	var list []Reached
	for _, r := range g.Runs {
		steps, ok := t.Steps(r)
		if !ok {
			return nil, false
		}
		list = append(list, Reached{Batch: g.Setting.Batch, Seed: r.Seed, Steps: steps})
	}
	return list, true
}
