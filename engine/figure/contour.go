package figure

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Contours is a function of two variables, drawn as bands between contour lines,
// with paths over them.
type Contours struct {
	X, Y Axis // their Log and Ticks are not read
	// Xs and Ys are the lines of the grid, rising, two or more; Z[j][i] is the value
	// at (Xs[i], Ys[j]), NaN or Inf where there is none.
	Xs, Ys []float64
	Z      [][]float64
	Name   string // of the function
	// Log spaces the levels evenly on a logarithmic scale, for values above 0.
	Log bool
	// HighDark gives the largest values the darkest band: what is best is dark.
	HighDark bool
	Tracks   []Track
}

// Track is a path over contours.
type Track struct {
	Label  string
	Points []TrackPoint // in order of their times
}

// TrackPoint is where a path is at a time.
type TrackPoint struct{ X, Y, T float64 }

// The colours of the bands, of the largest values and of the smallest (HighDark: the
// other way round), of contour lines and of cells without values.
var (
	bandHigh = color.NRGBA{0xfa, 0xfc, 0xff, 0xff}
	bandLow  = color.NRGBA{0x5c, 0xa2, 0xcf, 0xff}
	lineInk  = color.NRGBA{0x2b, 0x55, 0x80, 0xa0}
	gapInk   = color.NRGBA{0xbb, 0xbb, 0xbb, 0xff}
)

// trackInks are the colours of paths: dark for the first, the calm one, then such
// as stand out from blue (Okabe & Ito 2008).
var trackInks = []color.NRGBA{
	{0x11, 0x11, 0x11, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x7a, 0x5a, 0xff}, {0xb0, 0x4a, 0x85, 0xff}, {0x8a, 0x63, 0x00, 0xff},
}

// Draw draws the contours and the paths, titled with the lines. The values need a
// number among them.
func (c *Contours) Draw(title ...string) (*Figure, error) {
	f, err := c.ground(title)
	if err != nil {
		return nil, err
	}
	f.plot.Add(tracks{c.Tracks, math.Inf(1)})
	c.fix(f.plot)
	return f, nil
}

// ground draws all but the paths, which the legend has already.
func (c *Contours) ground(title []string) (*Figure, error) {
	levels, err := c.levels()
	if err != nil {
		return nil, err
	}
	p := newPlot(title, c.X.Label, c.Y.Label)
	p.X.Tick.Marker, p.Y.Tick.Marker = even{}, even{}
	g := &surface{c, levels}
	p.Add(plotter.NewImage(g.fill(), c.Xs[0], c.Ys[0], c.Xs[len(c.Xs)-1], c.Ys[len(c.Ys)-1]))
	if len(levels) > 0 {
		scaled := make([]float64, len(levels))
		for i, l := range levels {
			scaled[i] = c.scale(l)
		}
		lines := plotter.NewContour(g, scaled, nil)
		lines.LineStyles = []draw.LineStyle{{Color: lineInk, Width: vg.Points(0.6)}}
		lines.Min, lines.Max = math.Inf(-1), math.Inf(1)
		p.Add(bare{lines}, bare{gaps{g}})
	}
	c.fix(p)
	legend := plot.NewLegend()
	legend.Top, legend.Left = true, true
	legend.TextStyle.Font, legend.TextStyle.Color = sans(9), ink
	legend.Padding, legend.ThumbnailWidth = vg.Points(2.5), vg.Points(16)
	for i := range c.Tracks {
		legend.Add(c.Tracks[i].Label, strokeThumb{trackInk(i), trackWidth(i)})
	}
	legend.Add("")
	legend.Add(c.Name)
	for i := len(levels); i >= 0; i-- {
		legend.Add(bandName(levels, i), swatch{c.band(i, len(levels))})
	}
	if g.hasGaps() {
		legend.Add("not finite", swatch{gapInk})
	}
	setTitle(p, title, width-3*margin-legend.Rectangle(draw.Canvas{}).Size().X)
	return &Figure{p, &legend}, nil
}

// fix makes the axes end where the grid does.
func (c *Contours) fix(p *plot.Plot) {
	p.X.Min, p.X.Max = c.Xs[0], c.Xs[len(c.Xs)-1]
	p.Y.Min, p.Y.Max = c.Ys[0], c.Ys[len(c.Ys)-1]
}

// scale is the value that the drawing is linear in.
func (c *Contours) scale(z float64) float64 {
	if c.Log {
		return math.Log(z)
	}
	return z
}

// usable reports whether a value can be drawn.
func (c *Contours) usable(z float64) bool {
	return !math.IsNaN(z) && math.Abs(z) <= farthest && (z >= 1/farthest || !c.Log)
}

// The number of contour levels, about.
const (
	fewestLevels = 6
	mostLevels   = 14
)

