package kernel

// lastRun is how many weights of a filter lie next to each other when channels
// come last.
func (t *convTask[T]) lastRun() int {
	if t.DilW == 1 {
		return t.KW * t.InC
	}
	return t.InC
}

// weight adds the weight gradients of samples [lo,hi), group's, to the group's
// sum. A sample's gradient is summed over its output positions before it is
// added to the others, with perSample or without.
func (t *convTask[T]) weight(group, lo, hi, worker int) {
	k := t.kernels
	part := t.part(group)
	own, flags := part, flagAdd
	if t.sample != nil {
		own, flags = k.scratch(worker, 1, len(part)), 0
	}
	buf := t.inputBuffer(worker)
	for i := lo; i < hi; i++ {
		t.oneWeight(i, own, buf, flags, worker)
		if t.sample != nil {
			t.sample[i] = k.vec.addNorm(part, own)
		}
		if t.grads != nil {
			t.storeRow(i, own)
		}
	}
}

// gradients stores the weight gradients of samples [lo,hi) in their rows.
func (t *convTask[T]) gradients(lo, hi, worker int) {
	buf := t.inputBuffer(worker)
	own := t.kernels.scratch(worker, 1, t.OutC*t.depth)
	for i := lo; i < hi; i++ {
		t.oneWeight(i, own, buf, 0, worker)
		t.storeRow(i, own)
	}
}

// storeRow stores sample i's weight gradient, which oneWeight has made, in its
// row.
func (t *convTask[T]) storeRow(i int, own []T) {
	k := t.kernels
	size := t.OutC * t.depth
	row := t.grads[i*size:][:size]
	if !t.last {
		copy(row, own)
		return
	}
	for o := range t.OutC {
		k.tiles.transpose(ptr(row, o*t.depth), ptr(own, o*t.depth), t.taps*k.size, t.InC*k.size, t.taps, t.InC)
	}
}

// inputBuffer is the worker's room for a sample's input in the layout that
// oneWeight wants.
func (t *convTask[T]) inputBuffer(worker int) []T {
	if !t.last {
		return t.shiftBuffer(worker)
	}
	buf := t.kernels.scratch(worker, 0, t.lastH*t.lastW*t.InC)
	if t.PadH > 0 || t.PadW > 0 {
		clear(buf)
	}
	return buf
}

// oneWeight computes the weight gradient of sample i, channels last if t.last.
func (t *convTask[T]) oneWeight(i int, dst, buf []T, flags, worker int) {
	k := t.kernels
	x := &k.work[worker].tile
	*x = tile{k: t.outPlane, lda: t.outPlane * k.size, ldc: t.depth * k.size, flags: flags}
	in := t.x[i*t.InC*t.inPlane:]
	dy := t.y[i*t.OutC*t.outPlane:]
	if t.last {
		t.weightLast(x, dst, dy, t.channelsLast(in, buf))
	} else {
		t.weightDots(x, dst, dy, t.shift(in, buf))
	}
}

// channelsLast stores sample x as lastH×lastW×InC in buf and returns it.
func (t *convTask[T]) channelsLast(x, buf []T) []T {
	k := t.kernels
	if t.PadH == 0 && t.PadW == 0 {
		k.tiles.transpose(ptr(buf, 0), ptr(x, 0), t.InC*k.size, t.inPlane*k.size, t.InC, t.inPlane)
		return buf
	}
	for y := range t.InH {
		k.tiles.transpose(ptr(buf, ((y+t.PadH)*t.lastW+t.PadW)*t.InC), ptr(x, y*t.InW),
			t.InC*k.size, t.inPlane*k.size, t.InC, t.InW)
	}
	return buf
}

// weightLast computes one sample's gradient as OutC×KH×KW×InC: for each kh, the
// product of dy with the runs of (kw,c) that the windows hold.
func (t *convTask[T]) weightLast(x *tile, dst, dy, last []T) {
	k := t.kernels
	width := k.tiles.vecs * k.tiles.lanes
	run := t.lastRun()
	runs := t.depth / run
	x.boff = &t.poff[0]
	for j := range runs {
		kh, kw := j, 0
		if run == t.InC {
			kh, kw = j/t.KW, j%t.KW
		}
		from := (kh*t.DilH*t.lastW + kw*t.DilW) * t.InC
		for c := 0; c < run; c += width {
			vecs := x.columns(min(width, run-c), k.tiles.lanes)
			x.b = ptr(last, from+c)
			for r, count := 0, tilesIn(t.OutC, k.tiles.rows); count > 0; count-- {
				rows := (t.OutC - r + count - 1) / count
				x.a = ptr(dy, r*t.outPlane)
				x.c = ptr(dst, r*t.depth+j*run+c)
				k.tiles.byRows[vecs][rows](x)
				r += rows
			}
		}
	}
}

// weightDots computes one sample's gradient as OutC×InC×KH×KW, each element a
// dot product of a plane of dy with a shifted plane.
func (t *convTask[T]) weightDots(x *tile, dst, dy, planes []T) {
	k := t.kernels
	x.b = ptr(planes, 0)
	for r := 0; r < t.OutC; r += maxDotRows {
		x.a = ptr(dy, r*t.outPlane)
		rows := min(maxDotRows, t.OutC-r)
		for c := 0; c < t.depth; c += maxDotCols {
			x.boff = &t.koff[c]
			x.c = ptr(dst, r*t.depth+c)
			k.tiles.dot[rows][min(maxDotCols, t.depth-c)](x)
		}
	}
}

// reduce adds up the groups' gradients of filters [lo,hi) in group order and
// stores them in dw.
func (t *convTask[T]) reduce(lo, hi, worker int) {
	k := t.kernels
	groups := groupsOf(t.n)
	size := t.OutC * t.depth
	for o := lo; o < hi; o++ {
		dw := t.w[o*t.depth:][:t.depth]
		sum := t.parts[o*t.depth:][:t.depth]
		for g := 1; g < groups; g++ {
			k.vec.add(sum, sum, t.parts[g*size+o*t.depth:][:t.depth])
		}
		if t.last {
			flat := k.scratch(worker, 2, t.depth)
			k.tiles.transpose(ptr(flat, 0), ptr(sum, 0), t.taps*k.size, t.InC*k.size, t.taps, t.InC)
			sum = flat
		}
		if t.acc {
			k.vec.add(dw, dw, sum)
		} else {
			copy(dw, sum)
		}
	}
}
