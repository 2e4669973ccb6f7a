package cpu

import (
	"math"

	"sgflow/engine/cpu/kernel"
	"sgflow/engine/program"
)

// factors is a bound program.Factors: the gradient of sample i with respect to
// one parameter is n·aᵢ⊗bᵢ, or n·aᵢ where b is absent.
type factors[T Float] struct {
	at, size   int // the parameter's part of flat vectors
	a, b       operand[T]
	rows, cols int // width of a and of b; cols is 0 where b is absent

	// of names the dense weight that shares a or b with this bias, and bias the
	// bias of this weight, −1 where there is none: the two make one term of Gram
	// matrices.
	of, bias int
}

// sampled is the factors of all parameters and what their products need.
type sampled[T Float] struct {
	list []factors[T]       // nil where the program is not factored
	lazy []program.BufferID // made by the Samples phase
	made bool               // the Samples phase has run for the last backward pass

	// Where the samples' gradients of a backward pass with norms were asked for,
	// those of the next one are stored on the way: eager says so during it.
	byWeights    []*convSamples[T]
	asked, eager bool

	kept  kept[T]
	terms []kernel.GramTerm[T]
	gram  []float64 // capacity×capacity at most
	left  []T       // one scaled or multiplied factor
	right []T
	w     []T // weights of samples
	gemm  kernel.Gemm[T]
}

// bindFactors resolves the factors of every parameter.
func (b *binder[T]) bindFactors() []factors[T] {
	p := b.p
	if !p.Factored() {
		return nil
	}
	list := make([]factors[T], len(p.Params))
	for k, q := range p.Params {
		a := p.Buffer(q.Factors.A)
		f := factors[T]{at: q.Offset, size: q.Size, rows: a.Width(), a: b.real(q.Factors.A, each(a.Width())), of: -1, bias: -1}
		want := f.rows
		if q.Factors.B != program.None {
			f.cols = p.Buffer(q.Factors.B).Width()
			f.b = b.real(q.Factors.B, each(f.cols))
			want *= f.cols
		}
		if want != q.Size {
			b.fail("the gradient of %s has %d elements, its factors make %d", q.Name, q.Size, want)
		}
		list[k] = f
	}
	b.pairBiases(list)
	return list
}

// pairBiases finds for each dense weight a bias whose rows are one of its
// factors, and makes that factor its a and the weight's a.
func (b *binder[T]) pairBiases(list []factors[T]) {
	for k, q := range b.p.Params {
		if list[k].cols == 0 {
			continue
		}
		for j, r := range b.p.Params {
			f := r.Factors
			if list[j].cols == 0 && list[j].of < 0 && (f.A == q.Factors.A || f.A == q.Factors.B) {
				list[j].of, list[k].bias = k, j
				break
			}
		}
	}
}

// sharesB reports whether the bias of weight k has the rows of its factor b,
// rather than of a.
func (m *Machine[T]) sharesB(k int) bool {
	p := m.program.Params
	return p[m.sampled.list[k].bias].Factors.A == p[k].Factors.B
}

// Factored reports whether the gradients of single samples are known, as
// factors, for every parameter: where they are not, SampleDots and the other
// methods below return false and do nothing.
func (m *Machine[T]) Factored() bool { return m.sampled.list != nil }

// ready makes the factors complete and returns whether there are any. It
// panics where no backward pass has left them.
func (m *Machine[T]) ready() bool {
	s := &m.sampled
	if s.list == nil {
		return false
	}
	if m.batch == 0 {
		panic(noSamples)
	}
	if s.made {
		return true
	}
	for _, id := range s.lazy {
		if rows := m.own[id]; *rows == nil {
			*rows = aligned[T](m.program.Buffer(id).Len(m.capacity))
		}
	}
	m.run(program.Samples, m.batch)
	s.made, s.asked = true, true
	return true
}

// begin is called when a backward pass begins.
func (s *sampled[T]) begin(noise bool) {
	for _, c := range s.byWeights {
		c.made = false
	}
	if noise { // only then do weight gradients see single samples
		s.eager, s.asked = s.asked, false
	}
}

// room returns n elements for each of capacity samples, s itself if it has them.
func (m *Machine[T]) room(s *[]T, width, n int) []T {
	if len(*s) < width*m.capacity {
		*s = aligned[T](width * m.capacity)
	}
	return (*s)[:width*n]
}