// levels returns the heights of the contour lines, rising, between the least and
// the largest value: round numbers, if there are enough of them in between.
func (c *Contours) levels() ([]float64, error) {
	least, largest := math.Inf(1), math.Inf(-1)
	for _, row := range c.Z {
		for _, z := range row {
			if c.usable(z) {
				least, largest = min(least, z), max(largest, z)
			}
		}
	}
	if least > largest {
		return nil, errors.New("figure: contours of a function without a finite value")
	}
	if !c.Log {
		var levels []float64
		if largest > least {
			for _, tick := range (even{}).Ticks(least, largest) {
				levels = append(levels, tick.Value)
			}
		}
		return inside(levels, least, largest), nil
	}
	for _, mantissas := range [][]float64{{1}, {1, 3}, {1, 2, 5}, {1, 1.5, 2, 3, 5, 7}} {
		var levels []float64
		for e := math.Floor(math.Log10(least)); e <= math.Log10(largest); e++ {
			for _, m := range mantissas {
				levels = append(levels, m*math.Pow(10, e))
			}
		}
		if levels = inside(levels, least, largest); len(levels) >= fewestLevels {
			for len(levels) > 2*mostLevels { // only decades are ever so many
				levels = everyOther(levels)
			}
			return levels, nil
		}
	}
	// A narrow range: evenly spaced.
	var levels []float64
	for i := 1; i <= fewestLevels; i++ {
		levels = append(levels, least*math.Pow(largest/least, float64(i)/(fewestLevels+1)))
	}
	return inside(levels, least, largest), nil
}

// inside returns the levels between two values, each once.
func inside(levels []float64, least, largest float64) []float64 {
	levels = slices.DeleteFunc(levels, func(l float64) bool { return l <= least || l >= largest })
	return slices.Compact(levels)
}

func everyOther(levels []float64) []float64 {
	var kept []float64
	for i := 0; i < len(levels); i += 2 {
		kept = append(kept, levels[i])
	}
	return kept
}

// bandName names band i of the bands that levels part.
func bandName(levels []float64, i int) string {
	switch {
	case len(levels) == 0:
		return "everywhere"
	case i == 0:
		return fmt.Sprintf("below %.3g", levels[0])
	case i == len(levels):
		return fmt.Sprintf("above %.3g", levels[i-1])
	}
	return fmt.Sprintf("%.3g – %.3g", levels[i-1], levels[i])
}

// band returns the colour of band i above n levels.
func (c *Contours) band(i, n int) color.NRGBA {
	if c.HighDark {
		i = n - i
	}
	share := 0.0
	if n > 0 {
		share = float64(i) / float64(n)
	}
	mix := func(low, high uint8) uint8 {
		return uint8(math.Round(float64(low) + share*(float64(high)-float64(low))))
	}
	return color.NRGBA{mix(bandLow.R, bandHigh.R), mix(bandLow.G, bandHigh.G), mix(bandLow.B, bandHigh.B), 0xff}
}

// surface is the function as plotter.GridXYZ, scaled.
type surface struct {
	c      *Contours
	levels []float64
}

// Dims returns the number of columns and rows.
func (g *surface) Dims() (columns, rows int) { return len(g.c.Xs), len(g.c.Ys) }

// X returns the place of column i.
func (g *surface) X(i int) float64 { return g.c.Xs[i] }

// Y returns the place of row j.
func (g *surface) Y(j int) float64 { return g.c.Ys[j] }

// Z returns the scaled value; without one, a height above all levels, whose lines
// gaps paints over.
func (g *surface) Z(i, j int) float64 {
	if z := g.c.Z[j][i]; g.c.usable(z) {
		return g.c.scale(z)
	}
	return g.c.scale(g.levels[len(g.levels)-1]) + 1
}

// gap reports whether the cell with the lowest corner (i, j) lacks a value.
func (g *surface) gap(i, j int) bool {
	c := g.c
	return !c.usable(c.Z[j][i]) || !c.usable(c.Z[j][i+1]) || !c.usable(c.Z[j+1][i]) || !c.usable(c.Z[j+1][i+1])
}

func (g *surface) hasGaps() bool {
	for _, row := range g.c.Z {
		for _, z := range row {
			if !g.c.usable(z) {
				return true
			}
		}
	}
	return false
}

// fillSize is the side of the picture of the bands, in pixels.
const fillSize = 600

// fill paints the bands: every cell is cut by its diagonals into four triangles
// about the mean of its corners, as for the contour lines (Bourke's CONREC), on
// which the scaled value is linear.
func (g *surface) fill() image.Image {
	c := g.c
	picture := image.NewNRGBA(image.Rect(0, 0, fillSize, fillSize))
	scaled := make([]float64, len(g.levels))
	for i, l := range g.levels {
		scaled[i] = c.scale(l)
	}
	for py := range fillSize {
		j, v := cell(c.Ys, 1-(float64(py)+0.5)/fillSize)
		for px := range fillSize {
			i, u := cell(c.Xs, (float64(px)+0.5)/fillSize)
			ink := gapInk
			if !g.gap(i, j) {
				z := triangular(u, v, c.scale(c.Z[j][i]), c.scale(c.Z[j][i+1]), c.scale(c.Z[j+1][i]), c.scale(c.Z[j+1][i+1]))
				k, _ := slices.BinarySearch(scaled, z)
				ink = c.band(k, len(scaled))
			}
			picture.SetNRGBA(px, py, ink)
		}
	}
	return picture
}

