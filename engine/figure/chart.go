package figure

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"sgflow/engine/record"
)

// Chart is points and lines over two axes.
type Chart struct {
	X      Axis     `json:"x"`
	Y      Axis     `json:"y"`
	Series []Series `json:"series"`
	Spans  []Span   `json:"spans,omitempty"`
}

// Axis is an axis. A logarithmic one leaves out what is not positive.
type Axis struct {
	Label string `json:"label"`
	Log   bool   `json:"log,omitempty"`
}

// Series is a set of points, sorted by X.
type Series struct {
	Label  string  `json:"label"`
	Points []Point `json:"points"`
	// Line joins the points, Dashed or not; Marks shows each.
	Line   bool `json:"line,omitempty"`
	Dashed bool `json:"dashed,omitempty"`
	Marks  bool `json:"marks,omitempty"`
}

// Point is a value with its error bar, if it has one.
type Point struct {
	X    float64    `json:"x"`
	Y    float64    `json:"y"`
	Low  record.Opt `json:"low,omitzero"`
	High record.Opt `json:"high,omitzero"`
	Note string     `json:"note,omitempty"` // what the point is, for who points at it
}

// Span marks a place on the X axis, with its interval where one is known.
type Span struct {
	Label string     `json:"label"`
	At    float64    `json:"at"`
	Low   record.Opt `json:"low,omitzero"`
	High  record.Opt `json:"high,omitzero"`
}

// palette are the colours of series, told apart also by the colour-blind (Okabe
// & Ito 2008, yellow left out, as it is pale on white).
var palette = []color.NRGBA{
	{0x00, 0x72, 0xb2, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff},
	{0x56, 0xb4, 0xe9, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0x55, 0x55, 0x55, 0xff},
}

// glyphs are the marks of series, so that they can be told apart in print too.
var glyphs = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.BoxGlyph{}, draw.CrossGlyph{},
}

// legendRows is how many series a legend names; there is no room for more.
const legendRows = 12

// Draw draws the chart, titled with the lines.
func (c *Chart) Draw(title ...string) (*Figure, error) {
	p := newPlot(title, c.X.Label, c.Y.Label)
	x, y := c.extent()
	for _, axis := range []struct {
		*plot.Axis
		log  bool
		span [2]float64
	}{{&p.X, c.X.Log, x}, {&p.Y, c.Y.Log, y}} {
		axis.Min, axis.Max = axis.span[0], axis.span[1]
		axis.Tick.Marker = even{}
		if axis.log {
			axis.Scale, axis.Tick.Marker = plot.LogScale{}, ticksOf(axis.span)
		}
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = faint, faint
	p.Add(grid)
	p.Legend.Top = true
	p.Legend.TextStyle.Font, p.Legend.TextStyle.Color = sans(10), ink
	p.Legend.Padding, p.Legend.XOffs, p.Legend.YOffs = vg.Points(3), -vg.Points(6), -vg.Points(6)
	if err := c.addSpans(p, x, y); err != nil {
		return nil, err
	}
	for i := range c.Series {
		if err := c.addSeries(p, i); err != nil {
			return nil, fmt.Errorf("figure: %s: %w", c.Series[i].Label, err)
		}
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = x[0], x[1], y[0], y[1] // Add widens them
	return &Figure{p}, nil
}

// shown reports whether the axes have room for a point.
func (c *Chart) shown(x, y float64) bool {
	fits := func(v float64, log bool) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) && (v > 0 || !log) }
	return fits(x, c.X.Log) && fits(y, c.Y.Log)
}

