//go:build gpu && cgo && linux && amd64

package cuda

import (
	"cmp"
	"slices"

	"sgflow/engine/program"
)

// interval is the half-open range from..to of a flat vector.
type interval struct{ from, to int }

// gaps returns the parts of the flat vector of the given role that no
// instruction of the phase writes, in order.
func gaps(p *program.Program, role program.Role, ph program.Phase) []interval {
	var written []interval
	for _, in := range p.Phases[ph] {
		for _, id := range program.Writes(in) {
			if b := &p.Buffers[id]; b.Role == role {
				written = append(written, interval{b.Offset, b.Offset + b.Width()})
			}
		}
	}
	slices.SortFunc(written, func(a, b interval) int { return cmp.Compare(a.from, b.from) })
	var r []interval
	end := 0
	for _, w := range written {
		if w.from > end {
			r = append(r, interval{end, w.from})
		}
		end = max(end, w.to)
	}
	if end < p.NumParams {
		r = append(r, interval{end, p.NumParams})
	}
	return r
}
