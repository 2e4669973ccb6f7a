package reproduce

import (
	"context"
	"os"
	"testing"
)

// A verdict that changes with the seed is a coincidence.
func TestVerdictsAreTheSameForThreeBaseSeeds(t *testing.T) {
	if os.Getenv("SGFLOW_VERDICTS") == "" { // longer than the other slow tests together
		t.Skip("takes an hour: set SGFLOW_VERDICTS=1 to run it, with -timeout 3h")
	}
	for _, e := range Experiments {
		t.Run(e.Name, func(t *testing.T) {
			verdicts := map[Verdict]int{}
			for base := range uint64(3) {
				l, err := NewLab(Config{Quick: true, Seed: base})
				if err != nil {
					t.Fatal(err)
				}
				r, err := e.Check(context.Background(), l)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("base seed %d, %.0f s: %s: %s", base, r.Seconds, r.Outcome.Verdict, r.Outcome.Why)
				verdicts[r.Outcome.Verdict]++
			}
			if len(verdicts) != 1 {
				t.Errorf("verdicts %v", verdicts)
			}
		})
	}
}
