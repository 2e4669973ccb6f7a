package figure

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"sgflow/engine/record"
)

// The size of a figure on paper, and the pixels of a PNG per inch of it.
const (
	width  = 8 * vg.Inch
	height = 5 * vg.Inch
	margin = vg.Length(12)
	dpi    = 150
)

var (
	ink   = color.NRGBA{0x22, 0x22, 0x22, 0xff} // text and axes
	faint = color.NRGBA{0xd0, 0xd0, 0xd0, 0xff} // grid
	blue  = color.NRGBA{0x1f, 0x5f, 0xa8, 0xff}
	pale  = color.NRGBA{0x1f, 0x5f, 0xa8, 0x38} // area below blue lines
	red   = color.NRGBA{0xb0, 0x3a, 0x2e, 0xff}
)

// Figure is a finished drawing.
type Figure struct {
	plot *plot.Plot
	side *plot.Legend // drawn to the right of the plot; nil for none
}

// newPlot returns an empty plot in the figures' style, titled with the lines.
func newPlot(title []string, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Padding = vg.Points(10)
	p.Title.TextStyle.Font = sans(11)
	p.Title.TextStyle.Color = ink
	setTitle(p, title, width-2*margin)
	for _, axis := range []struct {
		*plot.Axis
		label string
	}{{&p.X, x}, {&p.Y, y}} {
		axis.Label.Text = axis.label
		axis.Label.TextStyle.Font = sans(12)
		axis.Label.TextStyle.Color = ink
		axis.Label.Padding = vg.Points(4)
		axis.Tick.Label.Font = sans(10)
		axis.Tick.Label.Color = ink
		axis.Color, axis.Tick.Color = ink, ink
		axis.Padding = 0
	}
	return p
}

// setTitle titles p with the lines, each fitted into the width.
func setTitle(p *plot.Plot, title []string, width vg.Length) {
	lines := make([]string, len(title))
	for i, line := range title {
		lines[i] = fit(p.Title.TextStyle, line, width)
	}
	p.Title.Text = strings.Join(lines, "\n")
}

// fit returns the text, with its middle left out where it is wider than width.
func fit(style text.Style, line string, width vg.Length) string {
	whole := []rune(line)
	for keep := len(whole); style.Width(line) > width && keep > 1; {
		keep--
		line = string(whole[:keep/2]) + "…" + string(whole[len(whole)-keep/2:])
	}
	return line
}

func sans(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

// WritePNG writes the figure as a PNG image of 1200×750 pixels.
func (f *Figure) WritePNG(w io.Writer) error {
	c := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi))
	f.draw(draw.New(c))
	return wrote(vgimg.PngCanvas{Canvas: c}.WriteTo(w))
}

// WriteSVG writes the figure as an SVG image of the same proportions. Its text
// is text, in Liberation Sans or what the viewer has in its place.
func (f *Figure) WriteSVG(w io.Writer) error {
	c := vgsvg.New(width, height)
	f.draw(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return wrote(0, err)
	}
	// Pictures fill their rectangles, as in a PNG, and are PNGs themselves.
	text := bytes.ReplaceAll(b.Bytes(), []byte("<image "), []byte(`<image preserveAspectRatio="none" `))
	text = bytes.ReplaceAll(text, []byte(`"data:image/jpg;base64,`), []byte(`"data:image/png;base64,`))
	_, err := w.Write(text)
	return wrote(0, err)
}

// draw draws the figure with a margin, and returns where its plot went.
func (f *Figure) draw(c draw.Canvas) draw.Canvas {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	inner := draw.Crop(c, margin, -margin, margin, -margin)
	if f.side != nil {
		box := f.side.Rectangle(inner)
		top := inner.Max.Y - f.plot.Title.TextStyle.Height(f.plot.Title.Text) - f.plot.Title.Padding
		f.side.Draw(draw.Canvas{Canvas: inner.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: inner.Max.X - box.Size().X, Y: inner.Min.Y}, Max: vg.Point{X: inner.Max.X, Y: top},
		}})
		inner = draw.Crop(inner, 0, -box.Size().X-margin, 0, 0)
	}
	f.plot.Draw(inner)
	return inner
}

func wrote(_ int64, err error) error {
	if err != nil {
		return fmt.Errorf("figure: %w", err)
	}
	return nil
}

// Save writes the figure to base.png and base.svg, each replaced as a whole.
func (f *Figure) Save(base string) error {
	if err := record.WriteFileAtomic(base+".png", f.WritePNG); err != nil {
		return err
	}
	return record.WriteFileAtomic(base+".svg", f.WriteSVG)
}

// decades are the ticks of a logarithmic axis: powers of ten, at most about
// eight of them with labels.
type decades struct{}

// Ticks returns the ticks from least to largest, which are above 0.
func (decades) Ticks(least, largest float64) []plot.Tick {
	least, largest = max(least, math.SmallestNonzeroFloat64), min(largest, math.MaxFloat64)
	first, last := int(math.Ceil(math.Log10(least))), int(math.Floor(math.Log10(largest)))
	every := (last-first)/8 + 1
	var ticks []plot.Tick
	for e := first; e <= last; e++ {
		tick := plot.Tick{Value: math.Pow(10, float64(e))}
		switch {
		case e%every != 0:
		case e == 0 || e == 1:
			tick.Label = strconv.Itoa(1 + 9*e)
		default:
			tick.Label = fmt.Sprintf("1e%d", e)
		}
		ticks = append(ticks, tick)
	}
	return ticks
}

// even are the ticks of a linear axis: 5 to 12 multiples of 1, 2 or 5 times a
// power of ten.
type even struct{}

// Ticks returns the ticks from least to largest, which differ.
func (even) Ticks(least, largest float64) []plot.Tick {
	room := (largest - least) / 5 // for a step
	power := int(math.Floor(math.Log10(room)))
	step := math.Pow(10, float64(power))
	switch {
	case room >= 5*step:
		step *= 5
	case room >= 2*step:
		step *= 2
	}
	var ticks []plot.Tick
	for i := int(math.Ceil(least / step)); float64(i)*step <= largest; i++ {
		at := float64(i) * step
		label := strconv.FormatFloat(at, 'f', max(0, -power), 64)
		if power < -3 || power > 4 {
			label = strconv.FormatFloat(at, 'g', 3, 64)
		}
		ticks = append(ticks, plot.Tick{Value: at, Label: label})
	}
	return ticks
}
