package optim

import (
	"slices"
	"strings"
	"testing"
)

func TestBatchSizesFollowTheirSchedule(t *testing.T) {
	const perEpoch = 3
	for text, want := range map[string][]int{
		"":                {8, 8, 8, 8, 8, 8, 8, 8, 8},
		"constant":        {8, 8, 8, 8, 8, 8, 8, 8, 8},
		"step:2:2":        {8, 8, 16, 16, 32, 32, 50, 50, 50},
		"step:1e:1.5":     {8, 8, 8, 12, 12, 12, 18, 18, 18},
		"step:4:0.1":      {8, 8, 8, 8, 1, 1, 1, 1, 1},
		"at:1:20:7:4":     {8, 20, 20, 20, 20, 20, 20, 4, 4},
		"at:0e:3:2e:1000": {3, 3, 3, 3, 3, 3, 50, 50, 50},
	} {
		s, err := ParseBatchSchedule(text)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for step := range 9 {
			got = append(got, s.Size(8, 50, step, step/perEpoch))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: sizes %v, want %v", text, got, want)
		}
		if s.Varies() != (text != "" && text != "constant") {
			t.Errorf("%q varies: %v", text, s.Varies())
		}
	}
}

func TestParseBatchScheduleSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"stp:1:2":       `did you mean "step"`,
		"constant:1":    "no numbers",
		"step":          "step:K:F",
		"step:0:2":      `period "0"`,
		"step:x:2":      `period "x"`,
		"step:1e:-1":    `factor "-1"`,
		"step:1e:nan":   `factor "nan"`,
		"at":            "at:K:B",
		"at:1e":         "at:K:B",
		"at:-1:8":       `"-1"`,
		"at:1e:0":       `batch "0"`,
		"at:1e:8e":      `batch "8e"`,
		"at:2e:8:1e:16": "1e does not come after 2e",
		"at:2e:8:3:16":  "all in steps or all in epochs",
	} {
		_, err := ParseBatchSchedule(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want one line with %q", text, err, want)
		}
	}
}

func FuzzParseBatchSchedule(f *testing.F) {
	for _, seed := range []string{"constant", "step:2e:2", "at:1e:8:2e:16", "step:1:1e300"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseBatchSchedule(text)
		if err != nil {
			return
		}
		for step := range 100 {
			if n := s.Size(8, 50, step, step/3); n < 1 || n > 50 {
				t.Errorf("%q: a batch of %d", text, n)
			}
		}
	})
}
