package kernel

import "fmt"

// Conv is a convolution's geometry with the tables that its kernels need. It is
// made once by NewConv and then only read; it may be shared by Kernels of any
// path with the same element type.
//
// The products behind the three runs are, for each sample, with p an output
// position and k = (c,kh,kw) a weight of one filter:
//
//	forward   y(o,p)  = Σ_k w(o,k)·X(k,p)
//	weight    dw(o,k) = Σ_p dy(o,p)·X(k,p)
//	input     dx      = adjoint of forward in x
//
// X, the im2col matrix, is never made. Forward reads its rows from shifted
// planes: for each (c,kw) one copy of the input plane with its columns shifted
// by kw and thinned by the stride, in which the rows (c,kh,kw) for all kh
// overlap. It is KH times smaller than X and fits the first-level cache.
type Conv[T Float] struct {
	ConvGeom
	outH, outW int
	outPlane   int // outH·outW
	inPlane    int // InH·InW
	taps       int // KH·KW
	depth      int // InC·KH·KW

	// Shifted planes.
	direct   bool      // the input is its own shifted plane
	planes   int       // elements of a sample's shifted planes
	perInC   int       // of them, those of one input channel
	padded   bool      // some of them stay zero
	segments []segment // how to fill those of one input channel
	koff     []int     // byte offset of row k

	// Channels-last input, with borders: lastH×lastW×InC.
	lastH, lastW int
	poff         []int // byte offset of output position p's window

	// Input gradient: which (kh,o) reach each input row. The kh are khStep apart,
	// and the tables hold the offsets of all (kh,o) from the first.
	rows       []inputRow
	khStep     int
	aoff, boff []int        // bytes, into dy and into the weights
	spans      []columnSpan // by kw
}

// segment is a rectangle to copy from an input plane to a shifted plane.
type segment struct {
	dst, src   int // elements from the start of the channel's planes
	ldd, lds   int
	rows, cols int
}

// inputRow is the terms of one row of the input gradient: count kernel rows, of
// which the first is kh, meeting output row from.
type inputRow struct{ kh, from, count int }

// columnSpan is the output columns [lo,hi) whose windows reach the input with
// one kw, the first at input column in.
type columnSpan struct{ lo, hi, in int }

// NewConv prepares the convolution of geometry g.
func NewConv[T Float](g ConvGeom) (*Conv[T], error) {
	if err := g.Check(); err != nil {
		return nil, err
	}
	c := &Conv[T]{ConvGeom: g, outH: g.OutH(), outW: g.OutW(), taps: g.KH * g.KW}
	c.outPlane, c.inPlane, c.depth = c.outH*c.outW, g.InH*g.InW, g.InC*c.taps
	size := sizeOf[T]()
	c.planShifted(size)
	c.planLast(size)
	c.planInput(size)
	return c, nil
}

// planShifted lays the shifted planes out. Input row y, counted with padding, is
// row y/StrideH of group y mod StrideH, so that the rows which one kh meets
// follow each other.
func (c *Conv[T]) planShifted(size int) {
	height := (c.outH-1)*c.StrideH + (c.KH-1)*c.DilH + 1
	perGroup := (height + c.StrideH - 1) / c.StrideH
	perShift := c.StrideH * perGroup * c.outW
	c.perInC = c.KW * perShift
	c.planes = c.InC * c.perInC
	c.direct = c.KW == 1 && c.StrideH == 1 && c.StrideW == 1 && c.PadH == 0 && c.PadW == 0
	filled := 0
	for kw := range c.KW {
		s := c.span(kw)
		for r := range c.StrideH {
			q0 := max(0, ceilDiv(c.PadH-r, c.StrideH))
			q1 := min(perGroup, floorDiv(c.InH-1+c.PadH-r, c.StrideH)+1)
			if q1 <= q0 || s.hi <= s.lo {
				continue
			}
			c.segments = append(c.segments, segment{
				dst:  kw*perShift + (r*perGroup+q0)*c.outW + s.lo,
				src:  (q0*c.StrideH+r-c.PadH)*c.InW + s.in,
				ldd:  c.outW,
				lds:  c.InW * c.StrideH,
				rows: q1 - q0,
				cols: s.hi - s.lo,
			})
			filled += (q1 - q0) * (s.hi - s.lo)
		}
	}
	c.padded = filled < c.perInC
	for ch := range c.InC {
		for kh := range c.KH {
			for kw := range c.KW {
				y := kh * c.DilH
				row := (y%c.StrideH)*perGroup + y/c.StrideH
				c.koff = append(c.koff, (ch*c.perInC+kw*perShift+row*c.outW)*size)
			}
		}
	}
}

