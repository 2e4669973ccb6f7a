package model

// Problem is a mean loss over samples that are functions of few parameters, a
// flow.Surface[float64] that computes everything one sample at a time. It is not
// for concurrent use.
type Problem struct {
	dim, n int
	sample sample

	indices []int32 // of the last Gradient
	all     []int32
	theta   []float64
	grad    []float64 // of a sample
	mean    []float64
	squares []float64
}

// sample is the loss of one sample.
type sample interface {
	// loss returns ℓᵢ(θ).
	loss(i int, theta []float64) float64
	// addGradient adds w·∇ℓᵢ(θ) to out.
	addGradient(out []float64, w float64, i int, theta []float64)
	// addProduct adds w·∇²ℓᵢ(θ)v to out.
	addProduct(out []float64, w float64, i int, theta, v []float64)
}

func newProblem(dim, n int, s sample) *Problem {
	p := &Problem{dim: dim, n: n, sample: s, all: make([]int32, n)}
	for _, v := range []*[]float64{&p.theta, &p.grad, &p.mean, &p.squares} {
		*v = make([]float64, dim)
	}
	for i := range p.all {
		p.all[i] = int32(i)
	}
	return p
}

// Dim returns the number of parameters.
func (p *Problem) Dim() int { return p.dim }

// Samples returns N.
func (p *Problem) Samples() int { return p.n }

// Loss returns L(θ), over all samples.
func (p *Problem) Loss(theta []float64) float64 {
	sum := 0.0
	for i := range p.n {
		sum += p.sample.loss(i, theta)
	}
	return sum / float64(p.n)
}

// Gradient is flow.Surface's.
func (p *Problem) Gradient(out, theta []float64, indices []int32) (loss float64) {
	if indices == nil {
		indices = p.all
	}
	p.indices = indices
	copy(p.theta, theta)
	clear(out)
	w := 1 / float64(len(indices))
	for _, i := range indices {
		loss += w * p.sample.loss(int(i), p.theta)
		p.sample.addGradient(out, w, int(i), p.theta)
	}
	return loss
}

// Combine is flow.Surface's.
func (p *Problem) Combine(out, w []float64) {
	clear(out)
	for k, i := range p.indices {
		p.sample.addGradient(out, w[k], int(i), p.theta)
	}
}

// Product is flow.Surface's.
func (p *Problem) Product(out, v []float64) {
	clear(out)
	for _, i := range p.indices {
		p.sample.addProduct(out, 1/float64(len(p.indices)), int(i), p.theta, v)
	}
}

// Variances is flow.Surface's.
func (p *Problem) Variances(out []float64) (trace float64) {
	mean, squares := p.mean, p.squares
	clear(mean)
	clear(squares)
	for _, i := range p.indices {
		clear(p.grad)
		p.sample.addGradient(p.grad, 1, int(i), p.theta)
		for k, g := range p.grad {
			mean[k] += g / float64(len(p.indices))
			squares[k] += g * g / float64(len(p.indices))
		}
	}
	for k := range mean {
		variance := max(0, squares[k]-mean[k]*mean[k])
		trace += variance
		if out != nil {
			out[k] = variance
		}
	}
	return trace
}
