package study

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat"

	"sgflow/data"
	"sgflow/engine/analysis"
	"sgflow/engine/flow"
	"sgflow/engine/problem"
	"sgflow/engine/request"
	"sgflow/engine/rng"
)

// randomSet has 48 training and 20 test images of 4×4 pixels in three classes that
// can be told apart.
func randomSet() *data.Set {
	s := rng.New(rng.Labels, 8, 0)
	split := func(n int) *data.Split {
		d := &data.Split{N: n, C: 1, H: 4, W: 4}
		for i := range n {
			d.Labels = append(d.Labels, int32(i%3))
			for at := range 16 {
				bright := uint8(0)
				if at%3 == i%3 {
					bright = 100
				}
				d.Pixels = append(d.Pixels, bright+uint8(s.Uint32n(150)))
			}
		}
		return d
	}
	return &data.Set{Name: "random", Train: split(48), Test: split(20), Classes: 3, Channels: 1, Height: 4, Width: 4}
}

// small returns a quick study of the paths.
func small(paths string) Config {
	c := Default()
	c.Model, c.Data, c.Limit, c.Device, c.DType, c.Paths = "mlp:16-6-3,act=tanh", "random", 0, "cpu", problem.Float64, paths
	c.LR, c.Batch, c.Steps, c.MeasureEvery, c.Seeds, c.LambdaMax = 0.1, 4, 20, 10, 3, lambdaAll
	return c
}

// witness is a Watcher that keeps what it is told.
type witness struct {
	warnings  []string
	samples   []Sample
	distances []Distance
	last      Progress
	then      func(Progress)
}

func (w *witness) Warn(text string) { w.warnings = append(w.warnings, text) }

func (w *witness) Log(line any) error {
	switch x := line.(type) {
	case Sample:
		w.samples = append(w.samples, x)
	case Distance:
		w.distances = append(w.distances, x)
	}
	return nil
}

func (w *witness) Progress(p Progress) {
	w.last = p
	if w.then != nil {
		w.then(p)
	}
}

// do runs a study on random data.
func do(ctx context.Context, c Config, w Watcher) (*Result, error) {
	return Run(ctx, c, w, problem.WithData(func(string) (*data.Set, error) { return randomSet(), nil }))
}

