package figure

import (
	"fmt"
	"image/color"
	"math"
	"strconv"

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

// Axis is an axis. A logarithmic one leaves out what is not positive, and both leave
// out what is beyond 1e±100.
type Axis struct {
	Label string `json:"label"`
	Log   bool   `json:"log,omitempty"`
	// Ticks are where ticks are wanted; nil leaves them to the drawing.
	Ticks []float64 `json:"ticks,omitempty"`
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
const legendRows = 20

// Draw draws the chart, titled with the lines.
func (c *Chart) Draw(title ...string) (*Figure, error) {
	p := newPlot(title, c.X.Label, c.Y.Label)
	x, y := c.extent()
	for _, axis := range []struct {
		*plot.Axis
		log   bool
		span  [2]float64
		ticks []float64
	}{{&p.X, c.X.Log, x, c.X.Ticks}, {&p.Y, c.Y.Log, y, c.Y.Ticks}} {
		axis.Min, axis.Max = axis.span[0], axis.span[1]
		axis.Tick.Marker = even{}
		if axis.log {
			axis.Scale, axis.Tick.Marker = plot.LogScale{}, logTicks(axis.span)
		}
		if axis.ticks != nil {
			axis.Tick.Marker = fixedTicks(axis.ticks)
		}
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = faint, faint
	p.Add(grid)
	legend := plot.NewLegend()
	legend.Top, legend.Left = true, true
	legend.TextStyle.Font, legend.TextStyle.Color = sans(9), ink
	legend.Padding = vg.Points(3)
	if err := c.addSpans(p, &legend, x, y); err != nil {
		return nil, err
	}
	for i := range c.Series {
		if err := c.addSeries(p, &legend, i); err != nil {
			return nil, fmt.Errorf("figure: %s: %w", c.Series[i].Label, err)
		}
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = x[0], x[1], y[0], y[1] // Add widens them
	setTitle(p, title, width-3*margin-legend.Rectangle(draw.Canvas{}).Size().X)
	return &Figure{p, &legend}, nil
}

// farthest is the largest magnitude that is drawn, and its inverse the smallest on a
// logarithmic axis: the ratio of two numbers that are drawn must be one itself.
const farthest = 1e100

// shown reports whether the axes have room for a point.
func (c *Chart) shown(x, y float64) bool {
	fits := func(v float64, log bool) bool { return math.Abs(v) <= farthest && (v >= 1/farthest || !log) }
	return fits(x, c.X.Log) && fits(y, c.Y.Log)
}

// addSeries draws series i.
func (c *Chart) addSeries(p *plot.Plot, legend *plot.Legend, i int) error {
	s := &c.Series[i]
	ink := c.colour(i)
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
	var thumbnails []plot.Thumbnailer
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
		thumbnails = append(thumbnails, line)
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
		thumbnails = append(thumbnails, marks)
	}
	if i < legendRows {
		legend.Add(s.Label, thumbnails...)
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
func (c *Chart) addSpans(p *plot.Plot, legend *plot.Legend, x, y [2]float64) error {
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
		legend.Add(s.Label, line)
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
		factor := math.Exp((math.Log(span[1]) - math.Log(span[0])) / 20) // whose quotient may be beyond all numbers
		if factor < 1.05 {
			factor = 1.5
		}
		return [2]float64{max(span[0]/factor, math.SmallestNonzeroFloat64), min(span[1]*factor, math.MaxFloat64)}
	}
	add := (span[1] - span[0]) / 20
	if add <= 1e-9*math.Abs(span[1]) {
		add = max(math.Abs(span[1])/10, 1e-9)
	}
	return [2]float64{span[0] - add, span[1] + add}
}

// logTicks returns the ticks of a logarithmic axis: decades where there are three or
// more; 1, 2 and 5 of each where there are fewer; and where even those are too few,
// evenly spaced ones.
func logTicks(span [2]float64) plot.Ticker {
	if span[1]/span[0] >= 200 {
		return decades{}
	}
	var ticks fixedTicks
	for e := math.Floor(math.Log10(span[0])); e <= math.Log10(span[1]); e++ {
		for _, m := range []float64{1, 2, 5} {
			if x := m * math.Pow(10, e); x >= span[0] && x <= span[1] {
				ticks = append(ticks, x)
			}
		}
	}
	if len(ticks) < 3 {
		return even{}
	}
	return ticks
}

// fixedTicks are given ones.
type fixedTicks []float64

// Ticks returns those from least to largest.
func (f fixedTicks) Ticks(least, largest float64) []plot.Tick {
	var ticks []plot.Tick
	for _, x := range f {
		if x >= least && x <= largest {
			ticks = append(ticks, plot.Tick{Value: x, Label: strconv.FormatFloat(x, 'g', 4, 64)})
		}
	}
	return ticks
}

// colour returns the colour of series i, of its kind (marked or not) the k-th of n:
// marked ones from the palette, or where that is too small from a ramp; fits and
// references grey, then red.
func (c *Chart) colour(i int) color.NRGBA {
	k, n := 0, 0
	for j := range c.Series {
		if c.Series[j].Marks == c.Series[i].Marks {
			if j < i {
				k++
			}
			n++
		}
	}
	switch {
	case c.Series[i].Marks && n > len(palette):
		return ramp(float64(k) / float64(n-1))
	case c.Series[i].Marks:
		return palette[k]
	case k == 0:
		return grey
	}
	return red
}

var grey = color.NRGBA{0x66, 0x66, 0x66, 0xff}

// ramp returns a colour between dark violet and olive for a share from 0 to 1: the
// darker part of matplotlib's viridis, roughly.
func ramp(share float64) color.NRGBA {
	stops := [][3]float64{{68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {72, 160, 80}, {170, 160, 20}}
	at := min(max(share, 0), 1) * float64(len(stops)-1)
	i := min(int(at), len(stops)-2)
	var rgb [3]uint8
	for k := range rgb {
		rgb[k] = uint8(math.Round(stops[i][k] + (at-float64(i))*(stops[i+1][k]-stops[i][k])))
	}
	return color.NRGBA{rgb[0], rgb[1], rgb[2], 0xff}
}
