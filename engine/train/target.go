package train

import (
	"math"
	"strconv"
	"strings"

	"sgflow/engine/request"
)

// target is what a run stops at.
type target struct {
	test     bool // of the test set; else of the training batches
	accuracy bool // at least value; else a loss, at most value
	value    float64
}

// targets are the names of what a target may be of.
var targets = []string{"test-loss", "test-accuracy", "train-loss", "train-accuracy"}

// parseTarget reads the setting until; "" is no target.
func parseTarget(setting string) (*target, error) {
	if setting == "" {
		return nil, nil
	}
	name, text, _ := strings.Cut(setting, ":")
	set, quantity, _ := strings.Cut(name, "-")
	t := &target{test: set == "test", accuracy: quantity == "accuracy"}
	known := false
	for _, n := range targets {
		known = known || n == name
	}
	if !known {
		return nil, request.Unknown("until", name, targets...)
	}
	var err error
	t.value, err = strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsNaN(t.value) || math.IsInf(t.value, 0):
		return nil, request.BadValue("until", setting, "give the target as a number: %s:0.5, say", name)
	case t.accuracy && !(t.value > 0 && t.value <= 1):
		return nil, request.BadValue("until", setting, "an accuracy is a share above 0 and at most 1")
	case !t.accuracy && t.value <= 0:
		return nil, request.BadValue("until", setting, "a loss is above 0")
	}
	return t, nil
}

// met reports whether loss and accuracy are as good as the target.
func (t *target) met(loss, accuracy float64) bool {
	if t.accuracy {
		return accuracy >= t.value
	}
	return loss <= t.value
}

// sums are sums over samples.
type sums struct {
	Loss    float64 `json:"loss"`
	Correct int     `json:"correct"`
	Samples int     `json:"samples"`
}

// lookDue reports whether it is time to look for the target; ended says that an
// epoch has.
func (t *trainer[T]) lookDue(ended bool) bool {
	switch {
	case t.until == nil:
		return false
	case t.c.UntilEvery == 0:
		return ended
	}
	return t.at%t.c.UntilEvery == 0 || t.done()
}

// look finds out whether the target is met.
func (t *trainer[T]) look() {
	p := &t.progress
	loss, correct, n := p.Look.Loss/float64(p.Look.Samples), p.Look.Correct, p.Look.Samples
	if t.until.test {
		loss, correct = t.test.Forward(t.tests)
		n = len(t.tests)
	}
	p.Look = sums{}
	p.Reached = t.until.met(loss, float64(correct)/float64(n))
}
