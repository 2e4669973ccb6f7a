package measure

import (
	"maps"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"gorgonia.org/gorgonia"
	"pgregory.net/rapid"

	"sgflow/engine"
	"sgflow/engine/op"
	"sgflow/engine/optim"
	"sgflow/engine/record"
	"sgflow/engine/rng"
)

// original is a run of which something is changed: the samples' order, their
// number, or the loss. Relations say what the changed run then logs at step k.
type original struct {
	lines []line
	k     int
	c     float64     // factor of the loss
	grads [][]float64 // of the samples of step k
}

func (w *original) get(key string) float64 {
	x, _ := w.lines[w.k].numbers.Get(key).Get()
	return x
}

func (w *original) n() float64 { return float64(w.lines[w.k].n) }

// relation returns what the changed run logs under the key, and whether it
// does.
type relation func(w *original, key string) (x float64, there bool)

func same(w *original, key string) (float64, bool) { return w.lines[w.k].numbers.Get(key).Get() }

// times is the number of the original times f.
func times(f func(w *original) float64) relation {
	return func(w *original, key string) (float64, bool) {
		x, there := same(w, key)
		return x * f(w), there
	}
}

func power(p float64) relation { return times(func(w *original) float64 { return math.Pow(w.c, p) }) }

// shrunk is the factor of an unbiased variance, of divisor n − 1, where every
// sample is there twice.
func shrunk(w *original) float64 { return (2*w.n() - 2) / (2*w.n() - 1) }

// tested is the factor of the constants of the tests of the batch size, √(V/n).
func tested(w *original) float64 { return math.Sqrt(shrunk(w) / 2) }

func absentThen(*original, string) (float64, bool) { return 0, false }

// drawn: random numbers belong to places in the batch, so that only the
// distribution is the same (see the tests of their means).
var drawn relation

// behaviour is how a number changes.
type behaviour struct {
	permuted relation // other order of the samples
	doubled  relation // every sample twice
	scaled   relation // loss times c, learning rate divided by c
	// scale returns what rounding is relative to where it is not the number
	// itself.
	scale func(w *original, x float64) float64
}

func of(key string) func(*original, float64) float64 {
	return func(w *original, _ float64) float64 { return w.get(key) }
}

// byCurvature is for sums of cancelling products with H.
func byCurvature(w *original, x float64) float64 { return math.Abs(x) + w.get("frobenius") }

// iteratedTol is Config.Tol of the runs. Where an iteration ends, and at which
// vector within the tolerance, is decided by rounding.
const iteratedTol = 1e-3

func iterated(w *original, _ float64) float64 { return iteratedTol / rounding * w.get("frobenius") }

