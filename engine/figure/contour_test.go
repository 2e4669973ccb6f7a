package figure

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// bowl is the function 0.01 + x² + 4y² on [−1, 1]², with two paths.
func bowl(n int) *Contours {
	c := &Contours{X: Axis{Label: "first"}, Y: Axis{Label: "second"}, Name: "loss", Log: true}
	for i := range n {
		c.Xs = append(c.Xs, -1+2*float64(i)/float64(n-1))
	}
	c.Ys = c.Xs
	for _, y := range c.Ys {
		var row []float64
		for _, x := range c.Xs {
			row = append(row, 0.01+x*x+4*y*y)
		}
		c.Z = append(c.Z, row)
	}
	for k, label := range []string{"smooth", "rough"} {
		t := Track{Label: label}
		for i := range 11 {
			at := float64(i) / 10
			t.Points = append(t.Points, TrackPoint{X: -0.9 + at, Y: 0.8 - 0.8*at + 0.1*float64(k*(i%2)), T: at})
		}
		c.Tracks = append(c.Tracks, t)
	}
	return c
}

func mustDraw(t *testing.T, c *Contours) image.Image {
	t.Helper()
	f, err := c.Draw("a bowl", "with paths")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.WritePNG(&b); err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// count returns how many pixels have the colour.
func count(p image.Image, want color.NRGBA) (n int) {
	b := p.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if color.NRGBAModel.Convert(p.At(x, y)) == color.Color(want) {
				n++
			}
		}
	}
	return n
}

func TestLevelsAreRoundRisingAndInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		least := math.Pow(10, rapid.Float64Range(-12, 6).Draw(t, "least"))
		largest := least * math.Pow(10, rapid.Float64Range(0.001, 30).Draw(t, "decades"))
		c := &Contours{Log: true, Z: [][]float64{{least, largest, math.NaN()}}}
		levels, err := c.levels()
		if err != nil {
			t.Fatal(err)
		}
		if len(levels) < 3 || len(levels) > 2*mostLevels {
			t.Fatalf("from %v to %v: %d levels", least, largest, len(levels))
		}
		for i, l := range levels {
			if l <= least || l >= largest || i > 0 && l <= levels[i-1] {
				t.Fatalf("from %v to %v: levels %v", least, largest, levels)
			}
		}
	})
	c := &Contours{Log: true, Z: [][]float64{{0.05, 30}}}
	levels, err := c.levels()
	if err != nil || len(levels) != 8 || math.Abs(levels[0]-0.1) > 1e-12 || math.Abs(levels[7]-20) > 1e-9 {
		t.Errorf("levels %v, %v", levels, err)
	}
	flat := &Contours{Log: true, Z: [][]float64{{2, 2}}}
	if levels, err := flat.levels(); err != nil || len(levels) != 0 {
		t.Errorf("a constant has levels %v, %v", levels, err)
	}
	none := &Contours{Log: true, Z: [][]float64{{math.NaN(), math.Inf(1), -1}}}
	if _, err := none.levels(); err == nil {
		t.Error("a function without values has levels")
	}
}

func TestBandsInterpolateAsTheContourLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.Float64Range(0, 1)
		value := rapid.Float64Range(-5, 5)
		z00, z10, z01, z11 := value.Draw(t, "z00"), value.Draw(t, "z10"), value.Draw(t, "z01"), value.Draw(t, "z11")
		u, v := share.Draw(t, "u"), share.Draw(t, "v")
		// On a plane the interpolation is exact.
		a, b, c := value.Draw(t, "a"), value.Draw(t, "b"), value.Draw(t, "c")
		if got, want := triangular(u, v, a, a+b, a+c, a+b+c), a+b*u+c*v; math.Abs(got-want) > 1e-12 {
			t.Fatalf("a plane is %v at (%v, %v), want %v", got, u, v, want)
		}
		// It is continuous across the diagonals, right at corners and in the middle.
		for _, at := range []struct{ u, v, want float64 }{{0, 0, z00}, {1, 0, z10}, {0, 1, z01}, {1, 1, z11}, {0.5, 0.5, (z00 + z10 + z01 + z11) / 4}} {
			if got := triangular(at.u, at.v, z00, z10, z01, z11); math.Abs(got-at.want) > 1e-12 {
				t.Fatalf("at (%v, %v) it is %v, want %v", at.u, at.v, got, at.want)
			}
		}
		const e = 1e-9
		if d := triangular(u, min(u+e, 1), z00, z10, z01, z11) - triangular(u, max(u-e, 0), z00, z10, z01, z11); math.Abs(d) > 1e-6 {
			t.Fatalf("it jumps by %v on a diagonal", d)
		}
	})
}

