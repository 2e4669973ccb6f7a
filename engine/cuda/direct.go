//go:build gpu && cgo && linux && amd64

package cuda

import (
	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// direct is a convolution, or its gradient at the input, as kernels/direct.cu makes it.
type direct struct {
	kernel                   int // of kernelSet's
	c, h, w, m, p, q         int
	total                    int // channels summed over: c, or twice as many with a second x
	padH, padW               int
	windowM, windowC, turned int
}

// The limits of kernels/direct.cu.
const (
	directThreads  = 384  // of a block
	directChannels = 16   // made by a block
	directX        = 6144 // elements of x in shared memory
	directWindows  = 8    // channels of x whose windows are there
	directApart    = 20   // elements from a place of the windows to the next
	directSums     = directX + directWindows*25*directApart
)

// directOf returns how the kernels see the convolution g, or its gradient at the input;
// false where they don't do it.
func directOf(g *geometry, gradient bool) (d direct, ok bool) {
	switch {
	case g.KH != g.KW || g.StrideH != 1 || g.StrideW != 1 || g.DilH != 1 || g.DilW != 1:
		return d, false
	case g.KH == 3:
		d.kernel = 0
	case g.KH == 5:
		d.kernel = 1
	default:
		return d, false
	}
	window := g.KH * g.KW
	if gradient {
		d.c, d.h, d.w, d.m, d.p, d.q = g.OutC, g.OutH, g.OutW, g.InC, g.InH, g.InW
		d.padH, d.padW = g.KH-1-g.PadH, g.KW-1-g.PadW
		d.windowM, d.windowC, d.turned = window, g.InC*window, 1
	} else {
		d.c, d.h, d.w, d.m, d.p, d.q = g.InC, g.InH, g.InW, g.OutC, g.OutH, g.OutW
		d.padH, d.padW = g.PadH, g.PadW
		d.windowM, d.windowC = g.InC*window, window
	}
	d.total = d.c
	_, ok = d.divide(1, 1)
	return d, ok
}

// size is the edge of the windows.
func (d *direct) size() int { return 3 + 2*d.kernel }

// division is how the work is divided among blocks; see kernels/direct.cu.
type division struct {
	blocks, quads, together, parts, chunk, rows, stride int
}

// divide chooses the division for n samples that takes the least time by the estimate of
// time.
func (d *direct) divide(n, multiprocessors int) (best division, ok bool) {
	across := blocks(d.q, 4)
	all, least := across*d.p, 0
	try := func(v division) {
		v.stride = 4*across + 4
		v.rows += d.size() - 1
		v.chunk = min(directWindows, d.total, directX/(v.together*v.rows*v.stride))
		if v.chunk == 0 || 16*4*v.quads*max(1, v.parts-1) > directSums {
			return
		}
		v.blocks *= blocks(d.m, directChannels)
		if time := d.time(v, multiprocessors); !ok || time < least {
			best, least, ok = v, time, true
		}
	}
	for parts := 1; parts <= min(4, d.total); parts *= 2 {
		step := 8 / parts // for whole warps
		most := directThreads / (4 * parts) / step * step
		for together := 1; together <= n && together*all <= most; together++ {
			try(division{blocks: blocks(n, together), quads: blocks(together*all, step) * step, together: together, parts: parts, rows: d.p})
		}
		for quads := step; quads < all && quads <= most; quads += step {
			try(division{blocks: n * blocks(all, quads), quads: quads, together: 1, parts: parts, rows: min(d.p, (across+quads-2)/across+1)})
		}
	}
	return best, ok
}

// time estimates what a division takes, in cycles: each multiprocessor has the same number
// of blocks, at once. Four warps do 32 multiplications each at a time, as long as twelve
// or more take turns; four numbers a cycle come into shared memory, by some eight
// instructions for 32; and the first of each chunk takes a thousand cycles to come.
func (d *direct) time(v division, multiprocessors int) int {
	window := d.size() * d.size()
	each := blocks(v.blocks, multiprocessors)
	warps := each * blocks(4*v.quads*v.parts, 32)
	loads := d.total * (v.together*v.rows*v.stride + window*directChannels)
	return max(12, warps)*blocks(d.total, v.parts)*window*16/4 + each*loads/4 + blocks(d.total, v.chunk)*1000
}

// bindDirect chooses the kernels for a convolution, or its gradient at the input.
func bindDirect(b *binder, in *program.Conv, c convolution, e epilogue) bound {
	gradient := in.Dir == program.ConvInput
	d, ok := directOf(c.g, gradient)
	switch {
	case !ok && gradient:
		return &convInput{c, e}
	case !ok:
		return &convForward{c, e}
	}
	r := &directConv{convolution: c, epilogue: e, direct: d}
	if b.err != nil {
		return r
	}
	if first, ok := b.firsts[in].(*directConv); ok {
		return first.and(r)
	}
	if b.waitsForSecond(in, r) {
		return nil
	}
	return r
}

// directConv is a convolution of stride 1 with small windows, or its gradient.
type directConv struct {
	convolution
	epilogue epilogue
	direct   direct
	second   *directConv // whose result is added, in the same launch; nil for none
}

// and returns the sum of both as one, with the bias of the first and the rest of what the
// second does to elements.
func (c *directConv) and(second *directConv) *directConv {
	r := *second
	r.second, r.accumulate, r.a, r.b, r.epilogue.bias = second, c.accumulate, c.a, c.b, c.epilogue.bias
	r.direct.total = 2 * r.direct.c
	return &r
}

func (c *directConv) run(n int) { c.queue(n, nil) }

func (c *directConv) runGathering(n int, batch []driver.Arg) bool {
	if c.second != nil || c.direct.turned != 0 || c.a.p != c.m.buffers.at[c.m.program.Inputs[0]] {
		return false
	}
	c.queue(n, batch)
	return true
}

// queue queues it for n samples, which are those of batch where that is not nil.
func (c *directConv) queue(n int, batch []driver.Arg) {
	m, d, e := c.m, &c.direct, &c.epilogue
	v, _ := d.divide(n, m.multiprocessors)
	kernel, grid := m.kernels.direct[d.kernel], v.blocks
	args := []driver.Arg{driver.Ptr(c.out.p), driver.Ptr(c.a.p), driver.Ptr(c.b.p), driver.Ptr(0), driver.Ptr(0)}
	if s := c.second; s != nil {
		args[3], args[4] = driver.Ptr(s.a.p), driver.Ptr(s.b.p)
	}
	if batch != nil {
		kernel, grid, args = m.kernels.gatherDirect[d.kernel], v.blocks+n, append(batch, driver.Ptr(c.out.p), driver.Ptr(c.b.p))
	}
	for _, i := range []int{
		n, d.c, d.h, d.w, d.m, d.p, d.q, d.padH, d.padW, d.total, d.windowM, d.windowC, d.turned,
		v.quads, v.together, v.parts, v.chunk, v.rows, v.stride,
	} {
		args = append(args, driver.Int(i))
	}
	m.launch(c.what, kernel, driver.Grid{Blocks: driver.Dim{X: grid}, Threads: driver.Dim{X: 4 * v.quads * v.parts}},
		append(args, flag(vector(c.out.p, d.q) && vector(e.mask.p, d.q)), flag(c.accumulate),
			driver.Ptr(e.bias.p), driver.Int(int(e.f)), driver.Ptr(e.mask.p), driver.Int(int(e.df)))...)
}
