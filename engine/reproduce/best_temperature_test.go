package reproduce

import (
	"slices"
	"testing"
)

func TestInteriorChoosesByTheOtherNetworks(t *testing.T) {
	// The first network does best at the third batch size; the others' means are best at
	// the second.
	accuracies := [][]float64{{80, 80, 80}, {90, 93, 93}, {92, 91, 91}, {88, 88, 88}}
	overSmallest, overLargest := interior(accuracies)
	if want := []float64{10, 13, 13}; !slices.Equal(overSmallest, want) {
		t.Errorf("over the smallest %v, want %v", overSmallest, want)
	}
	for i := range overLargest {
		if overLargest[i] != overSmallest[i]-8 {
			t.Errorf("over the largest %v, want 8 less than %v", overLargest, overSmallest)
		}
	}
}

func TestBestTemperatureVerdicts(t *testing.T) {
	batches := []int{2, 8, 32, 128}
	low, mid, top := around(80, 0.05), around(88, 0.05), []float64{90.05, 90, 89.95}
	for name, c := range map[string]struct {
		accuracies [][]float64
		want       Verdict
	}{
		"peak within":          {[][]float64{low, mid, top, mid}, Confirmed},
		"best at the largest":  {[][]float64{low, mid, mid, top}, Contradicted},
		"best at the smallest": {[][]float64{top, mid, mid, low}, Contradicted},
		"flat to the largest":  {[][]float64{low, mid, around(90, 1), {90.5, 89, 90.4}}, Undecided},
		"flat from the least":  {[][]float64{{90.5, 89, 90.4}, around(90, 1), mid, low}, Undecided},
	} {
		t.Run(name, func(t *testing.T) {
			wantVerdict(t, judgeBest([]float64{0.1}, batches, [][][]float64{c.accuracies}), c.want)
		})
	}
}

func TestBestBatchGrowsWithTheRate(t *testing.T) {
	batches := []int{2, 8, 32, 128}
	low, mid, top := around(80, 0.1), around(88, 0.1), around(90, 0.1)
	o := judgeBest([]float64{0.1, 0.4}, batches, [][][]float64{{low, top, mid, low}, {low, mid, top, low}})
	last := o.Measured[len(o.Measured)-1]
	if last.Mean != 1 {
		t.Errorf("%s is %g for a best batch that is 4 times as large at 4 times the rate, want 1", last.Name, last.Mean)
	}
}
