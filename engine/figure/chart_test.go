package figure

import (
	"bytes"
	"image/color"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"

	"sgflow/engine/record"
)

func chartExample() *Chart {
	return &Chart{
		X: Axis{Label: "batch size", Log: true, Ticks: []float64{8, 32, 128}}, Y: Axis{Label: "steps", Log: true},
		Series: []Series{
			{Label: "measured", Marks: true, Line: true, Points: []Point{
				{X: 8, Y: 900, Low: record.Some(800), High: record.Some(1000)}, {X: 32, Y: 300}, {X: 128, Y: 150, Low: record.Some(-1), High: record.Some(300)},
			}},
			{Label: "fit", Line: true, Dashed: true, Points: []Point{{X: 8, Y: 880}, {X: 128, Y: 155}}},
		},
		Spans: []Span{{Label: "critical", At: 40, Low: record.Some(30), High: record.Some(60)}},
	}
}

func draws(t *testing.T, c *Chart) []byte {
	t.Helper()
	f, err := c.Draw("title")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.WritePNG(&b); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSVG(io.Discard); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pixels counts those of the chart that are reddish, and those of a colour.
func pixels(t *testing.T, c *Chart, of color.NRGBA) (reddish, exact int) {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(draws(t, c)))
	if err != nil {
		t.Fatal(err)
	}
	size := img.Bounds().Size()
	for y := range size.Y {
		for x := range size.X {
			p := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			if int(p.R)-int(p.G) > 10 {
				reddish++
			}
			if p == of {
				exact++
			}
		}
	}
	return reddish, exact
}

func TestChartShowsPointsFitAndSpan(t *testing.T) {
	c := chartExample()
	for name, of := range map[string]color.NRGBA{"points": palette[0], "fit": grey} {
		if _, n := pixels(t, c, of); n < 100 {
			t.Errorf("%d pixels of the %s", n, name)
		}
	}
	with, _ := pixels(t, c, red)
	c.Spans = nil
	without, _ := pixels(t, c, red)
	if without > 0 || with < 5000 { // a band of a quarter of a decade
		t.Errorf("%d reddish pixels with a span, %d without", with, without)
	}
}

func TestChartNamesItsTicksAndSeries(t *testing.T) {
	f, err := chartExample().Draw("title")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := f.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{">8<", ">32<", ">128<", ">measured<", ">fit<", ">critical<", ">batch size<", ">steps<", ">title<"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s", want)
		}
	}
}

// Nothing, one point, what a logarithm has no place for, huge spans: all are drawn.
func TestChartsOfAnythingAreDrawn(t *testing.T) {
	for _, points := range [][]Point{
		nil, {{X: 1, Y: 1}}, {{X: 0, Y: -1}, {X: -3, Y: 5}}, {{X: 1e-300, Y: 1e-300}, {X: 1e300, Y: 1e300}},
		{{X: math.NaN(), Y: 1}, {X: 2, Y: math.Inf(1)}}, {{X: 5, Y: 0}, {X: 5, Y: 0}}, {{X: 1, Y: 100}, {X: 1.01, Y: 100.5}},
	} {
		for _, log := range []bool{false, true} {
			c := &Chart{X: Axis{Log: log}, Y: Axis{Log: log}, Series: []Series{{Marks: true, Line: true, Points: points}}, Spans: []Span{{At: 2}, {At: -1}}}
			draws(t, c)
		}
	}
}

func TestManySeriesHaveDifferentColours(t *testing.T) {
	c := &Chart{}
	for range 20 {
		c.Series = append(c.Series, Series{Marks: true})
	}
	seen := map[color.NRGBA]bool{}
	for i := range c.Series {
		seen[c.colour(i)] = true
	}
	if len(seen) != 20 {
		t.Errorf("%d colours of 20 series", len(seen))
	}
}

func TestLogTicksAreRoundNumbers(t *testing.T) {
	for _, c := range []struct {
		span [2]float64
		want string
	}{
		{[2]float64{15, 1100}, "20 50 100 200 500 1000"}, {[2]float64{1, 1e4}, "1 10 1e2 1e3 1e4"}, {[2]float64{0.3, 3}, "0.5 1 2"},
		{[2]float64{48, 53}, "48 49 50 51 52 53"},
	} {
		var labels []string
		for _, tick := range logTicks(c.span).Ticks(c.span[0], c.span[1]) {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); got != c.want {
			t.Errorf("%v: %s, want %s", c.span, got, c.want)
		}
	}
}