// behaviours holds every key of the registry. A new quantity must say here how
// it behaves.
var behaviours = map[string]behaviour{
	"grad_norm_sq":                 {same, same, power(2), nil},
	"grad_var_trace":               {same, times(shrunk), power(2), nil},
	"grad_norm_sq_unbiased":        {same, func(w *original, _ string) (float64, bool) { return doubledNormSq(w), true }, power(2), of("grad_norm_sq")},
	"noise_scale":                  {same, doubledScale, power(0), ratioScale},
	"noise_scale_ema":              {same, doubledEMA, power(0), emaScale},
	"grad_var_trace_stderr":        {same, times(func(w *original) float64 { return (w.n() - 2) / math.Sqrt((2*w.n()-1)*(w.n()-1)) }), power(2), nil},
	"grad_norm_sq_unbiased_stderr": {same, func(w *original, _ string) (float64, bool) { return math.Sqrt(doubledCovariance(w).dd), true }, power(2), nil},
	"noise_scale_low":              {same, func(w *original, _ string) (float64, bool) { low, _ := doubledInterval(w); return low, true }, power(0), intervalScale},
	"noise_scale_high": {same, func(w *original, _ string) (float64, bool) {
		_, high := doubledInterval(w)
		return high, !math.IsInf(high, 0)
	}, power(0), intervalScale},
	"fisher_trace": {same, same, power(2), nil},
	"grad_cosine":  {same, same, power(0), func(*original, float64) float64 { return 1 }},
	// The quartiles of 4m + 1 samples are samples, and stay.
	"sample_norm_min":               {same, same, power(1), nil},
	"sample_norm_q1":                {same, same, power(1), nil},
	"sample_norm_median":            {same, same, power(1), nil},
	"sample_norm_q3":                {same, same, power(1), nil},
	"sample_norm_max":               {same, same, power(1), nil},
	"norm_test":                     {same, times(tested), power(0), nil},
	"inner_product_test":            {same, times(tested), power(0), nil},
	"orthogonality_test":            {same, times(tested), power(0), nil},
	"gsnr_mean":                     {same, same, scaledGSNR, nil},
	"param_var_max":                 {same, times(shrunk), power(2), nil},
	"param_var_zero":                {same, same, power(0), nil},
	"temperature":                   {same, times(func(*original) float64 { return 0.5 }), power(-1), nil},
	"cabs":                          {same, times(shrunk), power(0), nil},
	"distance":                      {same, same, power(0), nil},
	"update_size":                   {same, same, power(0), nil},
	"alpha":                         {same, same, power(0), func(_ *original, x float64) float64 { return (1 + math.Abs(x)) * (1 + math.Abs(x)) }},
	"lambda_max":                    {same, same, power(1), iterated},
	"lambda_max_residual":           {same, same, power(1), iterated},
	"trace":                         {same, same, power(1), byCurvature},
	"trace_stderr":                  {same, same, power(1), byCurvature},
	"batch_sharpness":               {same, same, power(1), byCurvature},
	"tic_trace":                     {same, same, power(1), func(w *original, x float64) float64 { return x * (1 + w.get("frobenius")/w.get("trace")) }},
	"noise_curvature":               {drawn, drawn, power(3), noiseCurvatureScale},
	"noise_curvature_stderr":        {drawn, drawn, power(3), noiseCurvatureScale},
	"noise_alignment":               {drawn, drawn, power(0), alignmentScale},
	"frobenius":                     {same, same, power(1), nil},
	"frobenius_stderr":              {same, same, power(1), of("frobenius")},
	"trace_hutchpp":                 {same, same, power(1), byCurvature},
	"trace_hutchpp_stderr":          {same, same, power(1), byCurvature},
	"lambda_min":                    {same, same, power(1), iterated},
	"lambda_min_residual":           {same, same, power(1), iterated},
	"ggn_trace":                     {same, same, absentThen, nil}, // the loss is not one that the program knows
	"ggn_lambda_max":                {same, same, absentThen, func(w *original, x float64) float64 { return iteratedTol / rounding * x }},
	"ggn_lambda_max_residual":       {same, same, absentThen, func(w *original, _ float64) float64 { return iteratedTol / rounding * w.get("ggn_lambda_max") }},
	"fisher_lambda_max":             {same, same, power(2), nil},
	"fisher_lambda_max_residual":    {absentThen, absentThen, absentThen, nil},
	"fisher_mc_trace":               {drawn, drawn, absentThen, nil},
	"fisher_mc_trace_stderr":        {drawn, drawn, absentThen, nil},
	"fisher_mc_lambda_max":          {drawn, drawn, absentThen, nil},
	"fisher_mc_lambda_max_residual": {drawn, drawn, absentThen, nil},
	// A batch of sharpness holds all samples here; smaller ones are drawn.
	"batch_sharpness_mean":          {same, same, power(1), byCurvature},
	"batch_sharpness_mean_stderr":   {same, same, power(1), nil},
	"batch_sharpness_pooled":        {same, same, power(1), byCurvature},
	"batch_sharpness_pooled_stderr": {same, same, power(1), nil},
	"batch_sharpness_batches":       {same, same, power(0), nil},
	"step_sharpness":                {same, same, power(1), byCurvature},
	"step_sharpness_stderr":         {same, same, power(1), nil},
	"sam_sharpness":                 {same, same, power(1), byLoss},
	"sam_sharpness_adaptive":        {same, same, power(1), byLoss},
	"keskar_sharpness":              {same, same, scaledKeskar, byLoss},
	"keskar_sharpness_subspace":     {same, same, scaledKeskar, byLoss},
	"perturbed_loss_0.1":            {same, same, power(1), nil},
	"perturbed_loss_0.1_deviation":  {same, same, power(1), nil},
	"perturbed_loss_0.3":            {same, same, power(1), nil},
	"perturbed_loss_0.3_deviation":  {same, same, power(1), nil},
	"perturbed_loss_1":              {same, same, power(1), nil},
	"perturbed_loss_1_deviation":    {same, same, power(1), nil},
}

func byLoss(w *original, x float64) float64 { return math.Abs(x) + 100*w.lines[w.k].loss }

// doubledNormSq is ‖ḡ‖² − tr Σ̂′/(2n) with the doubled data's tr Σ̂′.
func doubledNormSq(w *original) float64 {
	return w.get("grad_norm_sq") - w.get("grad_var_trace")*shrunk(w)/(2*w.n())
}

