package cpu

import "sgflow/engine/cpu/kernel"

// kept is what KeepSamples leaves for CrossDots.
type kept[T Float] struct {
	n    int    // samples, 0 before the first KeepSamples
	a, b [][]T  // by parameter: rows of the factors, where those are kept
	mean [][]T  // by parameter: ḡ, where that is
	rows []bool // by parameter: factors are kept
}

// SampleGram computes the Gram matrix of the samples' gradients,
//
//	dst[i·n+j] = gᵢᵀgⱼ
//
// for the n samples of the last backward pass, gᵢ as for SampleDots. dst has n²
// elements. A dense layer with its bias adds n²·(⟨dᵢ,dⱼ⟩)·(⟨xᵢ,xⱼ⟩ + 1), rows of a
// bias or a convolution n²·⟨rᵢ,rⱼ⟩; products are in T and their sums over layers
// in float64. It returns false where the program is not factored.
func (m *Machine[T]) SampleGram(dst []float64) bool {
	if !m.ready() {
		return false
	}
	n, s := m.batch, &m.sampled
	if len(dst) != n*n {
		panic(badGram)
	}
	s.terms = s.terms[:0]
	for k := range s.list {
		if s.list[k].of < 0 {
			m.addTerm(k, n, n, nil)
		}
	}
	m.kernels.Gram(dst, n, n, s.terms, true)
	return true
}

// addTerm adds parameter k with its bias to the Gram matrix of the n samples
// with those of other, which has n2; nil is the samples themselves.
func (m *Machine[T]) addTerm(k, n, n2 int, other *kept[T]) {
	f := &m.sampled.list[k]
	t := kernel.GramTerm[T]{
		A: f.a.at(n), ACols: f.rows, B: f.b.at(n), BCols: f.cols,
		Scale: float64(n) * float64(n2),
	}
	t.A2, t.B2 = t.A, t.B
	if other != nil {
		t.A2, t.B2 = other.a[k], other.b[k]
	}
	if f.bias >= 0 {
		t.One = 1
		if m.sharesB(k) {
			t.A, t.A2, t.ACols, t.B, t.B2, t.BCols = t.B, t.B2, t.BCols, t.A, t.A2, t.ACols
		}
	}
	m.sampled.terms = append(m.sampled.terms, t)
}

// MeanDots computes
//
//	dst[i] = gᵢᵀḡ
//
// for the n samples of the last Gradient, whose result must still be in Grad. It
// is SampleDots with v = ḡ, but for dense layers wider than the batch by the Gram
// matrix, gᵢᵀḡ = (1/n)Σⱼ gᵢᵀgⱼ, where that takes fewer multiplications. dst has n
// elements. It returns false where the program is not factored.
func (m *Machine[T]) MeanDots(dst []float64) bool {
	if !m.ready() {
		return false
	}
	if m.pulled {
		panic(noGradient)
	}
	n, s := m.batch, &m.sampled
	m.checkSamples(dst, n)
	clear(dst)
	s.terms = s.terms[:0]
	for k := range s.list {
		f := &s.list[k]
		// Half of the Gram matrix's products are made.
		if f.byGram(n+1, 2) {
			m.addTerm(k, n, n, nil)
		} else if f.of < 0 || !s.list[f.of].byGram(n+1, 2) {
			m.addDots(dst, f, m.grad[f.at:f.at+f.size], n)
		}
	}
	m.addGramMeans(dst, n, n, true)
	return true
}

// byGram reports whether n/share products of the rows of a and of b for each
// sample are cheaper than the product with a whole vector. It is false for
// rows.
func (f *factors[T]) byGram(n, share int) bool {
	return f.cols > 0 && n*(f.rows+f.cols) <= share*f.rows*f.cols
}

// addGramMeans adds the mean over j of the Gram matrix of the terms to dst[i].
func (m *Machine[T]) addGramMeans(dst []float64, n, n2 int, symmetric bool) {
	s := &m.sampled
	if len(s.terms) == 0 {
		return
	}
	if len(s.gram) < m.capacity*m.capacity {
		s.gram = aligned[float64](m.capacity * m.capacity)
	}
	m.kernels.Gram(s.gram, n, n2, s.terms, symmetric)
	for i := range dst {
		dst[i] += sum(s.gram[i*n2:(i+1)*n2]) / float64(n2)
	}
}

// sum adds x up in four chains.
func sum(x []float64) float64 {
	var s [4]float64
	for len(x) >= 4 {
		s[0] += x[0]
		s[1] += x[1]
		s[2] += x[2]
		s[3] += x[3]
		x = x[4:]
	}
	for i, v := range x {
		s[i] += v
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

// KeepSamples remembers the mean ḡ′ of the samples' gradients of the last
// Gradient, whose result must still be in Grad, for CrossDots: of dense layers
// wider than the batch the factors, of other parameters ḡ′ itself. It returns
// false where the program is not factored.
func (m *Machine[T]) KeepSamples() bool {
	if m.sampled.list == nil {
		return false
	}
	if m.batch == 0 || m.pulled {
		panic(noGradient)
	}
	n, list, k := m.batch, m.sampled.list, &m.sampled.kept
	m.makeKept()
	k.n = n
	for i := range list {
		f := &list[i]
		if k.rows[i] = f.byGram(n, 1); k.rows[i] {
			m.keep(&k.a[i], f.a.at(n), f.rows*m.capacity)
			m.keep(&k.b[i], f.b.at(n), f.cols*m.capacity)
		} else if f.of < 0 || !list[f.of].byGram(n, 1) {
			m.keep(&k.mean[i], m.grad[f.at:f.at+f.size], f.size)
		}
	}
	return true
}

// makeKept makes room for what KeepSamples keeps.
func (m *Machine[T]) makeKept() {
	if k, n := &m.sampled.kept, len(m.sampled.list); k.a == nil {
		k.a, k.b, k.mean, k.rows = make([][]T, n), make([][]T, n), make([][]T, n), make([]bool, n)
	}
}

// keep stores x in dst, which has room for size elements from its first use on.
func (m *Machine[T]) keep(dst *[]T, x []T, size int) {
	if cap(*dst) < size {
		*dst = aligned[T](size)
	}
	*dst = (*dst)[:len(x)]
	m.kernels.Scale(*dst, 1, x)
}

// CrossDots computes
//
//	dst[i] = gᵢᵀḡ′
//
// for the n samples of the last backward pass, gᵢ as for SampleDots, and the mean
// gradient ḡ′ that KeepSamples kept, at whatever parameters and samples that was.
// dst has n elements. It returns false where the program is not factored, and
// panics without a KeepSamples.
func (m *Machine[T]) CrossDots(dst []float64) bool {
	if !m.ready() {
		return false
	}
	n, s, other := m.batch, &m.sampled, &m.sampled.kept
	if other.n == 0 {
		panic(noKept)
	}
	m.checkSamples(dst, n)
	clear(dst)
	s.terms = s.terms[:0]
	for k := range s.list {
		f := &s.list[k]
		if other.rows[k] {
			m.addTerm(k, n, other.n, other)
		} else if f.of < 0 || !other.rows[f.of] {
			m.addDots(dst, f, other.mean[k], n)
		}
	}
	m.addGramMeans(dst, n, other.n, false)
	return true
}
