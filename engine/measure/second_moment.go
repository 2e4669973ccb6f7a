package measure

import (
	"sgflow/engine"
	"sgflow/engine/record"
)

var gsnr = Quantity{
	Name:    "gsnr_mean",
	Group:   Noise,
	Formula: "the mean over parameters j of ḡⱼ²/(Vⱼ + 1e-5) with Vⱼ = (1/n) Σᵢ gᵢⱼ² − ḡⱼ², the gradient's signal-to-noise ratio as Cockpit regularises it",
	Source:  "Liu et al. 2020, arXiv:2001.07384; Schneider et al. 2021, arXiv:2102.06604",
	Unit:    "1",
	Cost:    "0.6 steps for the second moments",
	Needs:   SampleGrads,
	measure: rule{measureGSNR[float32], measureGSNR[float64]},
}

// gsnrEpsilon keeps parameters that see no gradient at all out of 0/0.
const gsnrEpsilon = 1e-5

var paramVariance = Quantity{
	Name:  "variance",
	Keys:  []string{"param_var_max", "param_var_zero"},
	Group: Noise,
	Formula: "the unbiased variance of the per-sample gradients of each parameter, Vⱼ·n/(n−1): its largest, and the share of parameters for which it is zero; " +
		"train writes second moment, variance and signal-to-noise ratio ḡⱼ²/Vⱼ of every parameter to checkpoints/variance.safetensors at the end of each epoch; absent for n = 1",
	Unit:    "loss² per parameter²; share",
	Cost:    "0.6 steps for the second moments, shared with gsnr_mean",
	Needs:   SampleGrads,
	measure: rule{measureVariance[float32], measureVariance[float64]},
}

// SecondMoment returns (1/n) Σᵢ gᵢ∘gᵢ, P elements, nil where per-sample
// gradients do not exist.
func (p *Point[T]) SecondMoment() []T {
	if !p.hasMoment {
		p.moment = p.o.vector(p.moment, len(p.o.Grad()))
		p.momentOK = p.o.SecondMoment(p.moment)
		p.hasMoment = true
	}
	if !p.momentOK {
		return nil
	}
	return p.moment
}

// biasedVariance is Vⱼ, not below zero for rounding.
func biasedVariance[T engine.Float](moment, mean T) float64 {
	return max(0, float64(moment)-float64(mean)*float64(mean))
}

func measureGSNR[T engine.Float](p *Point[T]) error {
	m, g := p.SecondMoment(), p.o.Grad()
	if m == nil {
		return nil
	}
	sum := p.reduce(func(from, to int) (s float64) {
		for j := from; j < to; j++ {
			s += float64(g[j]) * float64(g[j]) / (biasedVariance(m[j], g[j]) + gsnrEpsilon)
		}
		return s
	})
	p.log("gsnr_mean", sum/float64(len(g)))
	return nil
}

func measureVariance[T engine.Float](p *Point[T]) error {
	m, g := p.SecondMoment(), p.o.Grad()
	if m == nil || p.n < 2 {
		return nil
	}
	p.o.s.Wait()
	largest, zeros := 0.0, 0
	for j := range m {
		v := biasedVariance(m[j], g[j])
		largest = max(largest, v)
		if v == 0 {
			zeros++
		}
	}
	p.log("param_var_max", largest*float64(p.n)/float64(p.n-1))
	p.log("param_var_zero", float64(zeros)/float64(len(m)))
	return nil
}

// reduceBlock is the number of elements of a block of reduce.
const reduceBlock = 1 << 13

// reduce returns the sum of f over blocks of the range of parameters, on all
// threads, added in the blocks' order.
func (p *Point[T]) reduce(f func(from, to int) float64) float64 {
	n := len(p.o.Grad())
	blocks := (n + reduceBlock - 1) / reduceBlock
	p.sums = grow(p.sums, blocks)
	sums := p.sums
	p.o.s.Split(blocks, reduceBlock, func(from, to int) {
		for b := from; b < to; b++ {
			sums[b] = f(b*reduceBlock, min((b+1)*reduceBlock, n))
		}
	})
	total := 0.0
	for _, s := range sums {
		total += s
	}
	return total
}

// ParameterTensors returns second moment, variance and signal-to-noise ratio of
// the last step's per-sample gradients, three tensors a parameter with its name
// as prefix; nil where variance was not measured. They are copies.
func (m *Monitor[T]) ParameterTensors() []record.Tensor {
	if !m.c.Select.Has(paramVariance.Name) || !m.p.hasMoment || !m.p.momentOK || m.p.n < 2 {
		return nil
	}
	m.o.s.Wait()
	var tensors []record.Tensor
	unbiased := float64(m.p.n) / float64(m.p.n-1)
	for _, q := range m.o.s.Program().Params {
		moment, variance, ratio := make([]T, q.Size), make([]T, q.Size), make([]T, q.Size)
		for j := range moment {
			g := m.o.Grad()[q.Offset+j]
			moment[j] = m.p.moment[q.Offset+j]
			v := biasedVariance(moment[j], g)
			variance[j] = T(v * unbiased)
			if v > 0 {
				ratio[j] = T(float64(g) * float64(g) / v)
			}
		}
		tensors = append(tensors, record.NewTensor(q.Name+".second_moment", q.Shape, moment),
			record.NewTensor(q.Name+".variance", q.Shape, variance), record.NewTensor(q.Name+".signal_to_noise", q.Shape, ratio))
	}
	return tensors
}
