package program

import (
	"slices"
	"sort"
)

// Layout says where each temporary lives in the arena of its type when
// batches of up to Capacity samples are run.
type Layout struct {
	Capacity int
	// Offset of each buffer in elements of its type, −1 for buffers that are
	// not in an arena (inputs, parameters, constants, …).
	Offset []int
	// Reals and Indices are the arena sizes in elements.
	Reals, Indices int
}

// align is the granularity of arena offsets in elements: 64 bytes of
// float32, so that every buffer starts on a cache line.
const align = 16

// Plan assigns arena offsets to the temporaries of p for batches of up to
// capacity samples, reusing the space of buffers whose last reader has run.
// A buffer that one instruction of a chain touches lives as long as the chain
// does (see Chains). One that a later phase reads, and a factor of per-sample gradients, lives
// until the end of the program: phases may be run again, in any order in which
// each finds what it reads.
//
// The method is first-fit over buffers sorted by size, largest first
// (Pisarchyk & Lee 2020, arXiv:2001.03288, "greedy by size").
func (p *Program) Plan(capacity int) Layout {
	l := Layout{Capacity: capacity, Offset: make([]int, len(p.Buffers))}
	for i := range l.Offset {
		l.Offset[i] = -1
	}
	type span struct {
		id         BufferID
		size       int
		start, end int
	}
	spans := map[BufferID]*span{}
	phaseOf := map[BufferID]Phase{}
	end := 0
	for _, list := range p.Phases {
		end += len(list)
	}
	t := 0
	for ph, list := range p.Phases {
		chains := p.Chains(list)
		for k, in := range list {
			first := t + slices.Index(chains, chains[k])
			last := t + slices.Index(chains, chains[k]+1) - 1
			if chains[k] == chains[len(list)-1] {
				last = t + len(list) - 1
			}
			for _, id := range append(Reads(in), Writes(in)...) {
				b := &p.Buffers[id]
				if b.Role != Temporary {
					continue
				}
				s := spans[id]
				if s == nil {
					s = &span{id: id, size: (b.Len(capacity) + align - 1) / align * align, start: first}
					spans[id] = s
					phaseOf[id] = Phase(ph)
				}
				s.end = max(s.end, last)
				if Phase(ph) != phaseOf[id] {
					s.end = end
				}
			}
		}
		t += len(list)
	}
	for _, q := range p.Params {
		if q.Factors == nil {
			continue
		}
		for _, id := range some(q.Factors.A, q.Factors.B) {
			if s := spans[id]; s != nil {
				s.end = end
			}
		}
	}
	order := make([]*span, 0, len(spans))
	for _, s := range spans {
		order = append(order, s)
	}
	sort.Slice(order, func(i, j int) bool {
		if order[i].size != order[j].size {
			return order[i].size > order[j].size
		}
		return order[i].id < order[j].id
	})
	for _, typ := range []Type{Real, Index} {
		var placed []*span
		total := 0
		for _, s := range order {
			if p.Buffers[s.id].Type != typ {
				continue
			}
			var busy []*span
			for _, q := range placed {
				if q.start <= s.end && s.start <= q.end {
					busy = append(busy, q)
				}
			}
			sort.Slice(busy, func(i, j int) bool { return l.Offset[busy[i].id] < l.Offset[busy[j].id] })
			off := 0
			for _, q := range busy {
				if l.Offset[q.id] >= off+s.size {
					break
				}
				off = max(off, l.Offset[q.id]+q.size)
			}
			l.Offset[s.id] = off
			total = max(total, off+s.size)
			placed = append(placed, s)
		}
		if typ == Real {
			l.Reals = total
		} else {
			l.Indices = total
		}
	}
	return l
}
