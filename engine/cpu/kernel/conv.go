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

// convOp names what a convTask computes.
type convOp uint8

const (
	convForward convOp = iota
	convInput
	convWeight
	convSamples
)

// convTask is a convolution as an operation of a stream.
type convTask[T Float] struct {
	*Conv[T]
	kernels *Kernels[T]
	op      convOp
	n       int // samples
	x, y, w []T // input or dx, output or dy, weight or dw
	bias    []T
	act     Activation
	mask    Activation
	ref     []T // what mask is taken from
	acc     bool
	last    bool // weight gradients are made channels-last
	sample  []float64
	grads   []T // gradients of samples, one after the other

	// What a task has for itself from one use to the next.
	layout []T // the weight in the layout that convInput wants
	parts  []T // weight gradients by group
}

// checkConv panics where the slices of a run don't fit.
func (c *Conv[T]) checkConv(n int, x, y, w []T) {
	if n < 0 || n > c.Batch || len(x) < n*c.InC*c.inPlane || len(y) < n*c.OutC*c.outPlane || len(w) < c.OutC*c.depth {
		panic(fmt.Errorf("kernel: convolution %+v of %d samples: input %d, output %d, weight %d elements",
			c.ConvGeom, n, len(x), len(y), len(w)))
	}
}

// conv starts a task of s.
func (s *Stream[T]) conv(op convOp, c *Conv[T], x, y, w []T) *convTask[T] {
	c.checkConv(s.n, x, y, w)
	t := s.convs.next()
	*t = convTask[T]{Conv: c, kernels: s.kernels, op: op, n: s.n, x: x, y: y, w: w, layout: t.layout, parts: t.parts}
	s.add(t, c.InC*c.inPlane+c.OutC*c.outPlane, c.OutC*c.outPlane*c.depth)
	return t
}

// ConvForward stores y = f([y +] x∗w + bias) ⊙ g′(ref); with acc it adds to y
// first. bias has OutC values or is nil. g′ is the derivative of the activation
// mask, taken from ref (of y's shape) as [Kernels.ActGrad] does; Identity is 1.
func (s *Stream[T]) ConvForward(c *Conv[T], y, x, w, bias []T, f, mask Activation, ref []T, acc bool) {
	if bias != nil {
		bias = bias[:c.OutC]
	}
	t := s.conv(convForward, c, x, y, w)
	t.bias, t.act, t.mask, t.ref, t.acc = bias, f, mask, ref, acc
}

// ConvInput stores dx = f([dx +] G + bias) ⊙ g′(ref), G being the gradient of
// Σ y⊙dy in x; bias has InC values or is nil, and the rest is as for ConvForward.
func (s *Stream[T]) ConvInput(c *Conv[T], dx, dy, w, bias []T, f, mask Activation, ref []T, acc bool) {
	if bias != nil {
		bias = bias[:c.InC]
	}
	t := s.conv(convInput, c, dx, dy, w)
	t.bias, t.act, t.mask, t.ref, t.acc = bias, f, mask, ref, acc
	t.layout = grow(t.layout, c.OutC*c.depth)
}

// ConvWeight stores dw = [dw +] the gradient of Σ y⊙dy in w, summed over the
// samples. Where perSample is not nil it also stores perSample[i] = ‖dwᵢ‖², the
// squared norm of sample i's own gradient (without acc's dw), summed in float64,
// and where rows is not nil too, as [Stream.ConvSamples] does, each sample's
// gradient; dw has the same bits with and without them.
func (s *Stream[T]) ConvWeight(c *Conv[T], dw, x, dy []T, acc bool, perSample []float64, rows []T) {
	t := s.conv(convWeight, c, x, dy, dw)
	t.acc = acc
	if perSample != nil {
		t.sample = perSample[:s.n]
	}
	if rows != nil {
		t.grads = rows[:s.n*c.OutC*c.depth]
	}
	if s.n == 0 && !acc {
		clear(dw[:c.OutC*c.depth])
	}
	t.last = 2*t.lastRun() >= s.kernels.tiles.lanes
	t.parts = grow(t.parts, groupsOf(s.n)*c.OutC*c.depth)
	s.grouped = true
}

