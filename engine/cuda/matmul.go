//go:build gpu && cgo && linux && amd64

package cuda

import (
	"math"
	"strconv"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// product is a matrix product of any operands and its epilogue.
type product struct {
	m              *Machine
	what           string
	transA, transB bool
	accumulate     bool
	epilogue       epilogue
}

// smallThreads is how many threads a small tile of the gradients of weights has, and what
// shares its launch.
const (
	smallThreads = 128
	leastTerms   = 64 // of a part of a sum
)

// tile is the part of a result that a block makes.
type tile struct {
	rows, cols, threads int
	cost                float64 // cycles of a multiprocessor for a term
	kernels             func(*kernelSet) *[4]driver.Kernel
}

func smallKernels(k *kernelSet) *[4]driver.Kernel  { return &k.small }
func mediumKernels(k *kernelSet) *[4]driver.Kernel { return &k.medium }
func largeKernels(k *kernelSet) *[4]driver.Kernel  { return &k.large }
func tensorKernels(k *kernelSet) *[4]driver.Kernel { return &k.tensor }

// tiles are those of each orientation; see kernels/tensor.cuh. The costs are by loads
// from the second-level cache, 21 bytes a cycle, and for the large one by products on tensor
// cores.
var tiles = [4][]tile{
	{{16, 32, 256, 9, smallKernels}, mediumTile, largeTile},           // nn
	{{16, 16, 256, 6, smallKernels}, mediumTile, largeTile},           // nt
	{{64, 32, smallThreads, 18, smallKernels}, mediumTile, largeTile}, // tn
	{{32, 16, 256, 9, smallKernels}, mediumTile, largeTile},           // tt
}

var (
	mediumTile = tile{64, 64, 256, 24, mediumKernels}
	largeTile  = tile{128, 128, 512, 80, largeKernels}
	tensorTile = tile{128, 128, 512, 50, tensorKernels} // in TF32 itself
)

// Orientations of products: transposed says which factors are stored transposed.
const transposedB, transposedA = 1, 2

// tiling returns the tile for a product rows×cols of an orientation with sums of so many
// terms, and among how many blocks each sum is split: one, or, where tiles are fewer than the
// multiprocessors, as many as make two blocks for each of those. It is what leaves the
// least for the busiest multiprocessor: the cost of its blocks' terms, and 16 elements a cycle
// of results, of which a split tile is stored once and loaded by one block once for each
// part; where sums are split, the wait for that too.
func (m *Machine) tiling(orientation, rows, cols, terms int) (best tile, splits int) {
	const wait = 4000 // cycles
	least := math.Inf(1)
	for _, t := range tiles[orientation] {
		n := blocks(rows, t.rows) * blocks(cols, t.cols)
		try := func(parts int) {
			moved, waits := 1, 0.0
			if parts > 1 {
				moved, waits = 2+parts, wait
			}
			busiest, area := float64(blocks(n*parts, m.multiprocessors)), float64(t.rows*t.cols)
			if c := busiest*t.cost*float64(blocks(terms, parts)) + area*float64(moved)/16 + waits; c < least {
				best, splits, least = t, parts, c
			}
		}
		try(1)
		if n < m.multiprocessors {
			try(max(1, min(2*m.multiprocessors/n, terms/leastTerms)))
		}
	}
	return best, splits
}

// terms are the factors of a product, with a sum of k terms; the zero value stands for none.
type terms struct {
	a, b driver.Pointer
	k    int
}

// vectors reports for op(a) and op(b), rows×k and k×cols, whether what is stored has rows
// that start at multiples of 16 bytes.
func (r *product) vectors(f terms, rows, cols int) (a, b bool) {
	lda, ldb := f.k, cols
	if r.transA {
		lda = rows
	}
	if r.transB {
		ldb = f.k
	}
	return vector(f.a, lda), vector(f.b, ldb)
}

// run queues out = op(a)·op(b) of f, or of both, rows×cols.
func (r *product) run(out driver.Pointer, f, second terms, rows, cols int) {
	t, splits := r.m.tiling(r.orientation(), rows, cols, f.k+second.k)
	if r.m.tf32 && t.rows == largeTile.rows {
		t = tensorTile
	}
	r.runTiled(t, splits, out, f, second, rows, cols)
}

// orientation says which factors are stored transposed.
func (r *product) orientation() (o int) {
	if r.transA {
		o += transposedA
	}
	if r.transB {
		o += transposedB
	}
	return o
}

// runTiled is run with so many blocks for each of the tiles.
func (r *product) runTiled(t tile, splits int, out driver.Pointer, f, second terms, rows, cols int) {
	m := r.m
	kernel := t.kernels(&m.kernels)[r.orientation()]
	vectorA, vectorB := r.vectors(f, rows, cols)
	vectorA2, vectorB2 := r.vectors(second, rows, cols)
	e := &r.epilogue
	m.launch(r.what, kernel, driver.Grid{
		Blocks: driver.Dim{X: blocks(cols, t.cols), Y: blocks(rows, t.rows), Z: splits}, Threads: driver.Dim{X: t.threads},
	}, driver.Ptr(out), driver.Ptr(f.a), driver.Ptr(f.b), driver.Ptr(second.a), driver.Ptr(second.b),
		driver.Int(rows), driver.Int(cols), driver.Int(f.k), driver.Int(second.k), flag(r.accumulate),
		flag(vectorA), flag(vectorB), flag(vectorA2), flag(vectorB2),
		driver.Ptr(e.bias.p), driver.Int(int(e.f)), driver.Ptr(e.mask.p), driver.Int(int(e.df)),
		driver.Ptr(m.lane.partial), driver.Ptr(m.lane.arrived))
}

// partialBytes is the size of the workspace for split sums: two of the largest tiles for
// each multiprocessor.
func partialBytes(multiprocessors int) int {
	return 2 * multiprocessors * largeTile.rows * largeTile.cols * real
}

// vector reports whether rows of ld elements from p on all start at multiples of
// 16 bytes.
func vector(p driver.Pointer, ld int) bool { return p%16 == 0 && ld%4 == 0 }

// blocks returns how many blocks of the given size cover n elements.
func blocks(n, size int) int { return (n + size - 1) / size }

func flag(on bool) driver.Arg {
	if on {
		return 1
	}
	return 0
}

// longestTask is the longest sum of a product that may be put off: the launch for many
// has small tiles and does not split sums. Nor may one that keeps the device busy by itself.
const longestTask = 256

type matMul struct {
	product
	in            *program.MatMul
	out, a, b     operand
	rows, cols, k program.Extent
	second        *matMul // whose product is added, in the same launch; nil for none
	later         bool    // may wait for the end of the phase
}

func bindMatMul(b *binder, in *program.MatMul) bound {
	size := b.extent(in.M, in.N)
	r := &matMul{
		product: product{
			m: b.m, what: b.what("matmul"), transA: in.TransA, transB: in.TransB, accumulate: in.Accumulate,
			epilogue: bindEpilogue(b, in.Epilogue, size, in.N),
		},
		in:   in,
		out:  b.real(in.Out, size),
		a:    b.real(in.A, b.extent(in.M, in.K)),
		b:    b.real(in.B, b.extent(in.K, in.N)),
		rows: in.M, cols: in.N, k: in.K,
		later: in.TransA && !in.TransB && in.Epilogue == program.NoEpilogue && b.canWait(in.Out, in.A, in.B),
	}
	if b.err != nil {
		return nil
	}
	if first, ok := b.firsts[in].(*matMul); ok {
		return b.sum(first, r)
	}
	if b.waitsForSecond(in, r) {
		return nil
	}
	if b.phase == program.Gradient && b.afterLoss(in, r) {
		return &taken{r}
	}
	return r
}

// sum returns two products as one, with the bias of the first and the rest of what the
// second, the instruction being bound, does to elements; or what stands for it.
func (b *binder) sum(first, second *matMul) bound {
	r := *first
	r.what, r.second = second.what, second
	r.epilogue = second.epilogue
	r.epilogue.bias = first.epilogue.bias
	r.later = second.later && !r.epilogue.bias.present() && b.canWait(first.in.Out, first.in.A, first.in.B)
	if b.phase == program.HessianProduct && b.afterHess(&r) {
		return &taken{&r}
	}
	return &r
}

// taken is a product that the launch of a loss, or of its curvature, makes on its way.
type taken struct{ product *matMul }

func (*taken) run(int) {}

func (r *matMul) run(n int) {
	rows, cols := r.rows.At(n), r.cols.At(n)
	f, second := terms{r.a.p, r.b.p, r.k.At(n)}, terms{}
	if s := r.second; s != nil {
		second = terms{s.a.p, s.b.p, s.k.At(n)}
	}
	if r.later && f.k+second.k <= longestTask && blocks(rows, mediumTile.rows)*blocks(cols, mediumTile.cols) < 2*r.m.multiprocessors {
		vectorA, vectorB := r.vectors(f, rows, cols)
		vectorA2, vectorB2 := r.vectors(second, rows, cols)
		r.m.addProduct(productTask{
			out: r.out.p, a: f.a, b: f.b, a2: second.a, b2: second.b, rows: int32(rows), cols: int32(cols), k: int32(f.k), k2: int32(second.k),
			accumulate: int32(flag(r.accumulate)), vectorA: int32(flag(vectorA)), vectorB: int32(flag(vectorB)),
			vectorA2: int32(flag(vectorA2)), vectorB2: int32(flag(vectorB2)),
		})
		return
	}
	r.product.run(r.out.p, f, second, rows, cols)
}

// runGathering is run for a layer of few tiles whose samples are still in the data set.
func (r *matMul) runGathering(n int, batch []driver.Arg) bool {
	m, cols, k := r.m, r.cols.N, r.k.N
	if r.second != nil || r.a.p != m.buffers.at[m.program.Inputs[0]] || r.transA || !r.transB || r.rows != each(1) || r.cols.Batch || r.k.Batch {
		return false
	}
	if m.training.plane == 1 { // the kernel has fours of bytes from two channels at most
		return false
	}
	t, splits := m.tiling(transposedB, n, cols, k)
	if t.rows != tiles[transposedB][0].rows {
		return false
	}
	e := &r.epilogue
	m.launch(r.what, m.kernels.gatherMatMul, driver.Grid{
		Blocks: driver.Dim{X: blocks(n, t.rows)*blocks(cols, t.cols)*splits + n}, Threads: driver.Dim{X: t.threads},
	}, append(batch, driver.Ptr(r.out.p), driver.Ptr(r.b.p), driver.Int(cols), flag(r.accumulate), flag(vector(r.b.p, k)),
		driver.Ptr(e.bias.p), driver.Int(int(e.f)), driver.Ptr(e.mask.p), driver.Int(int(e.df)),
		driver.Int(splits), driver.Ptr(m.lane.partial), driver.Ptr(m.lane.arrived))...)
	return true
}

// epilogue is a bound program.Epilogue; the kernels number functions as program
// does.
type epilogue struct {
	bias operand
	f    program.Func
	mask operand
	df   program.Func
}

// bindEpilogue resolves e for a result of the given size, with one bias for each
// of channels.
func bindEpilogue(b *binder, e program.Epilogue, size, channels program.Extent) epilogue {
	r := epilogue{bias: b.real(e.Bias, channels), f: b.activation(e.Func), mask: b.real(e.Mask, size)}
	if e.Mask != program.None {
		r.df = b.maskOf(e.MaskFunc)
	}
	return r
}

// activation checks that f can be fused.
func (b *binder) activation(f program.Func) program.Func {
	if f > program.GELU {
		b.fail("%s is no activation", f)
	}
	return f
}

// maskOf checks that the derivative of f can be had from its output.
func (b *binder) maskOf(f program.Func) program.Func {
	if !f.FromOutput() {
		b.fail("the derivative of %s cannot be had from its output", f)
	}
	return b.activation(f)
}

// what names the instruction being bound in errors.
func (b *binder) what(name string) string {
	return b.phase.String() + " instruction " + strconv.Itoa(b.place) + " (" + name + ")"
}
