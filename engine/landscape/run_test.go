package landscape

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image/gif"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/request"
	runs "sgflow/engine/train"
	"sgflow/engine/trajectory"
)

func mustRun(t *testing.T, c Config, dirs ...string) *Result {
	t.Helper()
	r, err := Run(context.Background(), c, dirs, t.TempDir(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPathsAreThoseOfSGDAndDescent(t *testing.T) {
	c := small(t)
	r := mustRun(t, c)
	p, s := opened[float64](t, c)
	theta := append([]float64(nil), s.Params()...)
	o, indices := objective(p, s)
	// Descent by hand, to the end.
	for range c.Steps {
		copy(s.Params(), theta)
		o.Gradient(indices, false)
		for i, g := range o.Grad() {
			theta[i] -= c.LR * g
		}
	}
	path, err := trajectory.Open(filepath.Join(r.Out, "descent"))
	if err != nil {
		t.Fatal(err)
	}
	defer path.Close()
	end := make([]float64, len(theta))
	if err := path.Read(end, len(path.Points)-1, 0); err != nil {
		t.Fatal(err)
	}
	for i := range end {
		if math.Abs(end[i]-theta[i]) > 1e-12 {
			t.Fatalf("descent's parameter %d ends at %v, want %v", i, end[i], theta[i])
		}
	}
	if len(r.Paths) != 2 {
		t.Fatalf("%d paths", len(r.Paths))
	}
	for _, q := range r.Paths {
		first, last := q.Points[0], q.Points[len(q.Points)-1]
		if len(q.Points) != 21 || first.Step != 0 || last.Step != 40 || math.Abs(last.Time-12) > 1e-9 {
			t.Errorf("%s has %d points, from %+v to %+v", q.Name, len(q.Points), first, last)
		}
		if !(q.Length > q.Displacement && q.Displacement > 0) {
			t.Errorf("%s: a way of %v, %v from start to end", q.Name, q.Length, q.Displacement)
		}
	}
	if r.Paths[1].Length <= r.Paths[0].Length {
		t.Errorf("SGD's way %v is no longer than descent's %v", r.Paths[1].Length, r.Paths[0].Length)
	}
	// Both begin at one point and loss; the slice goes through descent's end.
	loss, accuracy := loopLoss(theta, p.Train)
	near(t, "the loss at the point", r.Center.Loss, loss, 1e-9)
	got, _ := r.Center.Accuracy.Get()
	near(t, "the accuracy at the point", got, accuracy, 1e-12)
	last, _ := r.Paths[0].Points[20].Loss.Get()
	if last != r.Center.Loss || r.Paths[0].Points[20].X != 0 || r.Paths[0].Points[20].Distance != 0 {
		t.Errorf("descent ends at %+v, the slice goes through a loss of %v", r.Paths[0].Points[20], r.Center.Loss)
	}
	if a, b := r.Paths[0].Points[0].Loss, r.Paths[1].Points[0].Loss; a != b {
		t.Errorf("the paths begin at losses %v and %v", a, b)
	}
	sum := 0.0
	for _, share := range r.Shares {
		sum += share
	}
	near(t, "the sum of the shares", sum, 1, 1e-12)
	share, _ := r.Share.Get()
	near(t, "the share of the plane", share, r.Shares[0]+r.Shares[1], 1e-9)
	for _, q := range r.Paths {
		for _, at := range q.Points {
			if at.X < r.X[0] || at.X > r.X[4] || at.Y < r.Y[0] || at.Y > r.Y[4] {
				t.Errorf("%+v is beyond the axes %v, %v", at, r.X, r.Y)
			}
		}
	}
	for _, part := range []string{"SGD and descent end", "apart", "plane holds"} {
		if !strings.Contains(r.Answer, part) {
			t.Errorf("the answer lacks %q: %s", part, r.Answer)
		}
	}
}

func TestResultsDoNotDependOnThreads(t *testing.T) {
	c := small(t)
	c.DType = problem.Float32
	numbers := func(threads int) string {
		c.Threads = threads
		r := mustRun(t, c)
		r.Seconds, r.Out, r.Config.Threads = 0, "", 0
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if numbers(1) != numbers(3) {
		t.Error("with 1 and with 3 threads the results differ")
	}
}

func TestSaveWritesPageFiguresAndAnimation(t *testing.T) {
	c := small(t)
	c.Frames = 7
	r := mustRun(t, c)
	frames := 0
	if err := r.Save(context.Background(), func(stage string, done, total int) {
		if strings.Contains(stage, "frames") && total == 7 {
			frames++
		}
	}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(r.Out, "paths.gif"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g, err := gif.DecodeAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Image) != 7 || frames != 7 || g.Config.Width != 800 || g.Config.Height != 500 {
		t.Errorf("%d frames of %d×%d, %d told of", len(g.Image), g.Config.Width, g.Config.Height, frames)
	}
	text, err := os.ReadFile(filepath.Join(r.Out, "landscape.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if back.Loss[2][3] != r.Loss[2][3] || back.Paths[1].Points[4] != r.Paths[1].Points[4] || back.Config != r.Config {
		t.Error("landscape.json is not the result")
	}
	page, err := os.ReadFile(filepath.Join(r.Out, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"data:image/gif;base64,", "data:image/png;base64,", r.Answer, "descent, full batch", "shares of the principal components"} {
		if !bytes.Contains(page, []byte(part)) {
			t.Errorf("the page lacks %q", part)
		}
	}
	for _, name := range []string{"loss.png", "loss.svg", "accuracy.png", "accuracy.svg", "path-loss.png", "path-off.svg", "shares.png"} {
		if info, err := os.Stat(filepath.Join(r.Out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// trained runs the training of c for the small data with a trajectory and returns
// its folder.
func trained(t *testing.T, c Config, change func(*runs.Config)) string {
	t.Helper()
	k := runs.Default()
	k.Problem = c.Problem
	k.Batch, k.Steps, k.LR, k.Measure, k.Trajectory = 8, 30, 0.3, "none", "3"
	k.Out = filepath.Join(t.TempDir(), "run")
	change(&k)
	if _, err := runs.Run(context.Background(), k, false, quietReporter{}); err != nil {
		t.Fatal(err)
	}
	return k.Out
}

// quietReporter is a runs.Reporter that says nothing.
type quietReporter struct{ runs.Reporter }

func (quietReporter) Started(*runs.Info)       {}
func (quietReporter) Stepped(*record.Step)     {}
func (quietReporter) EpochEnded(*record.Epoch) {}
func (quietReporter) Measured([]record.Cost)   {}
func (quietReporter) Warned(string)            {}

func TestRunFoldersAreDrawnAboutTheLastPointOfTheFirst(t *testing.T) {
	c := small(t)
	a := trained(t, c, func(k *runs.Config) { k.Sampling = "full" })
	b := trained(t, c, func(*runs.Config) {})
	c = ofRuns(c)
	for _, directions := range []string{PCA, Random, Eigen} {
		c.Directions = directions
		r := mustRun(t, c, a, b)
		if len(r.Paths) != 2 || len(r.Paths[0].Points) != 11 || !strings.Contains(r.Paths[0].Name, "full batch") || !strings.Contains(r.Paths[1].Name, "batches of 8") {
			t.Fatalf("%s: paths %+v", directions, r.Paths)
		}
		// The final weights of the first run are the slice's point.
		p, s := opened[float64](t, c)
		theta, err := problem.ReadWeights[float64](p, record.WeightsPath(a))
		if err != nil {
			t.Fatal(err)
		}
		copy(s.Params(), theta)
		o, indices := objective(p, s)
		if loss, _ := o.Forward(indices); loss != r.Center.Loss {
			t.Errorf("%s: the loss at the point is %v, that of the weights %v", directions, r.Center.Loss, loss)
		}
	}
	line := c
	line.Directions, line.Dims = PCA, 1
	r := mustRun(t, line, a)
	if len(r.Loss) != 1 || r.Y != nil || len(r.Directions) != 1 || len(r.Paths) != 1 {
		t.Errorf("on a line: %d rows, %d directions, %d paths", len(r.Loss), len(r.Directions), len(r.Paths))
	}
	if err := r.Save(context.Background(), quiet); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(r.Out, "loss.png")); err != nil {
		t.Error(err)
	}
}

func TestEigenvectorsAreThoseOfTheHessian(t *testing.T) {
	c := small(t)
	c.Directions = Eigen
	r := mustRun(t, c)
	p, s := opened[float64](t, c)
	o, indices := objective(p, s)
	o.Gradient(indices, false)
	pairs, err := eigen(context.Background(), o, indices, 5, 2, nothing)
	if err != nil {
		t.Fatal(err)
	}
	for j, d := range r.Directions {
		value, _ := d.Eigenvalue.Get()
		residual, _ := d.Residual.Get()
		if math.Abs(value-pairs[j].Value) > 1e-4*pairs[0].Value || residual > eigenTol*pairs[0].Value {
			t.Errorf("eigenvalue %d is %v with residual %v, by another start %v", j, value, residual, pairs[j].Value)
		}
		near(t, "the norm", d.Norm, 1, 1e-9)
	}
	// Second differences along the first direction are its eigenvalue.
	const h = 1e-3
	slice := &Slice[float64]{Origin: append([]float64(nil), s.Params()...), Directions: [][]float64{pairs[0].Vector}}
	g, err := Evaluate(context.Background(), o, indices, slice, []float64{-h, 0, h}, nil, nothing)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "the second difference", (g.Loss[0][0]-2*g.Loss[0][1]+g.Loss[0][2])/(h*h), pairs[0].Value, 1e-4)
}

func TestRandomDirectionsHaveTheNormsOfTheFilters(t *testing.T) {
	c := small(t)
	_, s := opened[float64](t, c)
	theta := s.Params()
	list := random(s, theta, 9, 2)
	for _, d := range list {
		for row := range 5 { // fc1.weight, 5×9
			near(t, "the norm of a filter", math.Sqrt(dot(d[9*row:9*row+9], d[9*row:9*row+9])), math.Sqrt(dot(theta[9*row:9*row+9], theta[9*row:9*row+9])), 1e-12)
		}
		for row := range 3 { // fc2.weight, 3×5
			at := 50 + 5*row
			near(t, "the norm of a filter", math.Sqrt(dot(d[at:at+5], d[at:at+5])), math.Sqrt(dot(theta[at:at+5], theta[at:at+5])), 1e-12)
		}
		for _, i := range []int{45, 49, 65, 67} {
			if d[i] != 0 {
				t.Errorf("the bias %d moves by %v", i, d[i])
			}
		}
	}
	if list[0][0] == list[1][0] {
		t.Error("both directions are the same")
	}
}

func TestLineBetweenWeightsHasTheirLossesAtItsEnds(t *testing.T) {
	c := small(t)
	a := trained(t, c, func(*runs.Config) {})
	b := trained(t, c, func(k *runs.Config) { k.Seed = 8 })
	c.Directions, c.Dims, c.Weights, c.To, c.Grid = Line, 1, record.WeightsPath(a), record.WeightsPath(b), 21
	r := mustRun(t, c)
	p, s := opened[float64](t, c)
	ends := [2]float64{}
	for i, dir := range []string{a, b} {
		theta, err := problem.ReadWeights[float64](p, record.WeightsPath(dir))
		if err != nil {
			t.Fatal(err)
		}
		copy(s.Params(), theta)
		o, indices := objective(p, s)
		ends[i], _ = o.Forward(indices)
	}
	for i, x := range r.X {
		if x == 0 {
			near(t, "the loss at the first weights", r.Loss[0][i], ends[0], 1e-12)
		}
		if x == 1 {
			near(t, "the loss at the second weights", r.Loss[0][i], ends[1], 1e-12)
		}
	}
	barrier, ok := r.Barrier()
	most := 0.0
	for i, x := range r.X {
		if x >= 0 && x <= 1 {
			most = max(most, r.Loss[0][i]-(1-x)*ends[0]-x*ends[1])
		}
	}
	if !ok || math.Abs(barrier-most) > 1e-9 {
		t.Errorf("the barrier is %v, want %v", barrier, most)
	}
	c.To = c.Weights
	if _, err := Run(context.Background(), c, nil, t.TempDir(), quiet); !isRequest(err) || !strings.Contains(err.Error(), "norm zero") {
		t.Errorf("a line of no length: %v", err)
	}
}

// ofRuns is c for paths that are there.
func ofRuns(c Config) Config {
	d := Default()
	c.LR, c.Batch, c.Steps, c.Points = d.LR, d.Batch, d.Steps, d.Points
	return c
}

func isRequest(err error) bool {
	var wrong *request.Error
	return errors.As(err, &wrong)
}

func TestWrongLandscapesAreRequestErrors(t *testing.T) {
	c := small(t)
	plain := trained(t, c, func(k *runs.Config) { k.Trajectory = "" })
	projected := trained(t, c, func(k *runs.Config) { k.TrajectoryDim = 6 })
	good := trained(t, c, func(*runs.Config) {})
	short := trained(t, c, func(k *runs.Config) { k.Steps, k.Trajectory = 1, "50" })
	other := trained(t, c, func(k *runs.Config) { k.Model = "mlp:9-4-3" })
	// A trajectory of another model, put into a run.
	mixed := trained(t, c, func(*runs.Config) {})
	for _, name := range []string{"trajectory.json", "trajectory.bin"} {
		text, err := os.ReadFile(filepath.Join(other, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(mixed, name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range []struct {
		want   string
		change func(*Config)
		dirs   []string
	}{
		{"--directions \"rnd\"", func(c *Config) { c.Directions = "rnd" }, nil},
		{"--dims 3", func(c *Config) { c.Dims = 3 }, nil},
		{"--grid 1", func(c *Config) { c.Grid = 1 }, nil},
		{"--span -1", func(c *Config) { c.Span = -1 }, nil},
		{"--to", func(c *Config) { c.Directions, c.Dims = Line, 1 }, nil},
		{"--directions line", func(c *Config) { c.To = "x" }, nil},
		{"--dims 1", func(c *Config) { c.Directions, c.To = Line, "x" }, nil},
		{"--frames 1", func(c *Config) { c.Frames = 1 }, nil},
		{"--lr 0", func(c *Config) { c.LR = 0 }, nil},
		{"--points 0", func(c *Config) { c.Points = 0 }, nil},
		{"--batch 999", func(c *Config) { c.Batch = 999 }, []string{good}},
		{"no trajectory.json", func(*Config) {}, []string{plain}},
		{"projections", func(*Config) {}, []string{projected}},
		{"need 2 stored points", func(*Config) {}, []string{short}},
		{"another model", func(*Config) {}, []string{mixed}},
		{"different surfaces", func(*Config) {}, []string{good, other}},
		{"different surfaces", func(c *Config) { c.Loss = problem.MSE }, []string{good}},
		{"no run folders", func(c *Config) { c.Directions, c.Dims, c.To = Line, 1, "x" }, []string{good}},
		{"holds no run", func(*Config) {}, []string{t.TempDir()}},
	} {
		c := c
		if len(w.dirs) > 0 {
			c = ofRuns(c)
		}
		w.change(&c)
		if _, err := Run(context.Background(), c, w.dirs, t.TempDir(), quiet); !isRequest(err) || !strings.Contains(err.Error(), w.want) {
			t.Errorf("error %v, want a request.Error with %q", err, w.want)
		}
	}
}

func TestDivergingPathsSayWhatToTry(t *testing.T) {
	c := small(t)
	c.Model, c.Loss, c.LR = "mlp:9-3", problem.MSE, 1e200
	_, err := Run(context.Background(), c, nil, t.TempDir(), quiet)
	if err == nil || isRequest(err) || !strings.Contains(err.Error(), "--lr") {
		t.Errorf("error %v", err)
	}
}

func TestInterruptedLandscapeGivesTheContextsError(t *testing.T) {
	for _, at := range []string{"SGD", "loss on the slice", "principal components"} {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := Run(ctx, small(t), nil, t.TempDir(), func(stage string, done, _ int) {
			if strings.Contains(stage, at) {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "--lr") {
			t.Errorf("%s: error %v", at, err)
		}
	}
	c := small(t)
	c.Frames = 3
	r := mustRun(t, c)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.animate(ctx, io.Discard, quiet); !errors.Is(err, context.Canceled) {
		t.Errorf("the animation: %v", err)
	}
}
