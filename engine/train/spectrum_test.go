package train

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
)

// smallSpectrum is a quick spectrum of the small data set.
func smallSpectrum(t *testing.T) SpectrumConfig {
	t.Helper()
	c := DefaultSpectrum()
	c.Problem = smallProbe(t).Problem
	c.Order, c.Probes = 60, 4
	return c
}

// Both draw the same random probes for the same seed.
func TestSpectrumAgreesWithProbe(t *testing.T) {
	c := smallSpectrum(t)
	c.Split, c.Indices = "test", "3:40"
	got, err := Spectrum(context.Background(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := DefaultProbe()
	p.Problem, p.Split, p.Indices, p.Probes = c.Problem, c.Split, c.Indices, c.Probes
	want, err := Probe(context.Background(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	near := func(name string, a, b, tol float64) {
		if math.Abs(a-b) > tol*math.Abs(b) {
			t.Errorf("%s: spectrum %v, probe %v", name, a, b)
		}
	}
	f := want.Flatness
	trace, _ := f.Numbers.Get("trace").Get()
	largest, _ := f.Numbers.Get("lambda_max").Get()
	least, _ := f.Numbers.Get("lambda_min").Get()
	near("loss", got.Loss, want.Loss, 1e-13)
	near("trace", got.Trace, trace, 1e-10) // rounding
	near("lambda_max", got.LambdaMax, largest, 1e-6)
	near("lambda_min", got.LambdaMin, least, 1e-6)
	if got.Samples != 37 || got.Params != want.Params || got.Config != c {
		t.Errorf("%d samples, %d parameters, configuration %+v", got.Samples, got.Params, got.Config)
	}
}

func TestWrongSpectraAreNamed(t *testing.T) {
	for want, change := range map[string]func(*SpectrumConfig){
		"mean train":      func(c *SpectrumConfig) { c.Split = "trian" },
		"has 320 samples": func(c *SpectrumConfig) { c.Indices = "300:321" },
		"--order 0":       func(c *SpectrumConfig) { c.Order = 0 },
		"--probes 0":      func(c *SpectrumConfig) { c.Probes = 0 },
		"--sigma -1":      func(c *SpectrumConfig) { c.Sigma = -1 },
		"--sigma NaN":     func(c *SpectrumConfig) { c.Sigma = math.NaN() },
		"--sigma +Inf":    func(c *SpectrumConfig) { c.Sigma = math.Inf(1) },
		"--points 1":      func(c *SpectrumConfig) { c.Points = 1 },
		"nothing.safe":    func(c *SpectrumConfig) { c.Weights = "nothing.safetensors" },
	} {
		c := smallSpectrum(t)
		change(&c)
		_, err := Spectrum(context.Background(), c, nil)
		wantRequestError(t, err)
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
}

func TestCancelledSpectrumEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Spectrum(ctx, smallSpectrum(t), func(done, total int) {
		if total != 240 {
			t.Errorf("%d products in all, want 240", total)
		}
		if done == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