func mustDo(t *testing.T, c Config) (*Result, *witness) {
	t.Helper()
	w := &witness{}
	r, err := do(t.Context(), c, w)
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

func TestPathsThatAreTheSameStayTogether(t *testing.T) {
	r, w := mustDo(t, small("sgd; svag:l=1; descent; sde:noise=none; sgd:batch=48,sampling=shuffle; gradient-flow; sde-full"))
	for _, same := range [][2]string{{"sgd", "svag:l=1"}, {"descent", "sde:noise=none"}, {"descent", "sgd:batch=48,sampling=shuffle"}} {
		d, ok := r.Between(same[0], same[1])
		if !ok || d.Weights.Mean > 1e-12 || d.Predictions.Mean > 1e-12 {
			t.Errorf("%v: %+v, %v", same, d, ok)
		}
	}
	for _, apart := range [][2]string{{"sgd", "descent"}, {"descent", "gradient-flow"}, {"sde-full", "sgd"}, {"sgd", "sgd"}} {
		if d, ok := r.Between(apart[1], apart[0]); !ok || d.Weights.Mean < 1e-4 || d.Predictions.Mean < 1e-5 {
			t.Errorf("%v: %+v, %v", apart, d, ok)
		}
	}
	if _, ok := r.Between("descent", "descent"); ok {
		t.Error("a path of one seed has a distance from itself")
	}
	if w.last.Share != 1 || w.last.Time != 2 || w.last.End != 2 {
		t.Errorf("progress ends at %+v", w.last)
	}
	// Three times, of 3 seeds of 4 random paths and of 3 others.
	if len(w.samples) != 3*(3*4+3) || len(w.distances) != len(r.Distances) || len(r.Distances) != 3*(7*6/2+4) {
		t.Errorf("%d samples, %d and %d distances", len(w.samples), len(w.distances), len(r.Distances))
	}
}

func TestPointsSayWhatTheNetworkIsThere(t *testing.T) {
	c := small("sgd; descent; langevin:temperature=0.001,batch=8; langevin:temperature=0.002,batch=full")
	r, w := mustDo(t, c)
	p, err := c.Open(problem.WithData(func(string) (*data.Set, error) { return randomSet(), nil }))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Compile(true); err != nil {
		t.Fatal(err)
	}
	s, err := problem.NewSession[float64](p, 48)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := problem.SetWeights(p, s); err != nil {
		t.Fatal(err)
	}
	train, test := problem.NewObjective(p, s, p.Train), problem.NewObjective(p, s, p.Set.Test)
	loss, correct := train.Gradient(problem.Sequence(0, 48), true)
	norm, trace := 0.0, 0.0
	for _, g := range train.Grad() {
		norm += g * g
	}
	for i := range int32(48) { // one by one
		train.Gradient([]int32{i}, false)
		for _, g := range train.Grad() {
			trace += g * g / 48
		}
	}
	trace -= norm
	testLoss, testCorrect := test.Forward(problem.Sequence(0, 20))
	dim := float64(len(s.Params()))
	for _, want := range []struct {
		path, name string
		value      float64
	}{
		{"sgd", "train_loss", loss}, {"sgd", "train_accuracy", float64(correct) / 48}, {"sgd", "test_loss", testLoss}, {"sgd", "test_accuracy", float64(testCorrect) / 20},
		{"sgd", "grad_norm_sq", norm}, {"sgd", "grad_var_trace", trace}, {"sgd", "noise_scale", trace / norm}, {"sgd", "temperature", 0.1 / 4},
		{"sgd", "langevin_temperature", 0.1 * trace / (2 * 4 * dim)}, {"descent", "langevin_temperature", 0}, {"sgd", "distance_from_start", 0},
		{"langevin:temperature=0.001,batch=8", "langevin_temperature", 0.001 + 0.1*trace/(2*8*dim)},
		{"langevin:temperature=0.002,batch=full", "langevin_temperature", 0.002},
	} {
		for _, x := range w.samples {
			if x.Path != want.path || x.Time != 0 {
				continue
			}
			got, ok := x.Values.Get(want.name).Get()
			if !ok || math.Abs(got-want.value) > 1e-10*math.Abs(want.value) {
				t.Errorf("%s: %s is %v, want %v", want.path, want.name, got, want.value)
			}
		}
	}
	// A second eigenvalue would be found by a search of another kind.
	train.Gradient(problem.Sequence(0, 48), false)
	v, out := make([]float64, len(s.Params())), make([]float64, len(s.Params()))
	for i := range v {
		v[i] = math.Sin(float64(3*i + 1))
	}
	lambda := 0.0
	for range 3000 { // by power iteration of H + 10
		size := math.Sqrt(s.NormSq(v))
		s.Scale(1/size, v)
		train.Product(out, v)
		lambda = s.Dot(v, out)
		s.Axpy(10, v, out)
		copy(v, out)
	}
	if math.Abs(r.LambdaMax-lambda) > 0.01*lambda {
		t.Errorf("lambda_max %v, want %v", r.LambdaMax, lambda)
	}
}

func TestStudiesDependOnSeedsAlone(t *testing.T) {
	text := func(threads int, seed uint64) string {
		c := small("sgd;sde-isotropic;sde-diagonal;sde-full:order=2;svag:l=5;langevin:temperature=1e-3;gradient-flow")
		c.DType, c.Threads = problem.Float32, threads
		c.Model = "mlp:16-300-3" // large enough for several threads
		c.Seed = seed
		r, _ := mustDo(t, c)
		r.Seconds, r.Config.Threads = 0, 0
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if text(1, 3) != text(2, 3) {
		t.Error("the result depends on the number of threads")
	}
	if text(2, 3) == text(2, 4) {
		t.Error("the result does not depend on the seed")
	}
}

func TestUnstableStepsAreSaid(t *testing.T) {
	c := small("descent;sgd:lr=0.05")
	c.Loss, c.LR, c.Steps = problem.MSE, 50, 1000
	w := &witness{}
	r, err := do(t.Context(), c, w)
	if !errors.Is(err, flow.ErrDiverged) || !strings.Contains(err.Error(), "2/lambda_max") || !strings.Contains(err.Error(), "descent") {
		t.Errorf("error %v", err)
	}
	if len(w.warnings) != 1 || !strings.Contains(w.warnings[0], "descent: steps of 50 are unstable") || !strings.Contains(w.warnings[0], "2/lambda_max") {
		t.Errorf("warnings %q", w.warnings)
	}
	if r == nil || len(r.Paths[0].Points) == 0 || !reflect.DeepEqual(r.Warnings, w.warnings) {
		t.Error("what was measured is not there")
	}
}

// A path may be where nothing can be measured before a step of its own finds out.
func TestPointsBeyondNumbersAreDivergence(t *testing.T) {
	c := small("descent")
	c.Loss, c.LR, c.Steps, c.MeasureEvery = problem.MSE, 50, 1000, 1
	w := &witness{}
	_, err := do(t.Context(), c, w)
	if !errors.Is(err, flow.ErrDiverged) || !strings.Contains(err.Error(), "2/lambda_max") {
		t.Errorf("error %v", err)
	}
	if _, err := json.Marshal(w.samples); err != nil || len(w.samples) == 0 {
		t.Errorf("%d lines were logged: %v", len(w.samples), err)
	}
}

func TestInterruptedStudiesReturnWhatTheyHave(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := &witness{then: func(p Progress) {
		if p.Time > 1.5 {
			cancel()
		}
	}}
	r, err := do(ctx, small("sgd;descent"), w)
	if !errors.Is(err, context.Canceled) || r == nil || len(r.Paths[1].Points) != 2 {
		t.Errorf("error %v, result %+v", err, r)
	}
}

func TestWrongStudiesAreRequestErrors(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		"--lr 0":                 func(c *Config) { c.LR = 0 },
		"--batch 0":              func(c *Config) { c.Batch = 0 },
		"--steps 0":              func(c *Config) { c.Steps = 0 },
		"--seeds 0":              func(c *Config) { c.Seeds = 0 },
		"no room":                func(c *Config) { c.Seed = math.MaxUint64 },
		"--measure-every 21":     func(c *Config) { c.MeasureEvery = 21 },
		"--test-limit -1":        func(c *Config) { c.TestLimit = -1 },
		"did you mean all":       func(c *Config) { c.LambdaMax = "al" },
		"did you mean shuffle":   func(c *Config) { c.Sampling = "shufle" },
		"--threads -1":           func(c *Config) { c.Threads = -1 },
		"there is no path":       func(c *Config) { c.Paths = " ;" },
		"before any path":        func(c *Config) { c.Paths = "batch=3;sgd" },
		"did you mean svag":      func(c *Config) { c.Paths = "svg" },
		"did you mean batch":     func(c *Config) { c.Paths = "sgd:bach=3" },
		"name=value":             func(c *Config) { c.Paths = "sgd:batch" },
		"batch twice":            func(c *Config) { c.Paths = "sgd:batch=3,batch=4" },
		"there twice":            func(c *Config) { c.Paths = "sgd;descent;sgd" },
		"no number":              func(c *Config) { c.Paths = "sgd:lr=fast" },
		"lr 0:":                  func(c *Config) { c.Paths = "sgd:lr=0" },
		"batch 0":                func(c *Config) { c.Paths = "sgd:batch=full" },
		"l 0":                    func(c *Config) { c.Paths = "svag:l=0" },
		"order 3":                func(c *Config) { c.Paths = "sde:order=3" },
		"steps 0:":               func(c *Config) { c.Paths = "sde:steps=0" },
		"did you mean diagonal":  func(c *Config) { c.Paths = "sde:noise=diagnal" },
		"give its temperature":   func(c *Config) { c.Paths = "langevin" },
		"temperature -1":         func(c *Config) { c.Paths = "langevin:temperature=-1" },
		"tolerance 2":            func(c *Config) { c.Paths = "gradient-flow:tolerance=2" },
		"do not end at a time":   func(c *Config) { c.Paths = "sgd:lr=0.3" },
		"training set of 48":     func(c *Config) { c.Paths = "sgd:batch=49" },
		"sampling \"full\"":      func(c *Config) { c.Paths = "sgd:sampling=full" },
		"no option is called":    func(c *Config) { c.Paths = "descent:batch=3" },
		"langevin:temperature=+": func(c *Config) { c.Paths = "langevin:temperature=+Inf" },
	} {
		c := small("sgd")
		change(&c)
		_, err := do(t.Context(), c, &witness{})
		var wrong *request.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("want a request.Error with %q: %v", want, err)
		}
	}
}

