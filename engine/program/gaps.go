package program

import (
	"cmp"
	"slices"
)

// Interval is the half-open range From..To of a flat vector.
type Interval struct{ From, To int }

// Gaps returns the parts of the flat vector of the given role that no
// instruction of the phase writes, in order: what a backend has to set to zero.
func (p *Program) Gaps(role Role, ph Phase) []Interval {
	var written []Interval
	for _, in := range p.Phases[ph] {
		for _, id := range Writes(in) {
			if b := &p.Buffers[id]; b.Role == role {
				written = append(written, Interval{b.Offset, b.Offset + b.Width()})
			}
		}
	}
	slices.SortFunc(written, func(a, b Interval) int { return cmp.Compare(a.From, b.From) })
	var r []Interval
	end := 0
	for _, w := range written {
		if w.From > end {
			r = append(r, Interval{end, w.From})
		}
		end = max(end, w.To)
	}
	if end < p.NumParams {
		r = append(r, Interval{end, p.NumParams})
	}
	return r
}
