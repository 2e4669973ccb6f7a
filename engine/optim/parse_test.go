package optim

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseScheduleReadsTheGrammar(t *testing.T) {
	for text, want := range map[string]Schedule{
		"constant":            {Name: Constant},
		" constant ":          {Name: Constant},
		"step:30:0.1":         {Name: StepDown, Every: 30, Factor: 0.1},
		"step:2e:0.5":         {Name: StepDown, Every: 2, EveryEpochs: true, Factor: 0.5},
		"cosine":              {Name: Cosine},
		"cosine:0.01":         {Name: Cosine, Final: 0.01},
		"linear:1e-3":         {Name: Linear, Final: 1e-3},
		"one-cycle":           {Name: OneCycle, Peak: 0.3, Div: 25, FinalDiv: 1e4},
		"one-cycle:0.2":       {Name: OneCycle, Peak: 0.2, Div: 25, FinalDiv: 1e4},
		"one-cycle:0.2:10":    {Name: OneCycle, Peak: 0.2, Div: 10, FinalDiv: 1e4},
		"one-cycle:0.2:10:50": {Name: OneCycle, Peak: 0.2, Div: 10, FinalDiv: 50},
	} {
		got, err := ParseSchedule(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestParseScheduleSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "one of constant",
		"cosin":             `did you mean "cosine"`,
		"onecycle":          `did you mean "one-cycle"`,
		"Linear":            `did you mean "linear"`,
		"constant:1":        "too many numbers",
		"step":              "lacks a number",
		"step:30":           "lacks a number",
		"step:x:0.1":        `period "x" is not a whole number`,
		"step:1.5:0.1":      `period "1.5" is not a whole number`,
		"step:0:0.1":        "period 0",
		"step:30:zero":      `"zero" is not a number`,
		"step:30:0":         "factor 0",
		"step:30:nan":       "factor NaN",
		"step:30:0.1:7":     "too many numbers",
		"cosine:":           `"" is not a number`,
		"cosine:2":          "final share 2",
		"linear:-0.1":       "final share -0.1",
		"linear:nan":        "final share NaN",
		"one-cycle:0":       "above 0",
		"one-cycle:1":       "peak 1",
		"one-cycle:nan":     "peak NaN",
		"one-cycle:.3:-2":   "divisor -2",
		"one-cycle:.3:25:0": "above 0",
		"one-cycle:1:2:3:4": "too many numbers",
	} {
		_, err := ParseSchedule(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want one line with %q", text, err, want)
		}
	}
}

func TestStringIsWhatParseScheduleReads(t *testing.T) {
	if got := (Schedule{}).String(); got != "constant" {
		t.Errorf("the zero schedule is %q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t)
		s.Warmup, s.StepsPerEpoch = 0, 0
		got, err := ParseSchedule(s.String())
		if err != nil || got != s {
			t.Fatalf("%+v writes %q, which reads %+v, %v", s, s.String(), got, err)
		}
	})
}

func TestValidateChecksWhatTheCallerSets(t *testing.T) {
	for want, s := range map[string]Schedule{
		"warm-up of -1 steps":       {Warmup: -1},
		"has its own warm-up":       {Name: OneCycle, Warmup: 5},
		"step:3e:0.1 counts epochs": {Name: StepDown, Every: 3, EveryEpochs: true, Factor: 0.1},
		"did you mean":              {Name: "steps"},
	} {
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	for _, seed := range []string{"constant", "step:30e:0.1", "cosine:0.1", "one-cycle:0.3:25:1e4", "step:99999999999999999999:1", "linear:0x1p-2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSchedule(text)
		if err != nil {
			return
		}
		again, err := ParseSchedule(s.String())
		if err != nil || again != s {
			t.Errorf("%q reads %+v, writes %q, reads %+v, %v", text, s, s.String(), again, err)
		}
		if lr := s.LR(1, 10, 100); !(lr >= 0) {
			t.Errorf("%q has rate %v", text, lr)
		}
	})
}