func TestPathsOfSpecs(t *testing.T) {
	c := small("sgd, sgd:batch=8,lr=0.05 ; svag:l=4;sde:noise=diagonal,order=2,descent , gradient-flow:tolerance=1e-6;sde-full:steps=3;langevin:temperature=1e-4,batch=full")
	got, err := c.ParsePaths()
	if err != nil {
		t.Fatal(err)
	}
	want := []Spec{
		{Name: "sgd", Kind: SGD, LR: 0.1, Batch: 4, Sampling: data.Replacement},
		{Name: "sgd:batch=8,lr=0.05", Kind: SGD, LR: 0.05, Batch: 8, Sampling: data.Replacement},
		{Name: "svag:l=4", Kind: SVAG, LR: 0.1, Batch: 4, L: 4},
		{Name: "sde:noise=diagonal,order=2", Kind: SDE, LR: 0.1, Batch: 4, Noise: flow.Diagonal, Order: 2, Steps: 4},
		{Name: "descent", Kind: Descent, LR: 0.1},
		{Name: "gradient-flow:tolerance=1e-6", Kind: GradientFlow, Tolerance: 1e-6},
		{Name: "sde-full:steps=3", Kind: SDE, LR: 0.1, Batch: 4, Noise: flow.Full, Order: 1, Steps: 3},
		{Name: "langevin:temperature=1e-4,batch=full", Kind: Langevin, LR: 0.1, Temperature: 1e-4},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	lengths := []float64{0.1, 0.05, 0.025, 0.025, 0.1, 0, 0.1 / 3, 0.1}
	for i, s := range got {
		if s.Length() != lengths[i] {
			t.Errorf("%s: steps of %v, want %v", s.Name, s.Length(), lengths[i])
		}
	}
}

func TestMeasurementsEndWithTheLastStep(t *testing.T) {
	c := small("sgd;sde-full:steps=2")
	c.Steps, c.MeasureEvery, c.Seeds = 7, 3, 1
	r, _ := mustDo(t, c)
	var times []float64
	for _, p := range r.Paths[1].Points {
		times = append(times, math.Round(1e9*p.Time)/1e9)
	}
	if !reflect.DeepEqual(times, []float64{0, 0.3, 0.6, 0.7}) {
		t.Errorf("times %v", times)
	}
}

// The distance between mean paths is estimated without bias, of coupled paths too:
// over many draws the mean of the estimates is the truth.
func TestDistanceOfMeanPathsIsUnbiased(t *testing.T) {
	const draws, seeds, dim = 4000, 3, 5
	s := rng.New(rng.Noise, 1, 1)
	sum := make([]float64, dim)
	var estimates []float64
	for range draws {
		var a, b [][]float64
		for range seeds {
			x, y := make([]float64, dim), make([]float64, dim)
			for k := range x {
				shared := s.NormFloat64()
				x[k], y[k] = shared+s.NormFloat64(), shared+s.NormFloat64()+0.1*float64(k)
			}
			a, b = append(a, x), append(b, y)
		}
		x, _ := meanSquare(a, b, 2, sum).Get()
		estimates = append(estimates, x)
	}
	mean, squares := 0.0, 0.0
	for _, x := range estimates {
		mean += x / draws
		squares += x * x / draws
	}
	want := 4 * 0.01 * (1 + 4 + 9 + 16)
	if stderr := math.Sqrt((squares - mean*mean) / draws); math.Abs(mean-want) > 4*stderr {
		t.Errorf("mean estimate %v ± %v, want %v", mean, stderr, want)
	}
}

func TestDistancesAreMeansOverSeedsAndPairs(t *testing.T) {
	a := [][]float64{{0, 0}, {3, 4}, {0, 1}}
	b := [][]float64{{3, 4}} // a path without noise
	got := between(a, b, 1).sameSeed()
	if want := (5 + 0 + math.Sqrt(18)) / 3; math.Abs(got.Mean-want) > 1e-14 || got.N != 3 {
		t.Errorf("distance %+v, want %v", got, want)
	}
	own := between(a, a, 10)
	e, ok := spread(own)
	if want := 10 * (5 + 1 + math.Sqrt(18)) / 3; !ok || math.Abs(e.Mean-want) > 1e-13 {
		t.Errorf("spread %+v, want %v", e, want)
	}
	if _, ok := e.Stderr.Get(); !ok {
		t.Error("no standard error over three seeds")
	}
	if _, ok := spread(between(b, b, 1)); ok {
		t.Error("one seed is apart from itself")
	}
	e, ok = energy(between(a, b, 10), own, between(b, b, 10), true, false)
	if want := 20*(5+0+math.Sqrt(18))/3 - 10*(5+1+math.Sqrt(18))/3; !ok || math.Abs(e.Mean-want) > 1e-13 {
		t.Errorf("energy distance %+v, %v, want %v", e, ok, want)
	}
	if _, ok := energy(between(a[:1], b, 1), between(a[:1], a[:1], 1), between(b, b, 1), true, false); ok {
		t.Error("one seed has a distribution")
	}
}

// Over many draws the energy distance of equal distributions is 0 on average, that of
// unit normals in one dimension a shift d apart what its integral is, and its standard
// error is the deviation of the draws.
func TestEnergyDistanceIsUnbiased(t *testing.T) {
	const draws, seeds = 4000, 8
	s := rng.New(rng.Noise, 1, 1)
	for _, shift := range []float64{0, 1.5} {
		var means, variances []float64
		for range draws {
			var a, b [][]float64
			for range seeds {
				a, b = append(a, []float64{s.NormFloat64()}), append(b, []float64{shift + s.NormFloat64()})
			}
			e, _ := energy(between(a, b, 1), between(a, a, 1), between(b, b, 1), true, true)
			stderr, _ := e.Stderr.Get()
			means, variances = append(means, e.Mean), append(variances, stderr*stderr)
		}
		mean, deviation := stat.MeanStdDev(means, nil)
		// E|N(d, 2)| = √2·√(2/π)·e^{−d²/4} + d·erf(d/2).
		folded := func(d float64) float64 {
			return 2/math.Sqrt(math.Pi)*math.Exp(-d*d/4) + d*math.Erf(d/2)
		}
		want := 2*folded(shift) - 2*folded(0)
		if math.Abs(mean-want) > 4*deviation/math.Sqrt(draws) {
			t.Errorf("shift %v: mean %v ± %v, want %v", shift, mean, deviation/math.Sqrt(draws), want)
		}
		// The jackknife's variance is too large on average (Efron & Stein 1981): where
		// the distributions agree, which leaves pairs alone, by 2(n−1)/(n−2).
		low, high := 0.95, 1.5
		if shift == 0 {
			low, high = 0.9*2*(seeds-1)/(seeds-2), 1.1*2*(seeds-1)/(seeds-2)
		}
		if ratio := stat.Mean(variances, nil) / (deviation * deviation); ratio < low || ratio > high {
			t.Errorf("shift %v: the squared standard error is %v of the variance", shift, ratio)
		}
	}
}

func TestFoldersHoldEveryLineAndThePage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	f, err := CreateFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, w := mustDo(t, small("sgd;descent;sde-full"))
	for _, s := range w.samples {
		if err := f.Log(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Close(), f.Save(r)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, linesFile))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var first Sample
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || len(lines) != len(w.samples) || !reflect.DeepEqual(first, w.samples[0]) {
		t.Errorf("%d lines, the first %+v, %v", len(lines), first, err)
	}
	var again Result
	text, err = os.ReadFile(filepath.Join(dir, resultFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(&again, r) {
		t.Errorf("the result read is another: %v", err)
	}
	page, err := os.ReadFile(filepath.Join(dir, pageName+".html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"Distance from sgd in weights", "two seeds of sgd", "lambda_max", "2/η", "sde-full"} {
		if !strings.Contains(string(page), part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	for _, name := range []string{"distance-weights", "distance-predictions", "train_loss", "noise_scale", "lambda_max", "langevin_temperature"} {
		for _, ext := range []string{".png", ".svg"} {
			if info, err := os.Stat(filepath.Join(dir, name+ext)); err != nil || info.Size() == 0 {
				t.Errorf("%s%s: %v", name, ext, err)
			}
		}
	}
	if _, err := CreateFolder(dir); err == nil {
		t.Error("a study in a folder is begun again")
	}
}

func TestAnswerNamesThePathThatPredictsAlike(t *testing.T) {
	estimate := func(x float64) analysis.Estimate { return analysis.Estimate{Mean: x, N: 1} }
	r := &Result{Config: Default(), Paths: []*Path{{Spec: Spec{Name: "a"}, Points: []Point{{Time: 2}}}, {Spec: Spec{Name: "b"}}, {Spec: Spec{Name: "c"}}}}
	r.Distances = []Distance{{A: "a", B: "b", Predictions: estimate(2)}, {A: "c", B: "a", Predictions: estimate(1)}, {A: "a", B: "a", Predictions: estimate(0.5)}}
	if got := r.Answer(); !strings.Contains(got, "predicts most like a is c") || !strings.Contains(got, "--seeds") {
		t.Errorf("answer %q", got)
	}
	b, c := estimate(0.1), estimate(0.2)
	r.Distances[0].PredictionsEnergy, r.Distances[1].PredictionsEnergy = &b, &c
	if got := r.Answer(); !strings.Contains(got, "distributed most like those of a is b") {
		t.Errorf("answer %q", got)
	}
}