func TestPathsAndBandsShowInTheirColours(t *testing.T) {
	p := mustDraw(t, bowl(21))
	for i, ink := range trackInks[:2] {
		if n := count(p, ink); n < 300 {
			t.Errorf("path %d has %d pixels of its colour", i, n)
		}
	}
	if low, high := count(p, bandLow), count(p, bandHigh); low < 1000 || high < 300 {
		t.Errorf("%d pixels of the lowest band, %d of the highest", low, high)
	}
	if n := count(p, gapInk); n > 100 { // some are where lines fade
		t.Errorf("%d pixels are gaps", n)
	}
}

func TestGapsAreGreyAndNamed(t *testing.T) {
	c := bowl(21)
	c.Z[15][15], c.Z[16][15] = math.NaN(), math.Inf(1)
	p := mustDraw(t, c)
	// Six cells of 400 touch them, of a plot of some 780×550 pixels.
	if n := count(p, gapInk); n < 5000 || n > 9000 {
		t.Errorf("%d pixels are gaps", n)
	}
	f, err := c.Draw()
	if err != nil {
		t.Fatal(err)
	}
	var svg bytes.Buffer
	if err := f.WriteSVG(&svg); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"not finite", "smooth", "rough", "below ", "above "} {
		if !strings.Contains(svg.String(), part) {
			t.Errorf("the legend lacks %q", part)
		}
	}
}

func TestAnimationGrowsThePathsFrameByFrame(t *testing.T) {
	var b bytes.Buffer
	told := 0
	if err := bowl(11).Animate(context.Background(), &b, "a bowl", 9, func(done, total int) {
		if done != told || total != 9 {
			t.Errorf("told %d of %d, want %d of 9", done, total, told)
		}
		told++
	}); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 1<<20 {
		t.Errorf("%d bytes", b.Len())
	}
	g, err := gif.DecodeAll(&b)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Image) != 9 || told != 9 {
		t.Fatalf("%d frames, %d told of", len(g.Image), told)
	}
	canvas := image.NewRGBA(g.Image[0].Bounds())
	var black []int
	for _, frame := range g.Image {
		draw.Draw(canvas, frame.Bounds(), frame, frame.Bounds().Min, draw.Over)
		black = append(black, count(canvas, trackInks[1]))
	}
	for i := 2; i < len(black); i++ {
		if black[i] <= black[i-1] {
			t.Errorf("frame %d has %d pixels of the second path, the one before %d", i, black[i], black[i-1])
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := bowl(5).Animate(ctx, io.Discard, "", 3, func(int, int) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := bowl(5).Animate(context.Background(), io.Discard, "", 1, func(int, int) {}); err == nil {
		t.Error("an animation of one frame is drawn")
	}
}

func TestAnimationIsTheSameEachTime(t *testing.T) {
	draw := func() string {
		var b bytes.Buffer
		if err := bowl(7).Animate(context.Background(), &b, "a bowl", 4, func(int, int) {}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if first, second := draw(), draw(); first != second {
		t.Error("two drawings differ")
	}
}

func TestPicturesInSVGFillTheirRectangles(t *testing.T) {
	f, err := bowl(5).Draw()
	if err != nil {
		t.Fatal(err)
	}
	var svg bytes.Buffer
	if err := f.WriteSVG(&svg); err != nil {
		t.Fatal(err)
	}
	text := svg.String()
	if strings.Count(text, "<image ") != 1 || !strings.Contains(text, `<image preserveAspectRatio="none" `) || !strings.Contains(text, "data:image/png;base64,") {
		t.Error("the bands are no picture that is stretched")
	}
}
