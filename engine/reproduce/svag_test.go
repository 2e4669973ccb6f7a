package reproduce

import (
	"context"
	"testing"
)

func TestSVAGVerdicts(t *testing.T) {
	// runs end at accuracy and loss of SGD's times these, of three seeds.
	runs := func(off, ratio float64) (list []*svagRun) {
		for seed := range 3 {
			r := &svagRun{}
			for k := range svagLs {
				accuracy, loss := &curve{}, &curve{}
				for at := range 4 {
					accuracy.add(float64(at), 0.9+0.001*float64(seed))
					loss.add(float64(at), 0.3)
					if k > 0 {
						accuracy.y[at] += off + 0.0003*float64(seed)
						loss.y[at] *= ratio + 0.001*float64(seed)
					}
				}
				r.accuracy, r.loss = append(r.accuracy, accuracy), append(r.loss, loss)
			}
			list = append(list, r)
		}
		return list
	}
	for name, c := range map[string]struct {
		off, ratio float64
		want       Verdict
	}{
		"alike":             {0, 1, Confirmed},
		"worse accuracy":    {-0.03, 1, Contradicted},
		"another loss":      {0, 1.6, Contradicted},
		"at the edge of it": {0.0097, 1, Undecided},
	} {
		t.Run(name, func(t *testing.T) {
			wantVerdict(t, judgeSVAG([]uint64{0, 1, 2}, runs(c.off, c.ratio)), c.want)
		})
	}
}

func TestFollowSVAGMeasuresEveryLAtTheSameTimes(t *testing.T) {
	c := smallSetup("mlp:16-5-3")
	r, err := followSVAG(context.Background(), smallLab(t, 1), c, 2*svagEach)
	if err != nil {
		t.Fatal(err)
	}
	for k, l := range svagLs {
		loss, accuracy := r.loss[k], r.accuracy[k]
		if len(loss.x) != svagEach+1 || loss.x[svagEach] != 2*svagEach*svagRate || loss.y[0] != r.loss[0].y[0] {
			t.Errorf("l = %d: times %v, losses %v", l, loss.x, loss.y)
		}
		if !(loss.y[svagEach] < loss.y[0]) || accuracy.y[svagEach] < 0 || accuracy.y[svagEach] > 1 {
			t.Errorf("l = %d: losses %v, accuracies %v", l, loss.y, accuracy.y)
		}
		if k > 0 && loss.y[svagEach] == r.loss[0].y[svagEach] {
			t.Errorf("l = %d does what SGD does", l)
		}
	}
}