// ConvSamples stores the gradient of sample i's Σ y⊙dy in w in row i of rows,
// which are OutC·InC·KH·KW long. Their sum is what ConvWeight makes.
func (s *Stream[T]) ConvSamples(c *Conv[T], rows, x, dy []T) {
	if s.n == 0 {
		return
	}
	t := s.conv(convSamples, c, x, dy, rows)
	t.grads = rows[:s.n*c.OutC*c.depth]
	t.last = 2*t.lastRun() >= s.kernels.tiles.lanes
}

// begin clears a group's sum of weight gradients.
func (t *convTask[T]) begin(group int) {
	if t.op == convWeight {
		clear(t.part(group))
	}
}

// part is a group's sum of weight gradients.
func (t *convTask[T]) part(group int) []T {
	size := t.OutC * t.depth
	return t.parts[group*size:][:size]
}

// samples works on samples [lo,hi), all of one group.
func (t *convTask[T]) samples(group, lo, hi, worker int) {
	switch t.op {
	case convForward:
		t.forward(lo, hi, worker)
		t.finish(lo, hi, t.y, t.OutC*t.outPlane)
	case convInput:
		t.input(lo, hi, worker)
		t.activateInput(lo, hi)
		t.finish(lo, hi, t.x, t.InC*t.inPlane)
	case convWeight:
		t.weight(group, lo, hi, worker)
	case convSamples:
		t.gradients(lo, hi, worker)
	}
}

// activateInput adds the bias to samples [lo,hi) of an input gradient and applies
// the activation.
func (t *convTask[T]) activateInput(lo, hi int) {
	if t.bias != nil {
		for p := lo * t.InC; p < hi*t.InC; p++ {
			plane := t.x[p*t.inPlane:][:t.inPlane]
			for i, b := 0, t.bias[p%t.InC]; i < len(plane); i++ {
				plane[i] += b
			}
		}
	}
	if t.act != Identity {
		dst := t.x[lo*t.InC*t.inPlane : hi*t.InC*t.inPlane]
		t.kernels.vec.activate(t.act, dst, dst)
	}
}

// finish applies the mask to samples [lo,hi) of a result.
func (t *convTask[T]) finish(lo, hi int, dst []T, width int) {
	if t.mask != Identity {
		dst = dst[lo*width : hi*width]
		t.kernels.vec.actGrad(t.mask, dst, dst, t.ref[lo*width:hi*width])
	}
}

// before lays weights out, after adds the groups' weight gradients up: both
// some filters a piece.
func (t *convTask[T]) before() {
	if t.op == convInput {
		t.kernels.pool.Run(t.layoutPieces(), (*convLayout[T])(t))
	}
}

func (t *convTask[T]) after() {
	if t.op == convWeight {
		t.kernels.pool.Run(t.reducePieces(), (*convReduce[T])(t))
	}
}

func (t *convTask[T]) layoutPieces() int { return max(1, t.OutC*t.depth/packWork) }

func (t *convTask[T]) reducePieces() int {
	return max(1, min(t.OutC, groupsOf(t.n)*t.OutC*t.depth/packWork))
}

func (t *convTask[T]) forget() { *t = convTask[T]{layout: t.layout, parts: t.parts} }

// convLayout and convReduce are what a convTask does before and after its
// samples.
type (
	convLayout[T Float] convTask[T]
	convReduce[T Float] convTask[T]
)

// Do lays the filters of piece i out.
func (l *convLayout[T]) Do(i, _ int) {
	t := (*convTask[T])(l)
	lo, hi := span(t.OutC, t.layoutPieces(), 1, i)
	t.layOut(lo, hi)
}

// Do adds the weight gradients of the filters of piece i up.
func (r *convReduce[T]) Do(i, worker int) {
	t := (*convTask[T])(r)
	lo, hi := span(t.OutC, t.reducePieces(), 1, i)
	t.reduce(lo, hi, worker)
}
