package measure

import (
	"errors"
	"fmt"

	"sgflow/engine"
)

var batchSharpnessMean = Quantity{
	Name: "batch_sharpness_mean",
	Keys: []string{
		"batch_sharpness_mean", "batch_sharpness_mean_stderr", "batch_sharpness_pooled", "batch_sharpness_pooled_stderr", "batch_sharpness_batches",
	},
	Group: Flatness,
	Formula: "E[gᵀH_B g/‖g‖²] over batches B drawn from the samples, g and H_B the batch's own; pooled: E[gᵀH_B g]/E‖g‖², its error by the delta method; " +
		"batches until the standard error is 1 % of the mean, 10 to 500; exact where one batch holds all samples",
	Source:  "Andreyev & Beneventano 2024, arXiv:2412.20553",
	Unit:    "loss per parameter²",
	Cost:    "a gradient and a Hessian-vector product for each batch",
	Needs:   Products,
	measure: rule{measureBatchSharpnessMean[float32], measureBatchSharpnessMean[float64]},
}

func measureBatchSharpnessMean[T engine.Float](p *Point[T]) error {
	r, err := p.sharpness()
	if err != nil {
		return absent(err)
	}
	p.logAverage("batch_sharpness_mean", "batch_sharpness_mean_stderr", r.Mean)
	p.logAverage("batch_sharpness_pooled", "batch_sharpness_pooled_stderr", r.Pooled)
	p.log("batch_sharpness_batches", float64(r.Mean.Count))
	return nil
}

var stepSharpness = Quantity{
	Name:    "step_sharpness",
	Keys:    []string{"step_sharpness", "step_sharpness_stderr"},
	Group:   Flatness,
	Formula: "E[gᵀHg/‖g‖²] over batches drawn as for batch_sharpness_mean, g the batch's gradient and H the Hessian of the loss of all samples",
	Source:  "Andreyev & Beneventano 2024, arXiv:2412.20553, and the code published with it",
	Unit:    "loss per parameter²",
	Cost:    "a Hessian-vector product of all samples for each batch, beside batch_sharpness_mean",
	Needs:   Products,
	measure: rule{measureStepSharpness[float32], measureStepSharpness[float64]},
}

func measureStepSharpness[T engine.Float](p *Point[T]) error {
	r, err := p.sharpness()
	if err != nil {
		return absent(err)
	}
	p.logAverage("step_sharpness", "step_sharpness_stderr", r.Step)
	return nil
}

// sharpness returns the sharpness over batches of the point's samples.
func (p *Point[T]) sharpness() (*SharpnessResult, error) {
	c := &p.curvature
	if !c.sharp {
		c.sharpness, c.sharpErr = Sharpness(p.ctx, p.o, SharpnessConfig{
			Batch: p.c.Batch, Step: p.c.Select.Has(stepSharpness.Name), Seed: p.c.Seed,
			Progress: p.progress("batch_sharpness_mean"),
		})
		c.sharp = true
	}
	return c.sharpness, c.sharpErr
}

var samSharpness = Quantity{
	Name:    "sam_sharpness",
	Group:   Flatness,
	Formula: "L(θ + ρḡ/‖ḡ‖) − L(θ), ρ = 0.05 (--sam-rho): how far one step of ascent of this radius raises the loss; absent for ḡ = 0",
	Source:  "Foret et al. 2021, arXiv:2010.01412, equation 2",
	Unit:    "loss",
	Cost:    "2 forward passes",
	measure: rule{measureSAM[float32], measureSAM[float64]},
}

func measureSAM[T engine.Float](p *Point[T]) error {
	return logSAM(p, "sam_sharpness", SAMConfig{Rho: p.c.Reach.SAM})
}

var samSharpnessAdaptive = Quantity{
	Name:    "sam_sharpness_adaptive",
	Group:   Flatness,
	Formula: "L(θ + ρT²ḡ/‖Tḡ‖) − L(θ), T = diag|θ|, ρ = 0.5 (--sam-adaptive-rho): the same for networks whose layers differ by scale alone; absent for Tḡ = 0",
	Source:  "Kwon et al. 2021, arXiv:2102.11600, equation 9",
	Unit:    "loss",
	Cost:    "2 forward passes",
	measure: rule{measureAdaptiveSAM[float32], measureAdaptiveSAM[float64]},
}

