package measure

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine"
)

// Eigenpair is an eigenvalue of a symmetric matrix A with how well its vector fits.
type Eigenpair[T engine.Float] struct {
	Value    float64
	Residual float64 // ‖Av − λv‖ for the unit vector v
	Vector   []T     // unit norm
}

// lanczos finds the k algebraically largest eigenvalues of sign·A by the
// Lanczos method with full reorthogonalisation and thick restarts (Wu & Simon
// 2000, "Thick-restart Lanczos method for large symmetric eigenvalue
// problems"). Memory is `basis` vectors.
type lanczos[T engine.Float] struct {
	o        Operator[T] // A
	sign     float64     // −1 to find the smallest eigenvalues of A
	k        int
	basis    int          // most vectors kept, > k+1
	tol      float64      // stop when every residual ≤ tol·|largest value found|
	maxSteps int          // most products
	tick     func() error // called before every product, may stop the iteration; nil for none
	// quick is for one pair in few steps: each new direction is made
	// orthogonal to the last two only, which suffices until a pair has
	// converged (Paige 1980, doi:10.1016/0024-3795(80)90167-6), and there are
	// no restarts, so basis bounds the steps.
	quick bool

	q         [][]T // orthonormal basis
	w         []T
	t         []float64 // basis×basis projection qᵀ(sign·A)q
	steps     int
	converged bool
}

// run iterates from start, which need not be of unit norm, and returns the
// pairs found with values of A itself, best first. Fewer than k come back if
// the space (all of it, or what start reaches) is smaller. The error is
// tick's.
func (l *lanczos[T]) run(start []T) ([]Eigenpair[T], error) {
	s := l.o.Session()
	l.prepare(len(start))
	l.k = min(l.k, len(start))
	norm := math.Sqrt(s.NormSq(start))
	if norm*norm < leastNormSq[T]() {
		return nil, nil
	}
	l.setVector(0, start, 1/norm)
	m := 0 // vectors whose products are known
	for {
		beta, closed, err := l.extend(m)
		if err != nil {
			return nil, err
		}
		m++
		values, vectors := l.project(m)
		l.converged = closed || l.done(values, vectors, m, beta)
		if l.quick && (l.converged || l.steps >= min(l.maxSteps, l.basis)) {
			return []Eigenpair[T]{l.best(values, vectors, m, beta)}, nil
		}
		if l.converged || l.steps >= l.maxSteps {
			return l.pairs(values, vectors, m, beta), nil
		}
		if m == l.basis {
			m = l.restart(values, vectors, m)
		}
		l.setVector(m, l.w, 1/beta)
	}
}

// prepare makes room for vectors of length p.
func (l *lanczos[T]) prepare(p int) {
	l.basis = min(l.basis, p)
	if l.t == nil {
		l.t = make([]float64, l.basis*l.basis)
		l.w = l.vector(p)
	}
	l.steps = 0
}

// vector returns a vector of p zeros: of the session's own, which live as long as
// it, where the iteration goes on from step to step.
func (l *lanczos[T]) vector(p int) []T {
	if l.quick {
		return l.o.Session().NewVector(p)
	}
	return make([]T, p)
}

// extend computes w = sign·A·q_m, enters its products with q_0 … q_m in t and
// makes it orthogonal to them. beta is ‖w‖ then; closed, with beta = 0, says
// that q_0 … q_m span an invariant space. The error is tick's.
func (l *lanczos[T]) extend(m int) (beta float64, closed bool, err error) {
	if l.tick != nil {
		if err := l.tick(); err != nil {
			return 0, false, err
		}
	}
	s := l.o.Session()
	l.o.Apply(l.w, l.q[m])
	if l.sign != 1 {
		s.Scale(l.sign, l.w)
	}
	l.steps++
	scale := math.Sqrt(s.NormSq(l.w))
	passes, from := 2, 0
	if l.quick {
		passes, from = 1, max(0, m-1)
	}
	for pass := range passes {
		for j := from; j <= m; j++ {
			h := s.Dot(l.q[j], l.w)
			s.Axpy(-h, l.q[j], l.w)
			if pass == 0 {
				l.t[j*l.basis+m], l.t[m*l.basis+j] = h, h
			} else if j == m {
				l.t[m*l.basis+m] += h
			}
		}
	}
	beta = math.Sqrt(s.NormSq(l.w))
	// Below this the new direction is rounding: the space is invariant.
	if beta <= 1e-14*scale || beta*beta < leastNormSq[T]() || m+1 == len(l.w) {
		return 0, true, nil
	}
	return beta, false, nil
}

