package train

import (
	"testing"

	"sgflow/engine/steps"
)

// A Start takes some 50 ms, and has at least a step, at most as many as one may have, and
// where there are so many a multiple of those that are one piece of work.
func TestStartsAreOfSomeMilliseconds(t *testing.T) {
	for ms, want := range map[float64]int{1e-3: steps.Most, 0.5: 96, 0.52: 96, 2: 24, 6: 8, 6.4: 7, 30: 1, 1e4: 1} {
		a := ahead[float32]{ms: ms}
		if a.learn(); a.most != want {
			t.Errorf("steps of %v ms: %d at once, want %d", ms, a.most, want)
		}
	}
}