// span is the output columns that meet the input with kw.
func (c *Conv[T]) span(kw int) columnSpan {
	shift := kw*c.DilW - c.PadW
	lo := max(0, ceilDiv(-shift, c.StrideW))
	hi := min(c.outW, floorDiv(c.InW-1-shift, c.StrideW)+1)
	return columnSpan{lo: lo, hi: max(lo, hi), in: lo*c.StrideW + shift}
}

// planLast lays the channels-last input out.
func (c *Conv[T]) planLast(size int) {
	c.lastH, c.lastW = c.InH+2*c.PadH, c.InW+2*c.PadW
	for y := range c.outH {
		for x := range c.outW {
			c.poff = append(c.poff, (y*c.StrideH*c.lastW+x*c.StrideW)*c.InC*size)
		}
	}
}

// planInput lists what reaches each input row.
func (c *Conv[T]) planInput(size int) {
	for kw := range c.KW {
		c.spans = append(c.spans, c.span(kw))
	}
	// Input row y meets output row (y+PadH−kh·DilH)/StrideH where that is whole.
	c.khStep = c.StrideH / gcd(c.StrideH, c.DilH)
	c.rows = make([]inputRow, c.InH)
	most := 0
	for y := range c.rows {
		row := &c.rows[y]
		for kh := range c.KH {
			from := y + c.PadH - kh*c.DilH
			if from < 0 || from%c.StrideH != 0 || from/c.StrideH >= c.outH {
				continue
			}
			if row.count == 0 {
				row.kh, row.from = kh, from/c.StrideH
			}
			row.count++
		}
		most = max(most, row.count)
	}
	for i := range most {
		for o := range c.OutC {
			back := i * c.khStep * c.DilH / c.StrideH
			c.aoff = append(c.aoff, (o*c.outPlane-back*c.outW)*size)
			c.boff = append(c.boff, (i*c.khStep*c.KW*c.OutC+o)*c.InC*size)
		}
	}
}

