//go:build gpu && cgo && linux && amd64

package cuda

import (
	"fmt"
	"math"
	"slices"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// factors is a bound program.Factors: the gradient of sample i with respect to one
// parameter is n·aᵢ⊗bᵢ, or n·aᵢ where b is absent.
type factors struct {
	at, size   int // the parameter's part of flat vectors
	a, b       operand
	rows, cols int            // width of a and of b; cols is 0 where b is absent
	av         driver.Pointer // a·V for a vector V, capacity×cols

	// of names the dense weight that shares a or b with this bias, and bias the
	// bias of this weight, −1 where there is none: the two make one term of Gram
	// matrices.
	of, bias int
}

// sampled is the factors of all parameters and what their products need. It is
// made at its first use, as rows of samples are large.
type sampled struct {
	bound bool
	list  []factors
	made  bool // the Samples phase has run for the last backward pass

	kept    kept
	dots    driver.Pointer // capacity float64
	weights driver.Pointer // capacity float64
	host    []float64      // pinned, capacity
	gram    driver.Pointer // float64, room for gramSize
	room    int
	left    driver.Pointer // a scaled or squared factor
	right   driver.Pointer
	vector  driver.Pointer // a vector of P elements
	dotRows table[dotTask]
	terms   table[gramTerm]
	tn, nn  product
}

// dotTask and gramTerm are entries of the kernels' tables; see
// kernels/samples.cu.
type (
	dotTask struct {
		a, b       driver.Pointer
		cols, step int32
	}
	gramTerm struct {
		a, a2, b, b2         driver.Pointer
		colsA, colsB, one, _ int32
	}
)

// table is a kernel's table, uploaded where it differs from the last one.
type table[T comparable] struct {
	p    driver.Pointer
	now  []T // on the device
	next []T
}

// put uploads the table.
func (t *table[T]) put(m *Machine) {
	if slices.Equal(t.now, t.next) {
		return
	}
	m.Wait()
	t.now = append(t.now[:0], t.next...)
	if m.err == nil {
		m.check(driver.Upload(m.ctx, "table of samples' products", t.p, t.next))
	}
}

// Factored reports whether the gradients of single samples are known, as factors,
// for every parameter: where they are not, SampleDots and the other methods below
// return false and do nothing.
func (m *Machine) Factored() bool { return m.program.Factored() }

// bindSamples resolves the Samples phase and the factors of every parameter.
func (m *Machine) bindSamples() error {
	b, s, p := newBinder(m), &m.sampled, m.program
	list, err := b.bindPhase(program.Samples)
	if err != nil {
		return err
	}
	m.phases[program.Samples] = list
	b.err = nil
	widest := 0
	s.list = make([]factors, len(p.Params))
	for k, q := range p.Params {
		a := p.Buffer(q.Factors.A)
		f := factors{at: q.Offset, size: q.Size, rows: a.Width(), a: b.real(q.Factors.A, each(a.Width())), of: -1, bias: -1}
		want := f.rows
		if q.Factors.B != program.None {
			f.cols = p.Buffer(q.Factors.B).Width()
			f.b = b.real(q.Factors.B, each(f.cols))
			f.av = b.alloc("samples' products", m.capacity*f.cols*real)
			want *= f.cols
			widest = max(widest, f.rows, f.cols)
		}
		if want != q.Size {
			b.fail("the gradient of %s has %d elements, its factors make %d", q.Name, q.Size, want)
		}
		s.list[k] = f
	}
	m.pairBiases()
	s.dots, s.weights = b.alloc("samples' products", m.capacity*double), b.alloc("samples' weights", m.capacity*double)
	s.left, s.right = b.alloc("samples' factors", m.capacity*widest*real), b.alloc("samples' factors", m.capacity*widest*real)
	s.vector = b.alloc("vector", p.NumParams*real)
	s.dotRows.p, s.terms.p = b.alloc("table", max(1, len(s.list))*24), b.alloc("table", max(1, len(s.list))*48)
	s.tn, s.nn = product{m: m, what: "samples' products", transA: true}, product{m: m, what: "samples' products"}
	if b.err == nil {
		host, err := pinned[float64](m, "samples' products", m.capacity)
		b.check(err)
		s.host = host
	}
	return b.err
}

// pairBiases finds for each dense weight a bias whose rows are one of its
// factors.
func (m *Machine) pairBiases() {
	list, params := m.sampled.list, m.program.Params
	for k, q := range params {
		if list[k].cols == 0 {
			continue
		}
		for j, r := range params {
			if f := r.Factors; list[j].cols == 0 && list[j].of < 0 && (f.A == q.Factors.A || f.A == q.Factors.B) {
				list[j].of, list[k].bias = k, j
				break
			}
		}
	}
}

// ready makes the factors complete and returns whether there are any. It panics
// where no backward pass has left them.
func (m *Machine) ready() bool {
	if !m.Factored() {
		return false
	}
	if m.batch == 0 {
		panic(noSamples)
	}
	s := &m.sampled
	if !s.bound && m.err == nil {
		s.bound = true
		m.check(m.bindSamples())
	}
	if !s.made && m.err == nil {
		n := m.batch
		if len(m.phases[program.Samples]) > 0 {
			m.graph(run{what: "samples", n: n}, func() { m.run(program.Samples, n) })
		}
		s.made = true
	}
	return true
}

// SampleDots computes dst[i] = gᵢᵀv for the n samples of the last backward pass: gᵢ
// is the gradient of sample i's own loss, not divided by n, or after Pullback
// Jᵢᵀuᵢ. dst has n elements and v has P. It returns false where the program is not
// factored.
func (m *Machine) SampleDots(dst []float64, v []float32) bool {
	if !m.ready() {
		return false
	}
	m.checkSamples(dst, m.batch)
	m.checkVector(v)
	s := &m.sampled
	m.read(s.vector, v)
	s.dotRows.next = s.dotRows.next[:0]
	for k := range s.list {
		m.addDots(&s.list[k], s.vector)
	}
	m.finishDots(dst, 0, false)
	return true
}

// addDots adds the products of samples' gradients with a parameter's part of v.
func (m *Machine) addDots(f *factors, v driver.Pointer) {
	m.addPart(f, v+driver.Pointer(f.at*real))
}

// addPart is addDots for the part itself.
func (m *Machine) addPart(f *factors, part driver.Pointer) {
	if m.err != nil {
		return
	}
	t := dotTask{a: f.a.p, b: part, cols: int32(f.rows)}
	if f.cols > 0 {
		m.sampled.nn.run(f.av, terms{f.a.p, part, f.rows}, terms{}, m.batch, f.cols)
		t = dotTask{a: f.av, b: f.b.p, cols: int32(f.cols), step: int32(f.cols)}
	}
	m.sampled.dotRows.next = append(m.sampled.dotRows.next, t)
}

// finishDots stores in dst the products of the tasks and the row means of the Gram
// matrix of the terms with n2 samples, where there are terms.
func (m *Machine) finishDots(dst []float64, n2 int, terms bool) {
	s, n := &m.sampled, len(dst)
	if m.err == nil {
		s.dotRows.put(m)
		m.launch("samples' products", m.kernels.dotTasks, warps(n), driver.Ptr(s.dots), driver.Ptr(s.dotRows.p), driver.Int(len(s.dotRows.next)),
			driver.Int(n), flag(false))
		if terms {
			m.queueGram(n, n2)
			m.launch("samples' products", m.kernels.addMeans, warps(n), driver.Ptr(s.dots), driver.Ptr(s.gram), driver.Int(n), driver.Int(n2), flag(true))
		}
		m.copy("samples' products", hostAddress(s.host), s.dots, n*double)
		m.Wait()
	}
	if m.err != nil {
		for i := range dst {
			dst[i] = math.NaN()
		}
		return
	}
	copy(dst, s.host)
}

// queueGram queues the n×n2 Gram matrix of the terms.
func (m *Machine) queueGram(n, n2 int) {
	s := &m.sampled
	if s.room < n*n2 {
		s.room = max(n*n2, min(m.capacity*m.capacity, 1<<20))
		p, err := m.memory.device("Gram matrix of samples", s.room*double)
		m.check(err)
		s.gram = p
	}
	s.terms.put(m)
	m.launch("Gram matrix of samples", m.kernels.gram, driver.Grid{
		Blocks: driver.Dim{X: blocks(n2, 16), Y: blocks(n, 16)}, Threads: driver.Dim{X: 256},
	}, driver.Ptr(s.gram), driver.Ptr(s.terms.p), driver.Int(len(s.terms.next)), driver.Int(n), driver.Int(n2), driver.Float64(float64(n)*float64(n2)))
}

// SampleGram computes dst[i·n+j] = gᵢᵀgⱼ for the n samples of the last backward
// pass, gᵢ as for SampleDots. dst has n² elements. It returns false where the
// program is not factored.
func (m *Machine) SampleGram(dst []float64) bool {
	if !m.ready() {
		return false
	}
	n, s := m.batch, &m.sampled
	if len(dst) != n*n {
		panic(badGram)
	}
	s.terms.next = s.terms.next[:0]
	for k := range s.list {
		if s.list[k].of < 0 {
			m.addTerm(k, nil)
		}
	}
	if m.err == nil {
		m.queueGram(n, n)
		m.Wait()
		if m.err == nil {
			m.check(driver.Download(m.ctx, "Gram matrix of samples", dst, s.gram))
		}
	}
	return true
}

// addTerm adds parameter k with its bias to the Gram matrix of the samples with
// those of other; nil is the samples themselves.
func (m *Machine) addTerm(k int, other *kept) {
	f, params := &m.sampled.list[k], m.program.Params
	t := gramTerm{a: f.a.p, b: f.b.p, colsA: int32(f.rows), colsB: int32(f.cols)}
	t.a2, t.b2 = t.a, t.b
	if other != nil {
		t.a2, t.b2 = other.a[k], other.b[k]
	}
	if f.bias >= 0 {
		t.one = 1
		if params[f.bias].Factors.A == params[k].Factors.B {
			t.a, t.a2, t.colsA, t.b, t.b2, t.colsB = t.b, t.b2, t.colsB, t.a, t.a2, t.colsA
		}
	}
	m.sampled.terms.next = append(m.sampled.terms.next, t)
}

// byGram reports whether n/share products of the rows of a and of b for each
// sample are cheaper than the product with a whole vector. It is false for rows.
func (f *factors) byGram(n, share int) bool {
	return f.cols > 0 && n*(f.rows+f.cols) <= share*f.rows*f.cols
}

// MeanDots computes dst[i] = gᵢᵀḡ for the n samples of the last Gradient, whose
// result must still be in Grad: for dense layers wider than the batch by the Gram
// matrix, gᵢᵀḡ = (1/n)Σⱼ gᵢᵀgⱼ. dst has n elements. It returns false where the program
// is not factored.
func (m *Machine) MeanDots(dst []float64) bool {
	if !m.ready() {
		return false
	}
	if m.pulled {
		panic(noGradient)
	}
	n, s := m.batch, &m.sampled
	m.checkSamples(dst, n)
	s.terms.next, s.dotRows.next = s.terms.next[:0], s.dotRows.next[:0]
	for k := range s.list {
		f := &s.list[k]
		if f.byGram(n+1, 2) {
			m.addTerm(k, nil)
		} else if f.of < 0 || !s.list[f.of].byGram(n+1, 2) {
			m.addDots(f, address(m.buffers.grad))
		}
	}
	m.finishDots(dst, n, len(s.terms.next) > 0)
	return true
}

// CombineSamples computes out = Σ wᵢgᵢ for the n samples of the last backward pass,
// gᵢ as for SampleDots. out has P elements and w has n. It returns false where the
// program is not factored.
func (m *Machine) CombineSamples(out []float32, w []float64) bool {
	if !m.ready() {
		return false
	}
	n, s := m.batch, &m.sampled
	m.checkVector(out)
	m.checkSamples(w, n)
	m.Wait()
	if m.err == nil {
		m.check(driver.Upload(m.ctx, "samples' weights", s.weights, w))
	}
	for k := range s.list {
		f := &s.list[k]
		dst := s.vector + driver.Pointer(f.at*real)
		a, b := f.a.p, f.b.p
		switch {
		case f.cols == 0:
			m.columnSums("weighted samples", dst, a, n, f.rows, false, s.weights, float64(n), false)
			continue
		case f.rows <= f.cols:
			m.scaleRows(s.left, a, n, f.rows)
			a = s.left
		default:
			m.scaleRows(s.left, b, n, f.cols)
			b = s.left
		}
		s.tn.run(dst, terms{a, b, n}, terms{}, f.rows, f.cols)
	}
	m.write(out, s.vector)
	return true
}

// scaleRows queues out[i,c] = n·wᵢ·x[i,c].
func (m *Machine) scaleRows(out, x driver.Pointer, n, cols int) {
	m.launch("weighted samples", m.kernels.scaleRows, elements(n*cols), driver.Ptr(out), driver.Ptr(x), driver.Ptr(m.sampled.weights), driver.Int(n), driver.Int(cols))
}

// SecondMoment computes out = (1/n) Σ gᵢ∘gᵢ for the n samples of the last backward
// pass, gᵢ as for SampleDots. out has P elements. For a dense weight it is
// (1/n)·(nA∘nA)ᵀ(B∘B). It returns false where the program is not factored.
func (m *Machine) SecondMoment(out []float32) bool {
	if !m.ready() {
		return false
	}
	n, s := m.batch, &m.sampled
	m.checkVector(out)
	square := func(dst, x driver.Pointer, root float64, size int) {
		m.launch("squares of samples", m.kernels.square, elements(size), driver.Ptr(dst), driver.Ptr(x), driver.Float32(float32(root)), driver.Int(size))
	}
	for k := range s.list {
		f := &s.list[k]
		dst := s.vector + driver.Pointer(f.at*real)
		if f.cols == 0 {
			m.columnSums("squares of samples", dst, f.a.p, n, f.rows, false, 0, float64(n), true)
			continue
		}
		// The root comes before squaring, which may leave the range of float32.
		square(s.left, f.a.p, math.Sqrt(float64(n)), n*f.rows)
		square(s.right, f.b.p, 1, n*f.cols)
		s.tn.run(dst, terms{s.left, s.right, n}, terms{}, f.rows, f.cols)
	}
	m.write(out, s.vector)
	return true
}

func (m *Machine) checkVector(v []float32) {
	if len(v) != m.program.NumParams {
		panic(badVector)
	}
}

func (m *Machine) checkSamples(v []float64, n int) {
	if len(v) != n {
		panic(badSamples)
	}
}

// kept is what KeepSamples leaves for CrossDots: by parameter the rows of its
// factors, or its part of ḡ.
type kept struct {
	n          int // samples, 0 before the first KeepSamples
	a, b, mean []driver.Pointer
	rows       []bool // factors are kept
}

// keep makes room for what is kept of parameter k with n samples and says what
// that is: the factors, ḡ, or with neither nothing, where it goes with its weight.
func (m *Machine) keep(k, n int) (rows, mean bool) {
	s := &m.sampled
	f, h := &s.list[k], &s.kept
	if h.a == nil {
		count := len(s.list)
		h.a, h.b, h.mean, h.rows = make([]driver.Pointer, count), make([]driver.Pointer, count), make([]driver.Pointer, count), make([]bool, count)
	}
	room := func(p *driver.Pointer, size int) {
		if *p == 0 && m.err == nil {
			q, err := m.memory.device("kept samples", size*real)
			m.check(err)
			*p = q
		}
	}
	h.rows[k] = f.byGram(n, 1)
	switch {
	case h.rows[k]:
		room(&h.a[k], f.rows*m.capacity)
		room(&h.b[k], f.cols*m.capacity)
		return true, false
	case f.of < 0 || !s.list[f.of].byGram(n, 1):
		room(&h.mean[k], f.size)
		return false, true
	}
	return false, false
}

// KeepSamples remembers the mean ḡ′ of the samples' gradients of the last Gradient,
// whose result must still be in Grad, for CrossDots. It returns false where the
// program is not factored.
func (m *Machine) KeepSamples() bool {
	if !m.Factored() {
		return false
	}
	if m.batch == 0 || m.pulled {
		panic(noGradient)
	}
	m.ready()
	n, h := m.batch, &m.sampled.kept
	h.n = n
	for k := range m.sampled.list {
		f := &m.sampled.list[k]
		rows, mean := m.keep(k, n)
		if rows {
			m.copy("keeping samples", h.a[k], f.a.p, f.a.size(n)*real)
			m.copy("keeping samples", h.b[k], f.b.p, f.b.size(n)*real)
		}
		if mean {
			m.copy("keeping samples", h.mean[k], address(m.buffers.grad)+driver.Pointer(f.at*real), f.size*real)
		}
	}
	return true
}

// CrossDots computes dst[i] = gᵢᵀḡ′ for the n samples of the last backward pass, gᵢ
// as for SampleDots, and the mean gradient ḡ′ that KeepSamples kept. dst has n
// elements. It returns false where the program is not factored, and panics without
// a KeepSamples.
func (m *Machine) CrossDots(dst []float64) bool {
	if !m.ready() {
		return false
	}
	s := &m.sampled
	h := &s.kept
	if h.n == 0 {
		panic(noKept)
	}
	m.checkSamples(dst, m.batch)
	s.terms.next, s.dotRows.next = s.terms.next[:0], s.dotRows.next[:0]
	for k := range s.list {
		f := &s.list[k]
		if h.rows[k] {
			m.addTerm(k, h)
		} else if f.of < 0 || !h.rows[f.of] {
			m.addPart(f, h.mean[k])
		}
	}
	m.finishDots(dst, h.n, len(s.terms.next) > 0)
	return true
}

// KeptSamples returns a copy of what KeepSamples kept, for a checkpoint, and of how
// many samples; n is 0 where nothing was kept.
func (m *Machine) KeptSamples() (n int, data []float32) {
	s := &m.sampled
	h := &s.kept
	if h.n == 0 {
		return 0, nil
	}
	m.Wait()
	take := func(p driver.Pointer, size int) {
		part := make([]float32, size)
		if m.err == nil {
			m.check(driver.Download(m.ctx, "kept samples", part, p))
		}
		data = append(data, part...)
	}
	for k := range s.list {
		f := &s.list[k]
		switch rows, mean := m.keep(k, h.n); {
		case rows:
			take(h.a[k], f.rows*h.n)
			take(h.b[k], f.cols*h.n)
		case mean:
			take(h.mean[k], f.size)
		}
	}
	return h.n, data
}

// SetKeptSamples restores what KeptSamples returned on a machine of the same
// program and capacity. The error says where the lengths don't fit.
func (m *Machine) SetKeptSamples(n int, data []float32) error {
	if n < 1 || n > m.capacity || !m.Factored() {
		return fmt.Errorf("cuda: restoring kept samples: %d samples, capacity %d", n, m.capacity)
	}
	s := &m.sampled
	if !s.bound && m.err == nil {
		s.bound = true
		m.check(m.bindSamples())
	}
	rest, short := data, false
	put := func(p driver.Pointer, size int) {
		if short = short || len(rest) < size; short {
			return
		}
		if m.err == nil {
			m.check(driver.Upload(m.ctx, "kept samples", p, rest[:size]))
		}
		rest = rest[size:]
	}
	m.Wait()
	for k := range s.list {
		f := &s.list[k]
		switch rows, mean := m.keep(k, n); {
		case rows:
			put(s.kept.a[k], f.rows*n)
			put(s.kept.b[k], f.cols*n)
		case mean:
			put(s.kept.mean[k], f.size)
		}
	}
	switch {
	case m.err != nil:
		return m.err
	case short:
		return fmt.Errorf("cuda: restoring kept samples: %d numbers are too few", len(data))
	case len(rest) > 0:
		return fmt.Errorf("cuda: restoring kept samples: %d numbers, %d too many", len(data), len(rest))
	}
	s.kept.n = n
	return nil
}
