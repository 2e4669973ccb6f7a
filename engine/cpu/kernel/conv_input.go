package kernel

// layOut stores filters [lo,hi) of the weights as kh×kw×OutC×InC: one row of
// input channels for each (kh,kw,o).
func (t *convTask[T]) layOut(lo, hi int) {
	k := t.kernels
	for o := lo; o < hi; o++ {
		k.tiles.transpose(ptr(k.layout, o*t.InC), ptr(t.w, o*t.depth),
			t.OutC*t.InC*k.size, t.taps*k.size, t.InC, t.taps)
	}
}

// input computes the input gradient of samples [lo,hi).
//
// It is made channels-last: for one input row and one kw, the windows that reach
// it lie at consecutive output columns, so a tile has those columns as rows, the
// input channels as columns, and sums over the kh and output channels that
// apply. Nothing is multiplied by padding.
func (t *convTask[T]) input(lo, hi, worker int) {
	k := t.kernels
	last := k.scratch(worker, 1, t.inPlane*t.InC)
	x := &k.work[worker].tile
	*x = tile{ldc: t.StrideW * t.InC * k.size, flags: flagAccumulate}
	for i := lo; i < hi; i++ {
		dx := t.x[i*t.InC*t.inPlane:]
		if t.acc {
			k.tiles.transpose(ptr(last, 0), ptr(dx, 0), t.InC*k.size, t.inPlane*k.size, t.InC, t.inPlane)
		} else {
			clear(last)
		}
		dy := t.y[i*t.OutC*t.outPlane:]
		for r := range t.rows {
			t.inputRow(x, last[r*t.InW*t.InC:], dy, &t.rows[r])
		}
		k.tiles.transpose(ptr(dx, 0), ptr(last, 0), t.inPlane*k.size, t.InC*k.size, t.inPlane, t.InC)
	}
}

// inputRow adds one row of the input gradient to dst, InW×InC.
func (t *convTask[T]) inputRow(x *tile, dst, dy []T, row *inputRow) {
	k := t.kernels
	width := k.tiles.vecs * k.tiles.lanes
	if len(row.aoff) == 0 {
		return
	}
	step := depthOf(len(row.aoff))
	for k0 := 0; k0 < len(row.aoff); k0 += step {
		x.k = min(step, len(row.aoff)-k0)
		x.aoff, x.boff = &row.aoff[k0], &row.boff[k0]
		for kw, s := range t.spans {
			count := tilesIn(s.hi-s.lo, k.tiles.rows)
			for o := s.lo; count > 0; count-- {
				rows := (s.hi - o + count - 1) / count
				x.a = ptr(dy, o)
				in := s.in + (o-s.lo)*t.StrideW
				for c := 0; c < t.InC; c += width {
					vecs := x.columns(min(width, t.InC-c), k.tiles.lanes)
					x.b = ptr(k.layout, kw*t.OutC*t.InC+c)
					x.c = ptr(dst, in*t.InC+c)
					k.tiles.byCols[vecs][rows](x)
				}
				o += rows
			}
		}
	}
}
