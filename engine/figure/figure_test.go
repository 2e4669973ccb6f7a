package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/color"
	"image/png"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sgflow/engine/measure"
)

// example is a spectrum of 1000 eigenvalues: a bulk at 0 and one at 10.
func example() *measure.SpectrumResult {
	q := measure.Quadrature{Nodes: []float64{0, 10}, Weights: []float64{0.999, 0.001}}
	return &measure.SpectrumResult{
		Params: 1000, LambdaMax: 10, Trace: 10, Quadratures: []measure.Quadrature{q},
		Density: measure.NewDensity([]measure.Quadrature{q}, 0.05, 2048),
	}
}

func mustSpectrum(t *testing.T, r *measure.SpectrumResult, title ...string) *Figure {
	t.Helper()
	f, err := Spectrum(r, title...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSVGHasTitleAndLabelsAsText(t *testing.T) {
	var b bytes.Buffer
	if err := mustSpectrum(t, example(), "first & line", "second line").WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for d := xml.NewDecoder(&b); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if chars, ok := token.(xml.CharData); ok {
			texts = append(texts, strings.TrimSpace(string(chars)))
		}
	}
	for _, want := range []string{"first & line", "second line", "density", "eigenvalue λ of the Hessian", "density, σ = 0.05", "1e-3", "10"} {
		if !slices.Contains(texts, want) {
			t.Errorf("no text %q in %q", want, texts)
		}
	}
}

// The outlier is a thousandth of the bulk and must still be drawn, above half
// of a logarithmic axis's way to the bulk or so: here in the right tenth.
func TestPNGShowsASingleOutlier(t *testing.T) {
	var b bytes.Buffer
	if err := mustSpectrum(t, example()).WritePNG(&b); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	size := img.Bounds().Size()
	if size.X != 1200 || size.Y != 750 {
		t.Fatalf("%d×%d pixels", size.X, size.Y)
	}
	rows := map[int]bool{} // in which the right tenth shows the curve, below the legend
	for y := size.Y / 4; y < size.Y; y++ {
		for x := size.X * 9 / 10; x < size.X; x++ {
			if color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA) == blue {
				rows[y] = true
			}
		}
	}
	if len(rows) < size.Y/8 {
		t.Errorf("the outlier is drawn in %d rows of %d", len(rows), size.Y)
	}
}

// A matrix without spread, a huge one and a tiny one are drawn too.
func TestSpectraOfAnyScaleAreDrawn(t *testing.T) {
	for _, scale := range []float64{0, 1e-12, 1e12} {
		r := example()
		sigma := 0.05 * scale
		if scale == 0 {
			sigma = 0.003
		}
		for i := range r.Quadratures[0].Nodes {
			r.Quadratures[0].Nodes[i] *= scale
		}
		r.Density = measure.NewDensity(r.Quadratures, sigma, 500)
		f := mustSpectrum(t, r, strings.Repeat("a long title ", 100))
		if err := f.WritePNG(io.Discard); err != nil {
			t.Errorf("scale %g: %v", scale, err)
		}
		if err := f.WriteSVG(io.Discard); err != nil {
			t.Errorf("scale %g: %v", scale, err)
		}
	}
}

func TestEvenTicksSayWhereTheyAre(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		least := rapid.Float64Range(-1, 1).Draw(r, "least") * math.Pow(10, float64(rapid.IntRange(-9, 9).Draw(r, "power")))
		span := math.Max(math.Abs(least), 1e-9) * rapid.Float64Range(0.5, 100).Draw(r, "span")
		ticks := even{}.Ticks(least, least+span)
		if len(ticks) < 5 || len(ticks) > 13 {
			r.Fatalf("%d ticks from %g to %g", len(ticks), least, least+span)
		}
		for _, tick := range ticks {
			label, err := strconv.ParseFloat(tick.Label, 64)
			// Three digits where the exponential form is needed.
			if err != nil || math.Abs(label-tick.Value) > 5e-3*math.Abs(tick.Value) || tick.Label == "-0" {
				r.Fatalf("the tick at %g is labelled %q", tick.Value, tick.Label)
			}
		}
	})
}

func TestDecadesAreLabelledPowersOfTen(t *testing.T) {
	for _, c := range []struct {
		least, largest float64
		want           []string
	}{
		{2e-3, 30, []string{"1e-2", "1e-1", "1", "10"}},
		{1e-9, 1e9, []string{"1e-9", "", "", "1e-6", "", "", "1e-3", "", "", "1", "", "", "1e3", "", "", "1e6", "", "", "1e9"}},
	} {
		var got []string
		for _, tick := range (decades{}).Ticks(c.least, c.largest) {
			got = append(got, tick.Label)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("from %g to %g: %q, want %q", c.least, c.largest, got, c.want)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestErrorsOfTheWriterComeBack(t *testing.T) {
	f := mustSpectrum(t, example())
	for name, write := range map[string]func(io.Writer) error{"PNG": f.WritePNG, "SVG": f.WriteSVG} {
		if err := write(full{}); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