func doubledScale(w *original, _ string) (float64, bool) {
	d := doubledNormSq(w)
	return w.get("grad_var_trace") * shrunk(w) / d, d > 0
}

// ratioScale is for a ratio whose denominator is a difference.
func ratioScale(w *original, x float64) float64 {
	d := min(math.Abs(w.get("grad_norm_sq_unbiased")), math.Abs(doubledNormSq(w)))
	return math.Abs(x) * w.get("grad_norm_sq") / d
}

// averages returns the exponential averages over steps of f.
func averages(w *original, f func(w *original) float64) (sum float64) {
	for i := range w.k + 1 {
		sum = emaDecay*sum + (1-emaDecay)*f(&original{lines: w.lines, k: i})
	}
	return sum
}

func doubledEMA(w *original, _ string) (float64, bool) {
	d := averages(w, doubledNormSq)
	return averages(w, func(w *original) float64 { return w.get("grad_var_trace") * shrunk(w) }) / d, d > 0
}

func emaScale(w *original, x float64) float64 {
	d := math.Abs(averages(w, doubledNormSq))
	d = min(d, math.Abs(averages(w, func(w *original) float64 { return w.get("grad_norm_sq_unbiased") })))
	return math.Abs(x) * averages(w, func(w *original) float64 { return w.get("grad_norm_sq") }) / d
}

// doubledCovariance is the jackknife covariance of the doubled data. Written out,
// the deviations of what is left without sample i are, of n samples,
//
//	S₍ᵢ₎: −n/((n−1)(n−2))·(aᵢ − 2dᵢ),   G₍ᵢ₎: 2/((n−1)(n−2))·(aᵢ − n dᵢ)
//
// less their means, with aᵢ = ‖gᵢ‖² and dᵢ = gᵢᵀḡ.
func doubledCovariance(w *original) (c covariance) {
	mean := make([]float64, len(w.grads[0]))
	for _, g := range w.grads {
		for j, x := range g {
			mean[j] += x / w.n()
		}
	}
	m := 2 * w.n() // samples
	var s, g []float64
	for _, x := range w.grads {
		a, d := dot(x, x), dot(x, mean)
		s = append(s, -m/((m-1)*(m-2))*(a-2*d))
		g = append(g, 2/((m-1)*(m-2))*(a-m*d))
	}
	_, ms := variance(s)
	_, mg := variance(g)
	for i := range s {
		f := 2 * (m - 1) / m // each sample is left out twice
		c.ss += f * (s[i] - ms) * (s[i] - ms)
		c.sd += f * (s[i] - ms) * (g[i] - mg)
		c.dd += f * (g[i] - mg) * (g[i] - mg)
	}
	return c
}

func doubledInterval(w *original) (low, high float64) {
	return fieller(w.get("grad_var_trace")*shrunk(w), doubledNormSq(w), doubledCovariance(w), quantileOfT(2*w.n()-1))
}

// intervalScale is for the ends of the interval, which go to infinity where ‖G‖²
// is t standard errors.
func intervalScale(w *original, x float64) float64 {
	t := quantileOfT(w.n() - 1)
	d, e := w.get("grad_norm_sq_unbiased"), t*w.get("grad_norm_sq_unbiased_stderr")
	t2, d2 := quantileOfT(2*w.n()-1), doubledNormSq(w)
	e2 := t2 * math.Sqrt(doubledCovariance(w).dd)
	return (x + w.n()) * math.Max((d*d+e*e)/math.Abs(d*d-e*e), (d2*d2+e2*e2)/math.Abs(d2*d2-e2*e2))
}

func scaledGSNR(w *original, _ string) (float64, bool) {
	sum := 0.0
	for j := range w.grads[0] {
		var x []float64
		for _, g := range w.grads {
			x = append(x, w.c*g[j])
		}
		v, m := variance(x)
		sum += m * m / (v*(w.n()-1)/w.n() + 1e-5) / float64(len(w.grads[0]))
	}
	return sum, true
}

// noiseCurvatureScale is for wᵀHw.
func noiseCurvatureScale(w *original, x float64) float64 {
	return math.Abs(x) + w.get("frobenius")*w.get("grad_var_trace")
}

func alignmentScale(w *original, x float64) float64 {
	return noiseCurvatureScale(w, 0) / (w.get("trace") * w.get("grad_var_trace")) * 200 * (1 + w.get("frobenius")/w.get("trace"))
}