// cell returns the cell of the grid's lines at a share of their range, and where in
// it.
func cell(lines []float64, share float64) (i int, within float64) {
	at := lines[0] + share*(lines[len(lines)-1]-lines[0])
	i, _ = slices.BinarySearch(lines, at)
	i = min(max(i-1, 0), len(lines)-2)
	return i, (at - lines[i]) / (lines[i+1] - lines[i])
}

// triangular interpolates at (u, v) in the unit square between values at the
// corners (0,0), (1,0), (0,1), (1,1) and their mean in the middle.
func triangular(u, v, z00, z10, z01, z11 float64) float64 {
	middle := (z00 + z10 + z01 + z11) / 4
	// Toward which side the point lies, and the ends a and b of that side: height h
	// above it (½ is the middle), place s along it.
	var a, b, s, h float64
	switch {
	case v <= u && v <= 1-u:
		a, b, s, h = z00, z10, u, v
	case v >= u && v >= 1-u:
		a, b, s, h = z01, z11, u, 1-v
	case u < 0.5:
		a, b, s, h = z00, z01, v, u
	default:
		a, b, s, h = z10, z11, v, 1-u
	}
	// Barycentric: the middle has weight 2h, b has s − h.
	return a*(1-s-h) + b*(s-h) + middle*2*h
}

// gaps covers the cells without values, and the false lines in them.
type gaps struct{ g *surface }

// Plot draws it.
func (p gaps) Plot(c draw.Canvas, plt *plot.Plot) {
	x, y := plt.Transforms(&c)
	columns, rows := p.g.Dims()
	for i := range columns - 1 {
		for j := range rows - 1 {
			if p.g.gap(i, j) {
				left, right, low, high := x(p.g.X(i)), x(p.g.X(i+1)), y(p.g.Y(j)), y(p.g.Y(j+1))
				c.FillPolygon(gapInk, []vg.Point{{X: left, Y: low}, {X: right, Y: low}, {X: right, Y: high}, {X: left, Y: high}})
			}
		}
	}
}

// bare is a plotter that asks for no room beyond the axes.
type bare struct{ plot.Plotter }

// tracks draws paths up to a time.
type tracks struct {
	list []Track
	to   float64
}

func trackInk(i int) color.NRGBA { return trackInks[i%len(trackInks)] }

// trackWidth is wider for the first path, so that it shows where others cover it.
func trackWidth(i int) vg.Length {
	if i == 0 {
		return vg.Points(2)
	}
	return vg.Points(1.3)
}

// Plot draws the paths with a pale edge, an open mark where each begins and a full
// one where it is.
func (t tracks) Plot(c draw.Canvas, plt *plot.Plot) {
	x, y := plt.Transforms(&c)
	for i := range t.list {
		var line []vg.Point
		for _, p := range t.list[i].Points {
			if p.T <= t.to {
				line = append(line, vg.Point{X: x(p.X), Y: y(p.Y)})
			}
		}
		if len(line) == 0 {
			continue
		}
		clipped := c.ClipLinesXY(line)
		c.StrokeLines(draw.LineStyle{Color: color.NRGBA{0xff, 0xff, 0xff, 0xc0}, Width: trackWidth(i) + vg.Points(1.6)}, clipped...)
		c.StrokeLines(draw.LineStyle{Color: trackInk(i), Width: trackWidth(i)}, clipped...)
		mark := func(at vg.Point, ink color.Color, radius vg.Length) {
			if c.Contains(at) {
				c.DrawGlyph(draw.GlyphStyle{Color: ink, Radius: vg.Points(float64(radius)), Shape: draw.CircleGlyph{}}, at)
			}
		}
		mark(line[0], trackInk(i), 4)
		mark(line[0], color.White, 2.6)
		mark(line[len(line)-1], color.White, 5)
		mark(line[len(line)-1], trackInk(i), 4)
	}
}

// swatch is a colour in a legend.
type swatch struct{ ink color.Color }

// Thumbnail draws it.
func (s swatch) Thumbnail(c *draw.Canvas) {
	box := c.Rectangle
	points := []vg.Point{box.Min, {X: box.Max.X, Y: box.Min.Y}, box.Max, {X: box.Min.X, Y: box.Max.Y}}
	c.FillPolygon(s.ink, points)
	c.StrokeLines(draw.LineStyle{Color: faint, Width: vg.Points(0.5)}, append(points, box.Min))
}

// strokeThumb is a line in a legend.
type strokeThumb struct {
	ink   color.Color
	width vg.Length
}

// Thumbnail draws it.
func (s strokeThumb) Thumbnail(c *draw.Canvas) {
	y := c.Center().Y
	c.StrokeLine2(draw.LineStyle{Color: s.ink, Width: s.width}, c.Min.X, y, c.Max.X, y)
}
