package train

import (
	"math"
	"path/filepath"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/data"
	"sgflow/engine/optim"
	"sgflow/engine/problem"
	"sgflow/engine/record"
)

// A linear model with squared loss and weight decay makes the objective
// L(θ) + λ‖θ‖²/2 quadratic, with the same Hessian A = XᵀX/N for each class, X with a
// column of ones. In the eigenbasis of A, Langevin dynamics with exact gradients is
// an autoregression of one number each, whose stationary variance is, with
// μ = a + λ,
//
//	2ηT/(1 − (1 − ημ)²) = T/(μ(1 − ημ/2))
//
// so that the logged loss L exceeds that of the decayed minimum in the mean by
// Σ (a/2)·T/(μ(1 − ημ/2)), over eigenvalues and classes.
func TestSGLDsStationaryDistributionIsExact(t *testing.T) {
	const (
		eta, decay, temperature = 0.2, 0.2, 0.01
		n, burn, steps          = 48, 2000, 22000
	)
	c := smallConfig(t)
	c.Model, c.Loss, c.DType, c.Limit = "mlp:36-4", problem.MSE, problem.Float64, n
	c.Sampling, c.Steps, c.LR, c.Momentum, c.Measure = string(data.Full), steps, eta, 0, "none"
	c.Optimizer, c.WeightDecay, c.SGLDTemperature = optim.SGLD, decay, temperature
	c.CheckpointEvery = 1000
	mustRun(t, c)

	set, err := data.Open(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float64, n*36)
	data.Gather(x, set.Train, problem.Sequence(0, n), data.Scale{})
	design := mat.NewDense(n, 37, nil)
	for i := range n {
		design.SetRow(i, append(append([]float64(nil), x[i*36:(i+1)*36]...), 1))
	}
	var a mat.SymDense
	a.SymOuterK(1/float64(n), design.T())
	var eigen mat.EigenSym
	if !eigen.Factorize(&a, true) {
		t.Fatal("no eigenvalues")
	}
	excess := 0.0
	for _, e := range eigen.Values(nil) {
		e = max(e, 0)
		mu := e + decay
		excess += smallClasses * e / 2 * temperature / (mu * (1 - eta*mu/2))
	}
	// The decayed minimum: (A + λ)w = Xᵀy/N for every class.
	least := 0.0
	regular := mat.NewSymDense(37, nil)
	regular.CopySym(&a)
	for k := range 37 {
		regular.SetSym(k, k, a.At(k, k)+decay)
	}
	for class := range smallClasses {
		y := mat.NewVecDense(n, nil)
		for i := range n {
			if int(set.Train.Labels[i]) == class {
				y.SetVec(i, 1)
			}
		}
		var b, w, z mat.VecDense
		b.MulVec(design.T(), y)
		b.ScaleVec(1/float64(n), &b)
		if err := w.SolveVec(regular, &b); err != nil {
			t.Fatal(err)
		}
		z.MulVec(design, &w)
		z.SubVec(&z, y)
		least += mat.Dot(&z, &z) / (2 * n)
	}

	log, err := record.ReadSteps(filepath.Join(c.Out, "steps.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	// The slowest directions forget in 1/(ηλ) = 25 steps; means over 500 are as good
	// as independent.
	const block = 500
	var means []float64
	for at := burn; at+block <= steps; at += block {
		sum := 0.0
		for i := range block {
			sum += log[at+i].Loss / block
		}
		means = append(means, sum)
	}
	mean, ss := 0.0, 0.0
	for _, m := range means {
		mean += m / float64(len(means))
	}
	for _, m := range means {
		ss += (m - mean) * (m - mean)
	}
	stderr := math.Sqrt(ss / float64(len(means)*(len(means)-1)))
	if got := mean - least; math.Abs(got-excess) > 4.5*stderr { // of 40 means: probability 6e-5
		t.Errorf("the loss exceeds the minimum by %v ± %v, want %v", got, stderr, excess)
	}
	if stderr > excess/50 {
		t.Errorf("standard error %v of %v: the test says little", stderr, excess)
	}
}
