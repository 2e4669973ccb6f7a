package figure

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"sgflow/engine/measure"
)

// Spectrum draws the spectral density of r, titled with the lines. The axis of
// the density is logarithmic and ends at a twentieth of the peak of a single
// eigenvalue, so that outliers show beside the bulk that outweighs them by the
// number of parameters.
func Spectrum(r *measure.SpectrumResult, title ...string) (*Figure, error) {
	single := 1 / (float64(r.Params) * r.Sigma * math.Sqrt(2*math.Pi))
	floor := single / 20
	p := newPlot(title, "eigenvalue λ of the Hessian", "density")
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, decades{}
	p.X.Tick.Marker = even{}
	left, right := r.Grid[0], r.Grid[len(r.Grid)-1]

	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = faint, faint
	curve := make(plotter.XYs, len(r.Grid))
	for j, t := range r.Grid {
		curve[j] = plotter.XY{X: t, Y: max(r.Values[j], floor/2)} // clipped
	}
	density, err := plotter.NewLine(curve)
	if err != nil {
		return nil, fmt.Errorf("figure: the density: %w", err)
	}
	density.Color, density.Width, density.FillColor = blue, vg.Points(1.2), pale
	level, err := plotter.NewLine(plotter.XYs{{X: left, Y: single}, {X: right, Y: single}})
	if err != nil {
		return nil, fmt.Errorf("figure: the height of an eigenvalue: %w", err)
	}
	level.Color, level.Width, level.Dashes = red, vg.Points(0.8), []vg.Length{vg.Points(4), vg.Points(3)}
	p.Add(grid, density, level)
	p.X.Min, p.X.Max = left, right
	p.Y.Min, p.Y.Max = floor, 3*max(slices.Max(r.Values), single)

	p.Legend.Top = true
	p.Legend.TextStyle.Font, p.Legend.TextStyle.Color = sans(10), ink
	p.Legend.Padding, p.Legend.XOffs, p.Legend.YOffs = vg.Points(3), -vg.Points(6), -vg.Points(6)
	p.Legend.Add(fmt.Sprintf("density, σ = %.2g", r.Sigma), density)
	p.Legend.Add("peak of a single eigenvalue", level)
	return &Figure{plot: p}, nil
}