// addSeries draws series i.
func (c *Chart) addSeries(p *plot.Plot, i int) error {
	s := &c.Series[i]
	ink := palette[i%len(palette)]
	var points plotter.XYs
	var bars errorBars
	for _, q := range s.Points {
		if !c.shown(q.X, q.Y) {
			continue
		}
		points = append(points, plotter.XY{X: q.X, Y: q.Y})
		low, okLow := q.Low.Get()
		high, okHigh := q.High.Get()
		if okLow && okHigh && c.shown(q.X, low) && c.shown(q.X, high) {
			bars.XYs = append(bars.XYs, plotter.XY{X: q.X, Y: q.Y})
			bars.YErrors = append(bars.YErrors, struct{ Low, High float64 }{q.Y - low, high - q.Y})
		}
	}
	if len(points) == 0 {
		return nil
	}
	var legend []plot.Thumbnailer
	if s.Line {
		line, err := plotter.NewLine(points)
		if err != nil {
			return err
		}
		line.Color, line.Width = ink, vg.Points(1.2)
		if s.Dashed {
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
		}
		p.Add(line)
		legend = append(legend, line)
	}
	if len(bars.XYs) > 0 {
		whiskers, err := plotter.NewYErrorBars(bars)
		if err != nil {
			return err
		}
		whiskers.Color, whiskers.Width, whiskers.CapWidth = ink, vg.Points(0.8), vg.Points(4)
		p.Add(whiskers)
	}
	if s.Marks {
		marks, err := plotter.NewScatter(points)
		if err != nil {
			return err
		}
		marks.Color, marks.Radius, marks.Shape = ink, vg.Points(2.6), glyphs[i%len(glyphs)]
		p.Add(marks)
		legend = append(legend, marks)
	}
	if i < legendRows {
		p.Legend.Add(s.Label, legend...)
	}
	return nil
}

// errorBars are points with the lengths of the bars below and above.
type errorBars struct {
	plotter.XYs
	plotter.YErrors
}

// addSpans draws the marked places and their intervals over the height of the
// plot.
func (c *Chart) addSpans(p *plot.Plot, x, y [2]float64) error {
	for _, s := range c.Spans {
		if s.At < x[0] || s.At > x[1] || !c.shown(s.At, y[0]) {
			continue
		}
		low, okLow := s.Low.Get()
		high, okHigh := s.High.Get()
		if okLow && okHigh && c.shown(low, y[0]) {
			low, high = max(low, x[0]), min(high, x[1])
			band, err := plotter.NewPolygon(plotter.XYs{{X: low, Y: y[0]}, {X: high, Y: y[0]}, {X: high, Y: y[1]}, {X: low, Y: y[1]}})
			if err != nil {
				return fmt.Errorf("figure: %s: %w", s.Label, err)
			}
			band.Color, band.LineStyle.Width = color.NRGBA{0xb0, 0x3a, 0x2e, 0x20}, 0
			p.Add(band)
		}
		line, err := plotter.NewLine(plotter.XYs{{X: s.At, Y: y[0]}, {X: s.At, Y: y[1]}})
		if err != nil {
			return fmt.Errorf("figure: %s: %w", s.Label, err)
		}
		line.Color, line.Width, line.Dashes = red, vg.Points(0.9), []vg.Length{vg.Points(2), vg.Points(2)}
		p.Add(line)
		p.Legend.Add(s.Label, line)
	}
	return nil
}

// extent returns the ends of the axes: those of what is drawn, with some room.
func (c *Chart) extent() (x, y [2]float64) {
	x, y = [2]float64{math.Inf(1), math.Inf(-1)}, [2]float64{math.Inf(1), math.Inf(-1)}
	widen := func(span *[2]float64, v float64) { span[0], span[1] = min(span[0], v), max(span[1], v) }
	for _, s := range c.Series {
		for _, q := range s.Points {
			if !c.shown(q.X, q.Y) {
				continue
			}
			widen(&x, q.X)
			widen(&y, q.Y)
			for _, end := range []record.Opt{q.Low, q.High} {
				if v, ok := end.Get(); ok && c.shown(q.X, v) {
					widen(&y, v)
				}
			}
		}
	}
	return room(x, c.X.Log), room(y, c.Y.Log)
}

// room widens an axis by a twentieth, so that nothing is drawn on its edge; an
// axis without points or with a single value gets a length.
func room(span [2]float64, log bool) [2]float64 {
	if span[0] > span[1] {
		if log {
			return [2]float64{1, 10}
		}
		return [2]float64{0, 1}
	}
	if log {
		factor := math.Pow(span[1]/span[0], 0.05)
		if factor < 1.05 {
			factor = 1.5
		}
		return [2]float64{span[0] / factor, span[1] * factor}
	}
	add := (span[1] - span[0]) / 20
	if add <= 1e-9*math.Abs(span[1]) {
		add = max(math.Abs(span[1])/10, 1e-9)
	}
	return [2]float64{span[0] - add, span[1] + add}
}

// ticksOf returns the ticks of a logarithmic axis: decades where there are two or
// more, else round numbers within.
func ticksOf(span [2]float64) plot.Ticker {
	if math.Floor(math.Log10(span[1]))-math.Ceil(math.Log10(span[0])) >= 1 {
		return decades{}
	}
	return even{}
}
