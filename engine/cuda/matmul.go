//go:build gpu && cgo && linux && amd64

package cuda

import (
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

// The tiles of the product kernels: rows and columns of a block's part, and
// threads.
const (
	smallTile, smallThreads = 32, 128
	largeTile, largeThreads = 64, 256
	tensorThreads           = 128 // for as large a tile
	kStep                   = 32  // of the small tile along k
)

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
	m := r.m
	orientation := 0
	if r.transA {
		orientation += 2
	}
	if r.transB {
		orientation++
	}
	kernel, tile, threads, splits := m.kernels.small[orientation], smallTile, smallThreads, m.splits(rows, cols, f.k+second.k)
	if m.large(rows, cols) {
		kernel, tile, threads, splits = m.kernels.large[orientation], largeTile, largeThreads, 1
		if m.tf32 {
			kernel, threads = m.kernels.tensor[orientation], tensorThreads
		}
	}
	vectorA, vectorB := r.vectors(f, rows, cols)
	vectorA2, vectorB2 := r.vectors(second, rows, cols)
	e := &r.epilogue
	m.launch(r.what, kernel, driver.Grid{
		Blocks: driver.Dim{X: blocks(cols, tile), Y: blocks(rows, tile), Z: splits}, Threads: driver.Dim{X: threads},
	}, driver.Ptr(out), driver.Ptr(f.a), driver.Ptr(f.b), driver.Ptr(second.a), driver.Ptr(second.b),
		driver.Int(rows), driver.Int(cols), driver.Int(f.k), driver.Int(second.k), flag(r.accumulate),
		flag(vectorA), flag(vectorB), flag(vectorA2), flag(vectorB2),
		driver.Ptr(e.bias.p), driver.Int(int(e.f)), driver.Ptr(e.mask.p), driver.Int(int(e.df)),
		driver.Ptr(m.partial), driver.Ptr(m.arrived))
}

// splits is how many parts the sum over k has where tiles are small: these keep the
// processors busy that tiles do not.
func (m *Machine) splits(rows, cols, k int) int {
	if n := blocks(rows, smallTile) * blocks(cols, smallTile); n < m.multiprocessors {
		return min(blocks(2*m.multiprocessors, n), blocks(k, 2*kStep))
	}
	return 1
}

// large reports whether large tiles of a result are enough to keep the device busy.
func (m *Machine) large(rows, cols int) bool {
	return blocks(rows, largeTile)*blocks(cols, largeTile) >= 2*m.multiprocessors
}

// partialBytes is the size of the workspace for split sums: twice as many tiles
// as multiprocessors, and one part of each more by rounding.
func partialBytes(multiprocessors int) int { return 3 * multiprocessors * smallTile * smallTile * real }

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
// does not split sums.
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
		return &afterLoss{r}
	}
	return r
}

// sum returns two products as one, with the bias of the first and the rest of what the
// second, the instruction being bound, does to elements.
func (b *binder) sum(first, second *matMul) *matMul {
	r := *first
	r.what, r.second = second.what, second
	r.epilogue = second.epilogue
	r.epilogue.bias = first.epilogue.bias
	r.later = second.later && !r.epilogue.bias.present() && b.canWait(first.in.Out, first.in.A, first.in.B)
	return &r
}

// afterLoss is a product that the loss has made on its way, in a Gradient.
type afterLoss struct{ product *matMul }

func (*afterLoss) run(int) {}

func (r *matMul) run(n int) {
	rows, cols := r.rows.At(n), r.cols.At(n)
	f, second := terms{r.a.p, r.b.p, r.k.At(n)}, terms{}
	if s := r.second; s != nil {
		second = terms{s.a.p, s.b.p, s.k.At(n)}
	}
	if r.later && f.k+second.k <= longestTask && !r.m.large(rows, cols) {
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
	if r.second != nil || r.a.p != m.buffers.at[m.program.Inputs[0]] || r.transA || !r.transB || r.rows != each(1) || r.cols.Batch || r.k.Batch || m.large(n, cols) {
		return false
	}
	e, splits := &r.epilogue, m.splits(n, cols, k)
	m.launch(r.what, m.kernels.gatherMatMul, driver.Grid{
		Blocks: driver.Dim{X: blocks(n, smallTile)*blocks(cols, smallTile)*splits + n}, Threads: driver.Dim{X: smallThreads},
	}, append(batch, driver.Ptr(r.out.p), driver.Ptr(r.b.p), driver.Int(cols), flag(r.accumulate), flag(vector(r.b.p, k)),
		driver.Ptr(e.bias.p), driver.Int(int(e.f)), driver.Ptr(e.mask.p), driver.Int(int(e.df)),
		driver.Int(splits), driver.Ptr(m.partial), driver.Ptr(m.arrived))...)
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
