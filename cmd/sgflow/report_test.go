package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sgflow/engine/record"
	"sgflow/engine/train"
)

// screen is a terminal of the given width.
func screen(width int) (*console, *bytes.Buffer) {
	var b bytes.Buffer
	return &console{w: &b, width: func() int { return width }}, &b
}

func TestStatusIsRewrittenAndFitsTheTerminal(t *testing.T) {
	c, b := screen(20)
	c.status([]string{"first", "second", "third and long"}, []string{"1st", "second", "third and long"})
	c.status([]string{"first", "second", "third"}, []string{"1", "2", "3"})
	c.status([]string{"now λ"})
	c.line("an epoch")
	c.end()
	if got, want := b.String(), "\r1st  second\x1b[K\r1  2  3\x1b[K\rnow λ\x1b[K\r\x1b[Kan epoch\n"; got != want {
		t.Errorf("written %q, want %q", got, want)
	}
	b.Reset()
	c.status([]string{"eighteen and one...", "more"}) // 19 columns fit into 20
	c.end()
	if got, want := b.String(), "\reighteen and one...\x1b[K\n"; got != want {
		t.Errorf("written %q, want %q", got, want)
	}
}

// progressOf drives a report through ten seconds of ten steps each and returns
// what it wrote.
func progressOf(width int) string {
	c, b := screen(width)
	clock := time.Unix(0, 0)
	r := &report{console: c, now: func() time.Time { return clock }}
	config := train.Default()
	r.Started(&train.Info{Config: &config, Steps: 100, StepsPerEpoch: 50, Epochs: 2})
	b.Reset()
	for i := range 100 {
		clock = clock.Add(100 * time.Millisecond)
		r.Stepped(&record.Step{Step: i, Epoch: i / 50, Samples: 64, Loss: 1, Accuracy: record.Some(0.5)})
		if i%50 == 49 {
			r.EpochEnded(&record.Epoch{Epoch: i / 50})
		}
	}
	r.end()
	return b.String()
}

func TestProgressFits80Columns(t *testing.T) {
	c, b := screen(80)
	clock := time.Unix(0, 0)
	r := &report{console: c, now: func() time.Time { return clock }}
	config := train.Default()
	r.Started(&train.Info{Config: &config, Steps: 4690, StepsPerEpoch: 938, Epochs: 5})
	b.Reset()
	clock = clock.Add(time.Minute)
	r.Stepped(&record.Step{Step: 3999, Epoch: 4, Samples: 64e4, Loss: 0.12345, Accuracy: record.Some(0.984),
		Noise:    record.Numbers{{Name: "grad_norm_sq", X: 1}, {Name: "noise_scale_ema", X: 1234}},
		Flatness: record.Numbers{{Name: "lambda_max", X: 12.345}, {Name: "hv", X: 3}}})
	if got, want := b.String(), "\rep 5/5  4000/4690  loss 0.123  acc 98%  noise 1,234  lmax 12.3  10.7k/s  10.3s\x1b[K"; got != want {
		t.Errorf("written %q, want %q", got, want)
	}
}

func TestProgressWarnsAboveTheEdgeOfStability(t *testing.T) {
	config := train.Default()
	config.Momentum = 0.5
	for _, test := range []struct {
		lambda float64
		want   string
	}{{29.9, "lambda_max 29.9  "}, {30.1, "lambda_max 30.1 above the edge  "}} { // 2(1+0.5)/0.1
		c, b := screen(200)
		clock := time.Unix(0, 0)
		r := &report{console: c, now: func() time.Time { return clock }}
		r.Started(&train.Info{Config: &config, Steps: 100, StepsPerEpoch: 100, Epochs: 1})
		clock = clock.Add(time.Minute)
		r.Stepped(&record.Step{Step: 3, Samples: 64, LR: 0.1, Flatness: record.Numbers{{Name: "lambda_max", X: test.lambda}}})
		if !strings.Contains(b.String(), test.want) {
			t.Errorf("%q does not contain %q", b.String(), test.want)
		}
	}
}

func TestTerminalShowsEveryTenthOfASecond(t *testing.T) {
	text := progressOf(120)
	if got := strings.Count(text, "\repoch"); got != 100 {
		t.Errorf("%d statuses in 10 s, want 100", got)
	}
	if got := strings.Count(text, "\n"); got != 2 {
		t.Errorf("%d lines, want one an epoch", got)
	}
	if want := "step 50/100  loss 1.000  accuracy 50%  640 samples/s  5.0s left"; !strings.Contains(text, want) {
		t.Errorf("%q lacks %q", text, want)
	}
}

func TestPlainOutputShowsAboutALineASecond(t *testing.T) {
	text := progressOf(0)
	if got := strings.Count(text, "\n"); got < 9 || got > 12 {
		t.Errorf("%d lines in 10 s and 2 epochs, want about 12:\n%s", got, text)
	}
	if strings.ContainsAny(text, "\r\x1b") {
		t.Error("control characters without a terminal")
	}
}

func TestNumbersReadWell(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{grouped(0), "0"}, {grouped(999), "999"}, {grouped(1000), "1,000"}, {grouped(-1234567), "-1,234,567"}, {grouped(-123), "-123"},
		{short(0.012345), "0.0123"}, {short(12345.6), "12,346"}, {short(-2e12), "-2e+12"},
		{clock(9.34), "9.3s"}, {clock(59.99), "1:00"}, {clock(245), "4:05"}, {clock(3723), "1:02:03"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
