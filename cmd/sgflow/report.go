package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"sgflow/engine/optim"
	"sgflow/engine/record"
	"sgflow/engine/train"
)

// report shows what a run does: a header, its progress, and a table at the
// end. It is a train.Reporter.
type report struct {
	console *console
	now     func() time.Time

	steps, perEpoch, epochs int // of the run
	first                   int // step of this process
	momentum                float64
	sgd                     bool // the optimizer has the edge of gradient descent
	began, shown            time.Time
	samples                 int // since shown
	rate                    float64
	noise, flatness         record.Numbers // the last that were measured
}

func newReport(w io.Writer) *report { return &report{console: newConsole(w), now: time.Now} }

// Started prints the header.
func (r *report) Started(i *train.Info) {
	r.steps, r.perEpoch, r.first = i.Steps, i.StepsPerEpoch, i.First
	r.epochs = i.Epochs
	r.momentum, r.sgd = i.Config.Momentum, i.Config.IsSGD()
	r.began = r.now()
	r.shown = r.began
	c := i.Config
	model := c.Model
	if i.Spec != model {
		model += " = " + i.Spec
	}
	r.field("model", "%s, %s parameters", model, grouped(i.Params))
	for _, layer := range i.Layers {
		r.field("", "%s", layer)
	}
	r.field("data", "%s: %s training and %s test samples, %d classes", c.Data, grouped(i.Train), grouped(i.Test), i.Classes)
	r.field("device", "%s (%s)", i.Device.Describe(i.Threads), i.Why)
	r.field("steps", "%s of %s, %s, learning rate %g", grouped(i.Steps), batch(i), c.Optimizer, c.LR)
	if text := sizes(c); text != "" {
		r.field("batches", "%s", text)
	}
	if c.Noise != "" {
		r.field("noise", "%s is added to gradients", c.Noise)
	}
	r.field("measure", "%s", measures(c))
	r.field("folder", "%s", i.Out)
	if i.First > 0 {
		r.field("resumed", "at step %s", grouped(i.First))
	}
}

// field prints a line of the header.
func (r *report) field(name, format string, args ...any) {
	r.console.line("%-8s %s", name, fmt.Sprintf(format, args...))
}

// batch says what a step consists of.
func batch(i *train.Info) string {
	if i.StepsPerEpoch == 1 {
		return "the whole training set"
	}
	return fmt.Sprintf("%d samples, %s an epoch", i.Config.Batch, grouped(i.StepsPerEpoch))
}

// sizes says how the sizes of batches change, "" where they don't.
func sizes(c *train.Config) string {
	switch {
	case c.AdaptiveBatch != "":
		return "adapted by " + c.AdaptiveBatch + ": the number of steps is what it would be without"
	case c.BatchSchedule != "" && c.BatchSchedule != optim.Constant:
		return c.BatchSchedule
	}
	return ""
}

// measures says what is measured how often.
func measures(c *train.Config) string {
	text := c.Measure
	if c.MeasureEvery > 1 {
		text += fmt.Sprintf(", flatness every %d steps", c.MeasureEvery)
	}
	if c.FlatnessSamples > 0 {
		text += fmt.Sprintf(", flatness on %d fixed samples", c.FlatnessSamples)
	}
	return text
}

// Stepped shows the step if the last one shown is old enough: a tenth of a
// second on a terminal; elsewhere a second, and more as the run gets older.
func (r *report) Stepped(s *record.Step) {
	if len(s.Noise) > 0 {
		r.noise = append(r.noise[:0], s.Noise...)
	}
	if len(s.Flatness) > 0 {
		r.flatness = append(r.flatness[:0], s.Flatness...)
	}
	r.samples += s.Samples
	now := r.now()
	since := now.Sub(r.shown)
	pause := min(max(now.Sub(r.began)/20, time.Second), 30*time.Second)
	if r.console.terminal() {
		pause = 100 * time.Millisecond
	}
	if since < pause {
		return
	}
	rate := float64(r.samples) / since.Seconds()
	if r.rate == 0 {
		r.rate = rate
	}
	r.rate += 0.2 * (rate - r.rate)
	r.shown, r.samples = now, 0
	r.console.status(r.fields(s, now, longLabels), r.fields(s, now, shortLabels))
}

// labels are the words of the progress line.
type labels struct{ epoch, step, loss, accuracy, noise, lambda, unstable, rate, left string }

var (
	longLabels  = labels{"epoch ", "step ", "loss ", "accuracy ", "noise scale ", "lambda_max ", " above the edge", " samples/s", " left"}
	shortLabels = labels{"ep ", "", "loss ", "acc ", "noise ", "lmax ", "!", "/s", ""} // for 80 columns
)

// fields returns the parts of the progress line, the most wanted first.
func (r *report) fields(s *record.Step, now time.Time, l labels) []string {
	done := s.Step + 1
	accuracy, _ := s.Accuracy.Get()
	fields := []string{
		fmt.Sprintf("%s%d/%d", l.epoch, s.Epoch+1, r.epochs),
		fmt.Sprintf("%s%d/%d", l.step, done, r.steps),
		fmt.Sprintf("%s%.3f", l.loss, s.Loss),
		fmt.Sprintf("%s%.0f%%", l.accuracy, 100*accuracy),
	}
	if x, ok := r.noiseScale(); ok {
		fields = append(fields, l.noise+short(x))
	}
	if x, ok := r.flatness.Get("lambda_max").Get(); ok {
		text := l.lambda + short(x)
		if r.sgd && x > r.edge(s.LR) {
			text += l.unstable
		}
		fields = append(fields, text)
	}
	left := now.Sub(r.began).Seconds() / float64(done-r.first) * float64(max(r.steps-done, 0))
	return append(fields, thousands(r.rate)+l.rate, clock(left)+l.left)
}