// setVector makes q[i] = alpha·x.
func (l *lanczos[T]) setVector(i int, x []T, alpha float64) {
	if i == len(l.q) {
		l.q = append(l.q, l.vector(len(x)))
	}
	s := l.o.Session()
	s.Copy(l.q[i], x)
	s.Scale(alpha, l.q[i])
}

// project returns eigenvalues, ascending, and eigenvectors of the leading m×m of t.
func (l *lanczos[T]) project(m int) ([]float64, *mat.Dense) {
	a := mat.NewSymDense(m, nil)
	for i := range m {
		for j := i; j < m; j++ {
			a.SetSym(i, j, l.t[i*l.basis+j])
		}
	}
	var e mat.EigenSym
	v := mat.NewDense(m, m, nil)
	if !e.Factorize(a, true) { // only for a matrix with NaN
		return make([]float64, m), v
	}
	e.VectorsTo(v)
	return e.Values(nil), v
}

// done reports whether the k wanted pairs have converged.
func (l *lanczos[T]) done(values []float64, vectors *mat.Dense, m int, beta float64) bool {
	if m < l.k {
		return false
	}
	largest := math.Max(math.Abs(values[0]), math.Abs(values[m-1]))
	for i := range l.k {
		if math.Abs(beta*vectors.At(m-1, m-1-i)) > l.tol*largest {
			return false
		}
	}
	return true
}

// restart keeps the best Ritz vectors as the basis and returns their number.
func (l *lanczos[T]) restart(values []float64, vectors *mat.Dense, m int) int {
	keep := min(l.k+(m-l.k)/2, m-1)
	l.rotate(vectors, m, keep)
	clear(l.t)
	for i := range keep {
		l.t[i*l.basis+i] = values[m-1-i]
	}
	return keep
}

// rotate replaces the first keep basis vectors by the Ritz vectors of the
// largest values, a block of elements at a time so that it needs no second
// basis.
func (l *lanczos[T]) rotate(vectors *mat.Dense, m, keep int) {
	const block = 512
	l.o.Session().Wait()
	coef := make([]T, keep*m)
	for i := range keep {
		for j := range m {
			coef[i*m+j] = T(vectors.At(j, m-1-i))
		}
	}
	sums := make([]T, keep*block)
	p := len(l.q[0])
	for at := 0; at < p; at += block {
		n := min(block, p-at)
		clear(sums)
		for i := range keep {
			sum := sums[i*block : i*block+n]
			for j := range m {
				c := coef[i*m+j]
				for e, x := range l.q[j][at : at+n] {
					sum[e] += c * x
				}
			}
		}
		for i := range keep {
			copy(l.q[i][at:at+n], sums[i*block:])
		}
	}
}

// best returns the best Ritz pair of a quick iteration; its vector is valid
// until the next.
func (l *lanczos[T]) best(values []float64, vectors *mat.Dense, m int, beta float64) Eigenpair[T] {
	s := l.o.Session()
	s.Wait()
	clear(l.w)
	for j := range m {
		s.Axpy(vectors.At(j, m-1), l.q[j], l.w)
	}
	if n := math.Sqrt(s.NormSq(l.w)); n > 0 { // 1 but for what orthogonality was lost
		s.Scale(1/n, l.w)
	}
	return Eigenpair[T]{Value: l.sign * values[m-1], Residual: math.Abs(beta * vectors.At(m-1, m-1)), Vector: l.w}
}

// pairs returns the k best Ritz pairs. The residual of a Ritz pair is
// |β·s_m|, s_m being the last component of its vector in the basis.
func (l *lanczos[T]) pairs(values []float64, vectors *mat.Dense, m int, beta float64) []Eigenpair[T] {
	k := min(l.k, m)
	l.rotate(vectors, m, k)
	var list []Eigenpair[T]
	for i := range k {
		list = append(list, Eigenpair[T]{
			Value: l.sign * values[m-1-i], Residual: math.Abs(beta * vectors.At(m-1, m-1-i)), Vector: l.q[i],
		})
	}
	return list
}
