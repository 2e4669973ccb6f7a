package reproduce

import (
	"fmt"

	"sgflow/engine/figure"
)

// curve is a value at several abscissas, of one seed.
type curve struct{ x, y []float64 }

// add appends a point.
func (c *curve) add(x, y float64) { c.x, c.y = append(c.x, x), append(c.y, y) }

// between returns the values at abscissas of at least from and below to.
func (c *curve) between(from, to float64) []float64 {
	var list []float64
	for i, x := range c.x {
		if x >= from && x < to {
			list = append(list, c.y[i])
		}
	}
	return list
}

// lines are the curves of some seeds as series. Marks give them their colours: plots
// draw lines without as references.
func lines(label string, seeds []uint64, curves []*curve) []figure.Series {
	var list []figure.Series
	for i, c := range curves {
		list = append(list, marked(fmt.Sprintf("%s, seed %d", label, seeds[i]), c.x, c.y))
	}
	return list
}

// line is a line through points.
func line(label string, x, y []float64) figure.Series {
	s := figure.Series{Label: label, Line: true}
	for i := range x {
		s.Points = append(s.Points, figure.Point{X: x[i], Y: y[i]})
	}
	return s
}

// marked is line with every point marked.
func marked(label string, x, y []float64) figure.Series {
	s := line(label, x, y)
	s.Marks = true
	return s
}

// level is a dashed horizontal line.
func level(label string, from, to, y float64) figure.Series {
	s := line(label, []float64{from, to}, []float64{y, y})
	s.Dashed = true
	return s
}