func measureAdaptiveSAM[T engine.Float](p *Point[T]) error {
	return logSAM(p, "sam_sharpness_adaptive", SAMConfig{Rho: p.c.Reach.AdaptiveSAM, Adaptive: true})
}

func logSAM[T engine.Float](p *Point[T], name string, c SAMConfig) error {
	r, err := SAM(p.ctx, p.o, c)
	if err != nil {
		return absent(err)
	}
	p.logIf(name, r.Sharpness, finite(r.Sharpness)) // the loss there may be beyond all numbers
	return nil
}

var keskarSharpness = Quantity{
	Name:  "keskar_sharpness",
	Group: Flatness,
	Formula: "100·(max L(θ + y) − L(θ))/(1 + L(θ)) over the box |y_j| ≤ ε(|θ_j| + 1), ε = 1e-3 (--keskar-epsilon); " +
		"a lower bound, the maximum being that found by at most 10 steps of projected gradient ascent",
	Source:  "Keskar et al. 2017, arXiv:1609.04836, metric 2.1",
	Unit:    "%",
	Cost:    "10 gradients and some 12 forward passes",
	measure: rule{measureKeskar[float32], measureKeskar[float64]},
}

func measureKeskar[T engine.Float](p *Point[T]) error {
	return logKeskar(p, "keskar_sharpness", KeskarConfig{Epsilon: p.c.Reach.Keskar})
}

var keskarSharpnessSubspace = Quantity{
	Name:  "keskar_sharpness_subspace",
	Group: Flatness,
	Formula: "keskar_sharpness over y = Az, |z_j| ≤ ε(|(A⁺θ)_j| + 1), with random columns of signs in A, 100 of them (--keskar-subspace), the same at every point of a run; " +
		"absent where there are no more parameters than columns",
	Source:  "Keskar et al. 2017, arXiv:1609.04836, metric 2.1 and table 4",
	Unit:    "%",
	Cost:    "10 gradients, some 12 forward passes, and 300 passes over vectors of parameters",
	measure: rule{measureKeskarSubspace[float32], measureKeskarSubspace[float64]},
}

func measureKeskarSubspace[T engine.Float](p *Point[T]) error {
	c := KeskarConfig{Epsilon: p.c.Reach.Keskar, Dim: p.c.Reach.KeskarSubspace, Seed: p.c.Seed}
	if p.o.s.Program().NumParams <= c.Dim {
		return nil
	}
	return logKeskar(p, "keskar_sharpness_subspace", c)
}

func logKeskar[T engine.Float](p *Point[T], name string, c KeskarConfig) error {
	c.Progress = p.progress(name)
	r, err := Keskar(p.ctx, p.o, c)
	if err != nil {
		return absent(err)
	}
	p.log(name, r.Sharpness)
	return nil
}

// perturbedAlphas are the lengths of perturbed_loss.
var perturbedAlphas = []float64{0.1, 0.3, 1}

var perturbedLoss = Quantity{
	Name: "perturbed_loss",
	Keys: []string{
		"perturbed_loss_0.1", "perturbed_loss_0.1_deviation", "perturbed_loss_0.3", "perturbed_loss_0.3_deviation",
		"perturbed_loss_1", "perturbed_loss_1_deviation",
	},
	Group: Flatness,
	Formula: "L(θ + αd) for α = 0.1, 0.3 and 1, mean and deviation over 10 random directions d, each filter of d of the norm of θ's and biases 0; absent where a loss is not finite; " +
		"the same directions at every point of a run but for these norms",
	Source:  "Li et al. 2018, arXiv:1712.09913, section 4",
	Unit:    "loss",
	Cost:    "31 forward passes and 10 random vectors",
	measure: rule{measurePerturbedLoss[float32], measurePerturbedLoss[float64]},
}

func measurePerturbedLoss[T engine.Float](p *Point[T]) error {
	r, err := Curves(p.ctx, p.o, CurveConfig{Alphas: perturbedAlphas, Seed: p.c.Seed, Progress: p.progress("perturbed_loss")})
	if errors.Is(err, ErrDiverged) { // the loss there, not that at θ
		return nil
	}
	if err != nil {
		return err
	}
	for _, at := range r.Points {
		name := fmt.Sprintf("perturbed_loss_%g", at.Alpha)
		p.log(name, at.Mean)
		if d, ok := at.Deviation.Get(); ok {
			p.log(name+"_deviation", d)
		}
	}
	return nil
}