// SampleDots computes
//
//	dst[i] = gᵢᵀv
//
// for the n samples of the last backward pass: gᵢ is the gradient of sample i's
// own loss, not divided by n, or after Pullback Jᵢᵀuᵢ. dst has n elements and v
// has P. A dense layer takes one product of n×M with M×N. It returns false where
// the program is not factored.
func (m *Machine[T]) SampleDots(dst []float64, v []T) bool {
	if !m.ready() {
		return false
	}
	n := m.batch
	m.checkSamples(dst, n)
	m.checkVector(v)
	clear(dst)
	for k := range m.sampled.list {
		f := &m.sampled.list[k]
		m.addDots(dst, f, v[f.at:f.at+f.size], n)
	}
	return true
}

// addDots adds to dst[i] the product of sample i's gradient with v, the
// parameter's part of a vector.
func (m *Machine[T]) addDots(dst []float64, f *factors[T], v []T, n int) {
	if f.cols == 0 {
		m.kernels.RowDot(dst, f.a.at(n), v, n, f.rows, float64(n), true)
		return
	}
	s := &m.sampled
	av := m.room(&s.left, f.cols, n)
	s.gemm = kernel.Gemm[T]{M: n, N: f.cols, K: f.rows, A: f.a.at(n), B: v, C: av}
	m.kernels.Gemm(&s.gemm)
	m.kernels.RowDot(dst, av, f.b.at(n), n, f.cols, float64(n), true)
}

// CombineSamples computes
//
//	out = Σ wᵢgᵢ
//
// for the n samples of the last backward pass, gᵢ as for SampleDots. out has P
// elements and w has n. It returns false where the program is not factored.
func (m *Machine[T]) CombineSamples(out []T, w []float64) bool {
	if !m.ready() {
		return false
	}
	n, s := m.batch, &m.sampled
	m.checkVector(out)
	m.checkSamples(w, n)
	weights := m.room(&s.w, 1, n)
	for i, v := range w {
		weights[i] = T(float64(n) * v)
	}
	for k := range s.list {
		f := &s.list[k]
		g := &s.gemm
		*g = kernel.Gemm[T]{M: f.rows, N: f.cols, K: n, TransA: true, A: f.a.at(n), B: f.b.at(n), C: out[f.at : f.at+f.size]}
		switch {
		case f.cols == 0:
			g.M, g.N, g.TransA = 1, f.rows, false
			g.A, g.B = weights, f.a.at(n)
		case f.rows <= f.cols:
			g.A = m.room(&s.left, f.rows, n)
			m.kernels.RowScale(g.A, f.a.at(n), n, f.rows, float64(n), w)
		default:
			g.B = m.room(&s.left, f.cols, n)
			m.kernels.RowScale(g.B, f.b.at(n), n, f.cols, float64(n), w)
		}
		m.kernels.Gemm(g)
	}
	return true
}

// SecondMoment computes the mean of the squares of the samples' gradients,
// element by element,
//
//	out = (1/n) Σ gᵢ∘gᵢ
//
// for the n samples of the last backward pass, gᵢ as for SampleDots. out has P
// elements. For a dense weight it is (1/n)·(nA∘nA)ᵀ(B∘B). It returns false where
// the program is not factored.
func (m *Machine[T]) SecondMoment(out []T) bool {
	if !m.ready() {
		return false
	}
	n, s, k := m.batch, &m.sampled, m.kernels
	m.checkVector(out)
	root := T(math.Sqrt(float64(n))) // before squaring, which may leave the range of T
	for i := range s.list {
		f := &s.list[i]
		dst := out[f.at : f.at+f.size]
		if f.cols == 0 {
			k.ColSquares(dst, f.a.at(n), n, f.rows, float64(n))
			continue
		}
		a, b := m.room(&s.left, f.rows, n), m.room(&s.right, f.cols, n)
		k.Scale(a, root, f.a.at(n))
		k.Mul(a, a, a)
		k.Mul(b, f.b.at(n), f.b.at(n))
		s.gemm = kernel.Gemm[T]{M: f.rows, N: f.cols, K: n, TransA: true, A: a, B: b, C: dst}
		k.Gemm(&s.gemm)
	}
	return true
}

func (m *Machine[T]) checkVector(v []T) {
	if len(v) != m.program.NumParams {
		panic(badVector)
	}
}

func (m *Machine[T]) checkSamples(v []float64, n int) {
	if len(v) != n {
		panic(badSamples)
	}
}