// edge is the curvature above which a step on a quadratic overshoots for good:
// 2/lr for gradient descent, 2(1+m)/lr with momentum m (Cohen et al. 2021,
// arXiv:2103.00065).
func (r *report) edge(lr float64) float64 { return 2 * (1 + r.momentum) / lr }

// noiseScale returns the averaged noise scale, or the last batch's.
func (r *report) noiseScale() (float64, bool) {
	if x, ok := r.noise.Get("noise_scale_ema").Get(); ok {
		return x, true
	}
	return r.noise.Get("noise_scale").Get()
}

// EpochEnded prints a line for the epoch, except where epochs are single
// steps.
func (r *report) EpochEnded(e *record.Epoch) {
	if r.perEpoch == 1 {
		return
	}
	r.console.line("epoch %d/%d  train loss %s, accuracy %s  test loss %s, accuracy %s%s  %s",
		e.Epoch+1, r.epochs, number(e.TrainLoss), percent(e.TrainAccuracy), number(e.TestLoss), percent(e.TestAccuracy),
		averaged(&e.Averaged, " (%s %s)"), clock(e.Seconds))
}

// averaged prints the test accuracies of the averages that there are, each with its
// name in the given form.
func averaged(a *record.Averaged, form string) (text string) {
	for _, average := range []struct {
		name     string
		accuracy record.Opt
	}{{"EMA", a.EMATestAccuracy}, {"SWA", a.SWATestAccuracy}} {
		if !average.accuracy.IsZero() {
			text += fmt.Sprintf(form, average.name, percent(average.accuracy))
		}
	}
	return text
}

// Measured prints what each quantity cost.
func (r *report) Measured(costs []record.Cost) {
	if len(costs) == 0 {
		return
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	title := "measured"
	if r.first > 0 {
		title = fmt.Sprintf("measured from step %s on", grouped(r.first))
	}
	fmt.Fprintf(w, "%s\ttimes\tms each\tmemory\t\n", title)
	for _, c := range costs {
		fmt.Fprintf(w, "%s\t%s\t%.3f\t%s\t\n", c.Name, grouped(c.Times), c.MS, memory(c.Bytes))
	}
	_ = w.Flush() // a strings.Builder takes every write
	for line := range strings.Lines(b.String()) {
		r.console.line("%s", strings.TrimRight(line, " \n"))
	}
}

// memory prints a number of bytes.
func memory(bytes int) string {
	switch {
	case bytes == 0:
		return "-"
	case bytes < 10_000:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 10_000_000:
		return fmt.Sprintf("%d kB", bytes/1000)
	}
	return fmt.Sprintf("%d MB", bytes/1_000_000)
}

// Warned prints a warning.
func (r *report) Warned(text string) { r.console.line("warning: %s", text) }

// end leaves the progress line.
func (r *report) end() { r.console.end() }

// table is the summary for people.
func (r *report) table(s *record.Summary) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name string, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	opt := func(name string, o record.Opt) {
		if x, ok := o.Get(); ok {
			row(name, "%s", short(x))
		}
	}
	row("train", "loss %s, accuracy %s (mean over the last epoch)", number(s.TrainLoss), percent(s.TrainAccuracy))
	row("test", "loss %s, accuracy %s", number(s.TestLoss), percent(s.TestAccuracy))
	if !s.EMATestLoss.IsZero() {
		row("test, EMA", "loss %s, accuracy %s", number(s.EMATestLoss), percent(s.EMATestAccuracy))
	}
	if !s.SWATestLoss.IsZero() {
		row("test, SWA", "loss %s, accuracy %s", number(s.SWATestLoss), percent(s.SWATestAccuracy))
	}
	if x, ok := r.noiseScale(); ok {
		row("noise scale", "%s samples", short(x))
	}
	opt("gradient variance", r.noise.Get("grad_var_trace"))
	if x, ok := r.flatness.Get("lambda_max").Get(); ok {
		residual, _ := r.flatness.Get("lambda_max_residual").Get()
		row("lambda_max", "%s (residual %s)", short(x), short(residual))
	}
	if x, ok := r.flatness.Get("trace").Get(); ok {
		stderr, _ := r.flatness.Get("trace_stderr").Get()
		row("Hessian trace", "%s ± %s", short(x), short(stderr))
	}
	opt("batch sharpness", r.flatness.Get("batch_sharpness"))
	row("steps", "%s in %s", grouped(s.Steps), clock(s.Seconds))
	row("folder", "%s", s.Out)
	_ = w.Flush() // a strings.Builder takes every write
	return b.String()
}

// number prints a loss.
func number(o record.Opt) string {
	x, _ := o.Get()
	return fmt.Sprintf("%.4f", x)
}

// percent prints a share.
func percent(o record.Opt) string {
	x, _ := o.Get()
	return fmt.Sprintf("%.2f%%", 100*x)
}

// short prints about three digits.
func short(x float64) string {
	if a := math.Abs(x); a >= 1000 && a < 1e9 {
		return grouped(int(math.Round(x)))
	}
	return fmt.Sprintf("%.3g", x)
}

// thousands prints about three digits, with a k for thousands.
func thousands(x float64) string {
	if x >= 1000 {
		return fmt.Sprintf("%.3gk", x/1000)
	}
	return fmt.Sprintf("%.3g", x)
}

// grouped prints a whole number with commas.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// clock prints seconds as 9.3s, 4:05 or 1:02:03.
func clock(seconds float64) string {
	if seconds < 59.95 {
		return fmt.Sprintf("%.1fs", seconds)
	}
	s := int(math.Round(seconds))
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
