package landscape

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"sgflow/engine/figure"
	"sgflow/engine/problem"
	"sgflow/engine/record"
)

// The files of a landscape.
const (
	pageName     = "index"
	numbersFile  = "landscape.json"
	lossName     = "loss"
	accuracyName = "accuracy"
	gifFile      = "paths.gif"
)

// Save writes to the folder Out landscape.json, the figures loss and accuracy as PNG
// and SVG, for a plane with paths the animation paths.gif unless it has no frames,
// and the page index.html. The error is the context's, or of writing.
func (r *Result) Save(ctx context.Context, progress Progress) error {
	if err := os.MkdirAll(r.Out, 0o777); err != nil {
		return fmt.Errorf("landscape: %w", err)
	}
	err := record.WriteFileAtomic(filepath.Join(r.Out, numbersFile), func(w io.Writer) error { return json.NewEncoder(w).Encode(r) })
	if err != nil {
		return err
	}
	if r.Config.Dims == 2 {
		for _, f := range r.figures() {
			drawn, err := f.contours.Draw(f.title...)
			if err != nil {
				return err
			}
			if err := drawn.Save(filepath.Join(r.Out, f.name)); err != nil {
				return err
			}
		}
	}
	var gif bytes.Buffer
	if r.animated() {
		if err := r.animate(ctx, &gif, progress); err != nil {
			return err
		}
		if err := record.WriteFileAtomic(filepath.Join(r.Out, gifFile), func(w io.Writer) error { _, err := w.Write(gif.Bytes()); return err }); err != nil {
			return err
		}
	}
	p, err := r.page(gif.Bytes())
	if err != nil {
		return err
	}
	return p.Save(r.Out, pageName)
}

// animated reports whether there is an animation.
func (r *Result) animated() bool {
	return r.Config.Dims == 2 && r.Config.Frames > 0 && len(r.Paths) > 0
}

// animate writes it.
func (r *Result) animate(ctx context.Context, w io.Writer, progress Progress) error {
	f := r.figures()[0]
	return f.contours.Animate(ctx, w, f.title[0], r.Config.Frames, func(done, total int) { progress("frames of the animation", done, total) })
}

// contourFigure is a figure of a plane.
type contourFigure struct {
	name     string
	title    []string
	contours *figure.Contours
}

// figures returns the figures of a plane: loss, and accuracy where it is known.
func (r *Result) figures() []contourFigure {
	tracks := make([]figure.Track, len(r.Paths))
	for i, p := range r.Paths {
		tracks[i].Label = p.Name
		for _, q := range p.Points {
			tracks[i].Points = append(tracks[i].Points, figure.TrackPoint{X: q.X, Y: q.Y, T: q.Time})
		}
	}
	of := func(name, what string, z []Gapped, log bool) contourFigure {
		c := &figure.Contours{
			X: figure.Axis{Label: r.Directions[0].Label(0)}, Y: figure.Axis{Label: r.Directions[1].Label(1)},
			Xs: r.X, Ys: r.Y, Name: what, Log: log, HighDark: !log, Tracks: tracks,
		}
		for _, row := range z {
			c.Z = append(c.Z, row)
		}
		return contourFigure{name, []string{r.title(what), r.where()}, c}
	}
	list := []contourFigure{of(lossName, "loss", r.Loss, true)}
	if r.Accuracy != nil {
		list = append(list, of(accuracyName, "accuracy", r.Accuracy, false))
	}
	return list
}

// title says what a figure shows.
func (r *Result) title(what string) string {
	if len(r.Paths) > 0 && r.Config.Directions == PCA {
		return fmt.Sprintf("%s on the %s of the paths' principal components", what, r.shape())
	}
	return fmt.Sprintf("%s about %s", what, r.About)
}

// where says of which surface.
func (r *Result) where() string {
	c := &r.Config
	loss := c.Loss
	if loss == problem.MSE {
		loss = "mean squared error"
	}
	return fmt.Sprintf("%s, %d parameters, %s on %d %s samples of %s", c.Model, r.Params, loss, r.Samples, c.Split, filepath.Base(c.Data))
}

// lines returns the charts of a line through the surface.
func (r *Result) lines() []figure.Chart {
	x := figure.Axis{Label: r.Directions[0].Label(0)}
	curve := func(what string, row Gapped, of func(q *PathPoint) record.Opt) figure.Chart {
		s := figure.Series{Label: what + " on the line", Line: true}
		for i, y := range row {
			s.Points = append(s.Points, figure.Point{X: r.X[i], Y: y})
		}
		c := figure.Chart{X: x, Y: figure.Axis{Label: what}, Series: []figure.Series{s}}
		for i := range r.Paths {
			p := &r.Paths[i]
			s := figure.Series{Label: p.Name + ", at its own points", Marks: true}
			for k := range p.Points {
				q := &p.Points[k]
				if y, ok := of(q).Get(); ok {
					s.Points = append(s.Points, figure.Point{X: q.X, Y: y, Note: fmt.Sprintf("step %d, t = %.4g, %.3g off the line", q.Step, q.Time, q.Off)})
				}
			}
			sortPoints(s.Points)
			c.Series = append(c.Series, s)
		}
		return c
	}
	list := []figure.Chart{curve("loss", r.Loss[0], func(q *PathPoint) record.Opt { return q.Loss })}
	if r.Accuracy != nil {
		list = append(list, curve("accuracy", r.Accuracy[0], func(q *PathPoint) record.Opt { return q.Accuracy }))
	}
	return list
}

// overTime returns the chart of a number of the paths' points over time.
func (r *Result) overTime(label string, log bool, of func(q *PathPoint) record.Opt) figure.Chart {
	c := figure.Chart{X: figure.Axis{Label: "time t = Σ η"}, Y: figure.Axis{Label: label, Log: log}}
	for i := range r.Paths {
		p := &r.Paths[i]
		s := figure.Series{Label: p.Name, Line: true, Marks: true}
		for k := range p.Points {
			if y, ok := of(&p.Points[k]).Get(); ok {
				s.Points = append(s.Points, figure.Point{X: p.Points[k].Time, Y: y, Note: fmt.Sprintf("step %d", p.Points[k].Step)})
			}
		}
		c.Series = append(c.Series, s)
	}
	return c
}
