package kernel

// layOut stores filters [lo,hi) of the weights as kh×kw×OutC×InC: one row of
// input channels for each (kh,kw,o).
func (t *convTask[T]) layOut(lo, hi int) {
	k := t.kernels
	for o := lo; o < hi; o++ {
		k.tiles.transpose(ptr(t.layout, o*t.InC), ptr(t.w, o*t.depth),
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
		t.inputSample(x, last, t.y[i*t.OutC*t.outPlane:])
		k.tiles.transpose(ptr(dx, 0), ptr(last, 0), t.inPlane*k.size, t.InC*k.size, t.inPlane, t.InC)
	}
}

// inputSample adds one sample's input gradient to dst, InH×InW×InC. Rows follow
// each other inside a kw, and not the other way round, so that a tile does not
// wait for the one before it.
func (t *convTask[T]) inputSample(x *tile, dst, dy []T) {
	for kw := 0; kw < t.KW; {
		group := t.kernelGroup(kw)
		for r, row := range t.rows {
			depth := row.count * t.OutC
			out := dst[r*t.InW*t.InC:]
			in := dy[row.from*t.outW:]
			weights := (row.kh*t.KW + kw) * t.OutC * t.InC
			for k0, step := 0, depthOf(depth); k0 < depth; k0 += step {
				x.k = min(step, depth-k0)
				x.aoff, x.boff = &t.aoff[k0], &t.boff[k0]
				if group > 1 {
					t.shiftedTiles(x, kw, group, out, in, weights)
				} else {
					t.inputTiles(x, kw, out, in, weights)
				}
			}
		}
		kw += group
	}
}

// kernelGroup is how many kw, from kw on, one tile can do: those that all output
// columns meet, next to each other, if the input channels are one vector.
func (t *convTask[T]) kernelGroup(kw int) int {
	s := &t.kernels.tiles
	if t.StrideW != 1 || t.DilW != 1 || t.InC > s.lanes {
		return 1
	}
	n := 0
	for n < maxShiftedVecs && kw+n < t.KW && t.spans[kw+n].hi-t.spans[kw+n].lo == t.outW {
		n++
	}
	if n < 2 || s.shifted[n][1] == nil {
		return 1
	}
	return n
}

// inputTiles adds what one row of outputs and one kw give one input row.
func (t *convTask[T]) inputTiles(x *tile, kw int, out, in []T, weights int) {
	k := t.kernels
	width := k.tiles.vecs * k.tiles.lanes
	s := t.spans[kw]
	for o, count := s.lo, tilesIn(s.hi-s.lo, k.tiles.rows); count > 0; count-- {
		rows := (s.hi - o + count - 1) / count
		x.a = ptr(in, o)
		at := s.in + (o-s.lo)*t.StrideW
		for c := 0; c < t.InC; c += width {
			vecs := x.columns(min(width, t.InC-c), k.tiles.lanes)
			x.b = ptr(t.layout, weights+c)
			x.c = ptr(out, at*t.InC+c)
			k.tiles.byCols[vecs][rows](x)
		}
		o += rows
	}
}

// shiftedTiles adds what one row of outputs and group kw, from kw on, give one
// input row: the same products, each kw one column further.
func (t *convTask[T]) shiftedTiles(x *tile, kw, group int, out, in []T, weights int) {
	k := t.kernels
	x.columns(t.InC, k.tiles.lanes)
	x.lda = t.OutC * t.InC * k.size
	x.b = ptr(t.layout, weights)
	for o, count := 0, tilesIn(t.outW, maxShiftedRows); count > 0; count-- {
		rows := (t.outW - o + count - 1) / count
		x.a = ptr(in, o)
		x.c = ptr(out, (t.spans[kw].in+o)*t.InC)
		k.tiles.shifted[group][rows](x)
		o += rows
	}
}
