package kernel

// shift returns sample x's shifted planes, made in buf where they are not x
// itself. buf's zeros are left alone.
func (t *convTask[T]) shift(x, buf []T) []T {
	if t.direct {
		return x
	}
	k := t.kernels
	for ch := range t.InC {
		plane := x[ch*t.inPlane:]
		dst := buf[ch*t.perInC:]
		for _, s := range t.segments {
			if t.StrideW == 1 {
				k.tiles.copyRows(ptr(dst, s.dst), ptr(plane, s.src), s.ldd*k.size, s.lds*k.size, s.rows, s.cols)
				continue
			}
			for r := range s.rows {
				from, to := plane[s.src+r*s.lds:], dst[s.dst+r*s.ldd:][:s.cols]
				for j := range to {
					to[j] = from[j*t.StrideW]
				}
			}
		}
	}
	return buf
}

// shiftBuffer is the worker's room for shifted planes, zero where shift doesn't
// write.
func (t *convTask[T]) shiftBuffer(worker int) []T {
	if t.direct {
		return nil
	}
	buf := t.kernels.scratch(worker, 0, t.planes)
	if t.padded {
		clear(buf)
	}
	return buf
}

// forward computes samples [lo,hi).
func (t *convTask[T]) forward(lo, hi, worker int) {
	k := t.kernels
	buf := t.shiftBuffer(worker)
	x := &k.work[worker].tile
	*x = tile{lda: t.depth * k.size, ldc: t.outPlane * k.size}
	width := k.tiles.vecs * k.tiles.lanes
	step := depthOf(t.depth)
	for i := lo; i < hi; i++ {
		planes := t.shift(t.x[i*t.InC*t.inPlane:], buf)
		y := t.y[i*t.OutC*t.outPlane:][:t.OutC*t.outPlane]
		for k0 := 0; k0 < t.depth; k0 += step {
			x.k = min(step, t.depth-k0)
			x.boff = &t.koff[k0]
			x.flags = 0
			if k0 > 0 || t.acc {
				x.flags |= flagAccumulate
			}
			if k0+x.k == t.depth && t.act == ReLU {
				x.flags |= flagReLU
			}
			for p := 0; p < t.outPlane; p += width {
				vecs := x.columns(min(width, t.outPlane-p), k.tiles.lanes)
				x.b = ptr(planes, p)
				for r, count := 0, tilesIn(t.OutC, k.tiles.rows); count > 0; count-- {
					rows := (t.OutC - r + count - 1) / count
					x.a = ptr(t.w, r*t.depth+k0)
					x.c = ptr(y, r*t.outPlane+p)
					if x.rowBias = nil; t.bias != nil && k0 == 0 {
						x.rowBias = ptr(t.bias, r)
					}
					k.tiles.byRows[vecs][rows](x)
					r += rows
				}
			}
		}
		if t.act != ReLU && t.act != Identity {
			k.vec.activate(t.act, y, y)
		}
	}
}
