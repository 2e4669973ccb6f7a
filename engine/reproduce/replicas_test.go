package reproduce

import (
	"math"
	"testing"
)

// around returns three values about a center, their spread being the standard
// deviation: the 95 % interval of their mean is center ± 2.48·spread.
func around(center, spread float64) []float64 {
	return []float64{center - spread, center, center + spread}
}

// wantVerdict fails the test unless o has the verdict, and is an outcome.
func wantVerdict(t *testing.T, o *Outcome, want Verdict) {
	t.Helper()
	if err := o.check(); err != nil {
		t.Errorf("no outcome: %v", err)
	}
	if o.Verdict != want {
		t.Errorf("verdict %s, want %s: %s", o.Verdict, want, o.Why)
	}
}

func TestReplicasOfLabsShareNoSeed(t *testing.T) {
	seen := map[uint64]bool{}
	for base := range uint64(3) {
		l, err := NewLab(Config{Seed: base})
		if err != nil {
			t.Fatal(err)
		}
		list := replicas(l, 4)
		if len(list) != 4*len(l.Seeds) {
			t.Errorf("%d replicas of %d seeds, want 4 of each", len(list), len(l.Seeds))
		}
		for _, s := range list {
			if seen[s] {
				t.Errorf("seed %d is there twice", s)
			}
			seen[s] = true
		}
	}
}

func TestAboveDecidesByTheInterval(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Verdict
	}{
		{around(1, 0.1), Confirmed}, {around(-1, 0.1), Contradicted}, {around(1, 1), Undecided},
		{[]float64{0, 0, 0}, Undecided}, {[]float64{1}, Undecided},
	} {
		if got := above(c.values); got != c.want {
			t.Errorf("above(%v) is %s, want %s", c.values, got, c.want)
		}
	}
}

func TestFactorSpreadIsSymmetricInLogarithms(t *testing.T) {
	s := factorSpread("", []float64{1}, [][]float64{{1, 10, 100}})
	p := s.Points[0]
	low, _ := p.Low.Get()
	high, _ := p.High.Get()
	if math.Abs(p.Y-10) > 1e-12 || math.Abs(math.Log(high/p.Y)-math.Log(p.Y/low)) > 1e-9 || !(low < 10) {
		t.Errorf("10-fold spread about 10 is %g (%g to %g)", p.Y, low, high)
	}
	// t quantile 4.3027 of two degrees of freedom, deviation ln 10, over √3.
	if want := 10 * math.Exp(4.302653*math.Ln10/math.Sqrt(3)); math.Abs(high/want-1) > 1e-5 {
		t.Errorf("upper end %g, want %g", high, want)
	}
}

// quickLab returns a quick lab on two threads.
func quickLab(t *testing.T) *Lab {
	t.Helper()
	l, err := NewLab(Config{Quick: true, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	return l
}