func scaledKeskar(w *original, key string) (float64, bool) {
	x, there := same(w, key)
	loss := w.lines[w.k].loss
	return x * w.c * (1 + loss) / (1 + w.c*loss), there
}

func quantileOfT(degrees float64) float64 {
	return distuv.StudentsT{Sigma: 1, Nu: degrees}.Quantile(0.975)
}

// draw is a short run to be made twice.
type draw struct {
	net      string
	seed     uint64 // of the weights
	batches  [][]int32
	update   optim.Update
	converge bool
}

// invariant draws runs of distinct samples.
func invariant(r *rapid.T, n int) draw {
	d := draw{
		net:      rapid.SampledFrom(slices.Sorted(maps.Keys(nets))).Draw(r, "net"),
		seed:     rapid.Uint64Range(0, 1000).Draw(r, "seed"),
		update:   optim.Update{LR: rapid.SampledFrom([]float64{0.01, 0.1}).Draw(r, "lr")},
		converge: rapid.Bool().Draw(r, "converge"),
	}
	if rapid.Bool().Draw(r, "momentum") {
		d.update.Momentum, d.update.WeightDecay = 0.9, 0.01
	}
	all := make([]int32, pool)
	for i := range all {
		all[i] = int32(i)
	}
	for range 3 {
		d.batches = append(d.batches, rapid.Permutation(all).Draw(r, "batch")[:n])
	}
	return d
}

// walk makes the run on an objective of its network.
func (d draw) walk(r *rapid.T, o *Objective[float64]) (lines []line, grads [][][]float64) {
	stream := rng.New(rng.Weights, d.seed, 0)
	for i := range o.s.Params() {
		o.s.Params()[i] = 0.6 * stream.NormFloat64()
	}
	u := d.update
	m := NewMonitor(o, Config{
		Select: everything(), Window: 4, Converge: d.converge, Tol: iteratedTol, Momentum: u.Momentum, Plain: u.Momentum == 0 && u.WeightDecay == 0,
	})
	velocity := make([]float64, len(o.s.Params()))
	for k, batch := range d.batches {
		grads = append(grads, sampleGradients(o, batch))
		out := record.Step{LR: u.LR}
		if err := m.Step(k, batch, &out); err != nil {
			r.Fatal(err)
		}
		o.s.Update(velocity, u)
		if err := m.Updated(&out); err != nil {
			r.Fatal(err)
		}
		lines = append(lines, line{len(batch), out.Loss, slices.Concat(out.Noise, out.Flatness)})
	}
	return lines, grads
}

// rounding is the relative error that compare allows: of 15 digits the steps
// before and differences may take seven.
const rounding = 1e-8

// compare checks that the changed run logged what the relations say.
func compare(r *rapid.T, w *original, changed []line, grads [][][]float64, relations func(behaviour) relation) {
	for w.k = range changed {
		w.grads = grads[w.k]
		for _, q := range quantities {
			for _, key := range q.LogKeys() {
				b, known := behaviours[key]
				if !known {
					r.Fatalf("%s has no behaviour: add one to behaviours", key)
				}
				got, gotThere := changed[w.k].numbers.Get(key).Get()
				before, there := same(w, key)
				relate := relations(b)
				if relate == nil {
					if there != gotThere {
						r.Errorf("step %d: %s was there: %v, now: %v", w.k, key, there, gotThere)
					}
					continue
				}
				want, wantThere := relate(w, key)
				if gotThere != wantThere {
					r.Errorf("step %d: %s is there: %v, want the opposite", w.k, key, gotThere)
				}
				if !gotThere || !wantThere {
					continue
				}
				if !there {
					before = want
				}
				tolerance := rounding * math.Abs(before)
				if b.scale != nil {
					tolerance = rounding * math.Abs(b.scale(w, before))
				}
				if before != 0 {
					tolerance *= max(1, math.Abs(want/before))
				}
				if !(math.Abs(got-want) <= tolerance) {
					r.Errorf("step %d: %s = %.12g, want %.12g, was %.12g (off by %.2g, allowed %.2g)", w.k, key, got, want, before, math.Abs(got-want), tolerance)
				}
			}
		}
	}
}

// objectives makes one of each network, its loss times c.
func objectives(t *testing.T, c float64) map[string]*Objective[float64] {
	all := map[string]*Objective[float64]{}
	for name, build := range nets {
		all[name] = objectiveOf[float64](t, func(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
			loss, params := build(t, g, x, y)
			if c != 1 {
				loss = must(t)(gorgonia.Mul(loss, gorgonia.NewConstant(c)))
			}
			return loss, params
		}, engine.Config{Batch: 2 * pool, Threads: 1})
	}
	return all
}