// gcd is the greatest common divisor of positive numbers.
func gcd(a, b int) int {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// floorDiv is ⌊a/b⌋ for b > 0.
func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// ceilDiv is ⌈a/b⌉ for b > 0.
func ceilDiv(a, b int) int { return -floorDiv(-a, b) }

// convOp names a run of a convolution.
type convOp uint8

const (
	convForward convOp = iota
	convInput
	convWeight
	convSamples
	convReduce // adds the groups' weight gradients up
	convLayout // lays weights out for convInput
)

// convTask is one run of a convolution. A piece is some samples, for convReduce
// and convLayout some filters.
type convTask[T Float] struct {
	*Conv[T]
	kernels *Kernels[T]
	op      convOp
	n       int // samples
	pieces  int
	x, y, w []T // input or dx, output or dy, weight or dw
	bias    []T
	act     Activation
	acc     bool
	last    bool // weight gradients are made channels-last
	sample  []float64
	grads   []T // gradients of samples, one after the other
}

// convPieceWork is the multiply-adds that are worth a hand-over.
const convPieceWork = 1 << 18

// convGroups is the number of groups of samples whose weight gradients are
// summed apart, so that the rounding does not depend on the threads.
const convGroups = 16

// checkConv panics where the slices of a run don't fit.
func (c *Conv[T]) checkConv(n int, x, y, w []T) {
	if n < 0 || n > c.Batch || len(x) < n*c.InC*c.inPlane || len(y) < n*c.OutC*c.outPlane || len(w) < c.OutC*c.depth {
		panic(fmt.Errorf("kernel: convolution %+v of %d samples: input %d, output %d, weight %d elements",
			c.ConvGeom, n, len(x), len(y), len(w)))
	}
}

// pieceCount cuts n samples into pieces that are worth a hand-over.
func (c *Conv[T]) pieceCount(n int) int {
	each := max(1, convPieceWork/(c.OutC*c.outPlane*c.depth))
	return (n + each - 1) / each
}

// ConvForward stores y = f([y +] x∗w + bias) for n ≤ Batch samples; with acc it
// adds to y first. bias has OutC values or is nil.
func (k *Kernels[T]) ConvForward(c *Conv[T], n int, y, x, w, bias []T, f Activation, acc bool) {
	c.checkConv(n, x, y, w)
	if bias != nil {
		bias = bias[:c.OutC]
	}
	k.conv = convTask[T]{Conv: c, kernels: k, op: convForward, n: n, pieces: c.pieceCount(n),
		x: x, y: y, w: w, bias: bias, act: f, acc: acc}
	k.runConv(k.conv.pieces)
}

// ConvInput stores dx = [dx +] the gradient of Σ y⊙dy in x, for n samples.
func (k *Kernels[T]) ConvInput(c *Conv[T], n int, dx, dy, w []T, acc bool) {
	c.checkConv(n, dx, dy, w)
	if n == 0 {
		return
	}
	k.layout = grow(k.layout, c.OutC*c.depth)
	k.conv = convTask[T]{Conv: c, kernels: k, op: convLayout, w: w}
	k.conv.pieces = max(1, c.OutC*c.depth/packWork)
	k.pool.Run(k.conv.pieces, &k.conv)
	k.conv = convTask[T]{Conv: c, kernels: k, op: convInput, n: n, pieces: c.pieceCount(n), x: dx, y: dy, acc: acc}
	k.runConv(k.conv.pieces)
}

// ConvWeight stores dw = [dw +] the gradient of Σ y⊙dy in w, summed over n
// samples. Where perSample is not nil it also stores perSample[i] = ‖dwᵢ‖², the
// squared norm of sample i's own gradient (without acc's dw), summed in float64;
// dw has the same bits with and without it.
func (k *Kernels[T]) ConvWeight(c *Conv[T], n int, dw, x, dy []T, acc bool, perSample []float64) {
	k.convWeight(c, n, dw, nil, x, dy, acc, perSample)
}

// ConvWeightSamples is ConvWeight and ConvSamples in one pass, with the bits of
// both. perSample is not nil.
func (k *Kernels[T]) ConvWeightSamples(c *Conv[T], n int, dw, rows, x, dy []T, acc bool, perSample []float64) {
	k.convWeight(c, n, dw, rows[:n*c.OutC*c.depth], x, dy, acc, perSample)
}

// convWeight is ConvWeight, and stores samples' gradients where rows is not nil.
func (k *Kernels[T]) convWeight(c *Conv[T], n int, dw, rows, x, dy []T, acc bool, perSample []float64) {
	c.checkConv(n, x, dy, dw)
	if n == 0 {
		if !acc {
			clear(dw[:c.OutC*c.depth])
		}
		return
	}
	if perSample != nil {
		perSample = perSample[:n]
	}
	groups := min(n, convGroups)
	k.parts = grow(k.parts, groups*c.OutC*c.depth)
	k.conv = convTask[T]{Conv: c, kernels: k, op: convWeight, n: n, pieces: groups, x: x, y: dy, w: dw,
		acc: acc, sample: perSample, grads: rows}
	k.conv.last = 2*k.conv.lastRun() >= k.tiles.lanes
	k.pool.Run(groups, &k.conv)
	k.conv.op = convReduce
	k.conv.pieces = max(1, min(c.OutC, groups*c.OutC*c.depth/packWork))
	k.runConv(k.conv.pieces)
}

// ConvSamples stores the gradient of sample i's Σ y⊙dy in w in rows[i], for n
// samples: rows is n×(OutC·InC·KH·KW). Their sum is what ConvWeight makes.
func (k *Kernels[T]) ConvSamples(c *Conv[T], n int, rows, x, dy []T) {
	if n == 0 {
		return
	}
	c.checkConv(n, x, dy, rows)
	k.conv = convTask[T]{Conv: c, kernels: k, op: convSamples, n: n, pieces: c.pieceCount(n), x: x, y: dy,
		grads: rows[:n*c.OutC*c.depth]}
	k.conv.last = 2*k.conv.lastRun() >= k.tiles.lanes
	k.runConv(k.conv.pieces)
}

// runConv runs the task and forgets the caller's slices.
func (k *Kernels[T]) runConv(pieces int) {
	k.pool.Run(pieces, &k.conv)
	k.conv = convTask[T]{}
}

// Do works on piece i.
func (t *convTask[T]) Do(i, worker int) {
	switch t.op {
	case convReduce, convLayout:
		lo, hi := span(t.OutC, t.pieces, 1, i)
		if t.op == convReduce {
			t.reduce(lo, hi, worker)
		} else {
			t.layOut(lo, hi)
		}
	default:
		lo, hi := span(t.n, t.pieces, 1, i)
		switch t.op {
		case convForward:
			t.forward(lo, hi, worker)
		case convInput:
			t.input(lo, hi, worker)
		case convWeight:
			t.weight(i, lo, hi, worker)
		case convSamples:
			t.samples(lo, hi, worker)
		}
	}
}