func TestOrderOfSamplesChangesNothing(t *testing.T) {
	list := objectives(t, 1)
	rapid.Check(t, func(r *rapid.T) {
		d := invariant(r, rapid.IntRange(3, 13).Draw(r, "n"))
		lines, grads := d.walk(r, list[d.net])
		for k := range d.batches {
			d.batches[k] = rapid.Permutation(d.batches[k]).Draw(r, "order")
		}
		changed, _ := d.walk(r, list[d.net])
		compare(r, &original{lines: lines}, changed, grads, func(b behaviour) relation { return b.permuted })
	})
}

func TestDoublingTheData(t *testing.T) {
	list := objectives(t, 1)
	rapid.Check(t, func(r *rapid.T) {
		d := invariant(r, rapid.SampledFrom([]int{5, 9, 13}).Draw(r, "n"))
		lines, grads := d.walk(r, list[d.net])
		for k, batch := range d.batches {
			d.batches[k] = slices.Concat(batch, batch)
		}
		changed, _ := d.walk(r, list[d.net])
		compare(r, &original{lines: lines}, changed, grads, func(b behaviour) relation { return b.doubled })
	})
}

// With the learning rate divided by c, the weight decay times c, the run goes
// the same way.
func TestScalingTheLoss(t *testing.T) {
	list := objectives(t, 1)
	factors := []float64{1. / 16, 3, 100}
	scaled := map[float64]map[string]*Objective[float64]{}
	for _, c := range factors {
		scaled[c] = objectives(t, c)
	}
	rapid.Check(t, func(r *rapid.T) {
		d := invariant(r, rapid.IntRange(3, 13).Draw(r, "n"))
		c := rapid.SampledFrom(factors).Draw(r, "c")
		lines, grads := d.walk(r, list[d.net])
		d.update.LR /= c
		d.update.WeightDecay *= c
		changed, _ := d.walk(r, scaled[c][d.net])
		compare(r, &original{lines: lines, c: c}, changed, grads, func(b behaviour) relation { return b.scaled })
	})
}

// named is the mlp with parameters of other names.
func named(names ...string) net {
	return func(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
		do := must(t)
		p := gorgonia.Nodes{param(g, names[0], 5, 9), param(g, names[1], 5), param(g, names[2], 3, 5), param(g, names[3], 3)}
		h := do(op.Tanh.Of(do(op.Dense(x, p[0], p[1]))))
		return do(op.CrossEntropy.Of(do(op.Dense(h, p[2], p[3])), y)), p
	}
}

// The numbers are the same bits.
func TestNamesOfLayersChangeNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := invariant(r, 6)
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zA-Z0-9_."]{1,12}`), 4, 4, rapid.ID[string]).Draw(r, "names")
		first, _ := d.walk(r, objective[float64](t, nets["mlp"], pool))
		second, _ := d.walk(r, objective[float64](t, named(names...), pool))
		for k := range first {
			if first[k].loss != second[k].loss || !slices.Equal(first[k].numbers, second[k].numbers) {
				r.Fatalf("step %d: %v with names %q, else %v", k, second[k], names, first[k])
			}
		}
	})
}

// What is measured of the flatness, where and when, changes nothing of the noise.
func TestFlatnessChangesNoNoise(t *testing.T) {
	for name, build := range nets {
		var want []record.Numbers
		for _, c := range []Config{{Select: Selection{text: "noise", list: everything().of(Noise)}}, {}, {Every: 2}, {Subset: samples(9)}, {Converge: true, Subset: samples(3)}} {
			if c.Select.list == nil {
				c.Select = everything()
			}
			o := objective[float64](t, build, pool)
			m := NewMonitor(o, c)
			for k := range 4 {
				out := record.Step{LR: 0.1}
				if err := m.Step(k, samples(5+k), &out); err != nil {
					t.Fatal(err)
				}
				o.s.Axpy(-0.1, o.Grad(), o.s.Params())
				if err := m.Updated(&out); err != nil {
					t.Fatal(err)
				}
				if len(want) == k {
					want = append(want, slices.Clone(out.Noise))
				} else if !slices.Equal(out.Noise, want[k]) {
					t.Errorf("%s: step %d with every %d, subset of %d: noise %v, without flatness %v", name, k, c.Every, len(c.Subset), out.Noise, want[k])
				}
			}
		}
	}
}
