package reproduce

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/data"
	"sgflow/engine/measure"
)

// A course is SGD with momentum and decay as the papers write it, in float64 one
// element at a time.
func TestCourseIsSGD(t *testing.T) {
	l := smallLab(t, 1)
	c := smallSetup("mlp:16-5-3,act=tanh")
	n, plain := open[float64](t, l, c), open[float64](t, l, c)
	course := Course{Batch: 7, LR: 0.3, Momentum: 0.5, WeightDecay: 0.01, Steps: 20}
	if err := n.Take(context.Background(), course); err != nil {
		t.Fatal(err)
	}
	sampler, err := data.NewSampler(data.Shuffle, 60, 7, c.Seed)
	if err != nil {
		t.Fatal(err)
	}
	theta := plain.Session.Params()
	velocity := make([]float64, len(theta))
	for step := range 20 {
		plain.Train.Gradient(sampler.Batch(step, nil), false)
		for j, g := range plain.Train.Grad() {
			velocity[j] = 0.5*velocity[j] + g + 0.01*theta[j]
			theta[j] -= 0.3 * velocity[j]
		}
	}
	for j, x := range n.Session.Params() {
		// 20 steps of sums in another order.
		if math.Abs(x-theta[j]) > 1e-13 {
			t.Fatalf("parameter %d is %v, want %v", j, x, theta[j])
		}
	}
}

func TestCourseGoesOnWhereItEndedForAnyThreads(t *testing.T) {
	c := smallSetup("mlp:16-5-3")
	take := func(threads int, courses ...Course) []float32 {
		n := open[float32](t, smallLab(t, threads), c)
		for _, course := range courses {
			course.Batch, course.LR, course.Momentum = 8, 0.1, 0.9
			if err := n.Take(context.Background(), course); err != nil {
				t.Fatal(err)
			}
		}
		return slices.Clone(n.Session.Params())
	}
	whole := take(1, Course{Steps: 30})
	if !slices.Equal(whole, take(2, Course{Steps: 30})) {
		t.Error("the number of threads changes the result")
	}
	if !slices.Equal(whole, take(1, Course{Steps: 11}, Course{Steps: 19, From: 11})) {
		t.Error("two parts differ from the whole")
	}
}

func TestHooksSeeTheirSteps(t *testing.T) {
	n := open[float32](t, smallLab(t, 1), smallSetup("mlp:16-5-3"))
	var hooks, steps []int
	course := Course{
		Batch: 8, LR: 0.1, Steps: 7, Every: 3, From: 10, Noise: true,
		Hook: func(step int) error { hooks = append(hooks, step); return nil },
		Stepped: func(step int, loss float64) error {
			steps = append(steps, step)
			if again, _, ok := n.Train.Noise(nil); !ok || again.NormSq <= 0 || loss <= 0 {
				t.Errorf("step %d: loss %v, noise %+v", step, loss, again)
			}
			return nil
		},
	}
	if err := n.Take(context.Background(), course); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(hooks, []int{10, 13, 16, 17}) || !slices.Equal(steps, []int{10, 11, 12, 13, 14, 15, 16}) {
		t.Errorf("hooks at %v, steps %v", hooks, steps)
	}
	hooks = nil
	course.Hook = func(step int) error { hooks = append(hooks, step); return ErrEnough }
	if err := n.Take(context.Background(), course); err != nil || len(hooks) != 1 {
		t.Errorf("%v, hooks at %v", err, hooks)
	}
	broken := errors.New("broken")
	course.Hook = func(int) error { return broken }
	if err := n.Take(context.Background(), course); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func TestCourseEndsWhereTheLossIsNoNumberAndWithTheContext(t *testing.T) {
	c := smallSetup("mlp:16-5-3")
	c.Loss = "mse"
	n := open[float32](t, smallLab(t, 1), c)
	if err := n.Take(context.Background(), Course{Batch: 8, LR: 1e6, Steps: 200}); !errors.Is(err, measure.ErrDiverged) {
		t.Errorf("%v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := n.Take(ctx, Course{Batch: 8, LR: 0.1, Steps: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := n.Take(context.Background(), Course{Batch: 61, LR: 0.1, Steps: 1}); err == nil {
		t.Error("a batch of 61 of 60 samples is taken")
	}
}

func TestEigenpairsAreThoseOfTheDenseHessian(t *testing.T) {
	n := open[float64](t, smallLab(t, 1), smallSetup("mlp:16-4-3,act=tanh"))
	var dense mat.EigenSym
	if !dense.Factorize(denseHessian(n), false) {
		t.Fatal("no eigenvalues")
	}
	want := dense.Values(nil)
	pairs, err := n.Eigenpairs(context.Background(), n.All, 5, 1e-9)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range pairs {
		if w := want[len(want)-1-i]; math.Abs(p.Value-w) > 1e-8*want[len(want)-1] {
			t.Errorf("eigenvalue %d is %v, want %v", i, p.Value, w)
		}
	}
	lambda, err := n.LambdaMax(context.Background(), n.All)
	// A residual of 1 % of the eigenvalue bounds its error by as much.
	if top := want[len(want)-1]; err != nil || math.Abs(lambda-top) > 0.01*top {
		t.Errorf("lambda_max is %v, want %v, %v", lambda, top, err)
	}
}

func TestClassesAreKeptInTheirOrder(t *testing.T) {
	l := smallLab(t, 1)
	set, err := l.Data(smallName)
	if err != nil {
		t.Fatal(err)
	}
	part, err := withClasses(set, []int32{2, 0})
	if err != nil {
		t.Fatal(err)
	}
	if part.Classes != 2 || part.Train.N != 40 || part.Test.N != 20 || len(part.Train.Pixels) != 40*16 {
		t.Fatalf("%d classes, %d and %d samples", part.Classes, part.Train.N, part.Test.N)
	}
	at := 0
	for i, label := range set.Train.Labels {
		want, ok := map[int32]int32{2: 0, 0: 1}[label]
		if !ok {
			continue
		}
		if part.Train.Labels[at] != want || !slices.Equal(part.Train.Pixels[at*16:at*16+16], set.Train.Pixels[i*16:i*16+16]) {
			t.Fatalf("sample %d is not sample %d", at, i)
		}
		at++
	}
	for _, wrong := range [][]int32{{0, 3}, {1, 1}, {-1}} {
		if _, err := withClasses(set, wrong); err == nil {
			t.Errorf("classes %v are taken", wrong)
		}
	}
}

func TestRandomLabelsAreTheAskedShareAndTheTestSetIsLeftAlone(t *testing.T) {
	set, err := smallLab(t, 1).Data("mnist")
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(set.Train.Labels)
	changed := withRandomLabels(set, 0.5, 1)
	if !slices.Equal(set.Train.Labels, before) || &changed.Test.Labels[0] != &set.Test.Labels[0] {
		t.Error("the set itself or its test samples changed")
	}
	differ := 0
	for i, label := range changed.Train.Labels {
		if label != before[i] {
			differ++
		}
	}
	// Nine in ten of the redrawn labels are others: 0.45 of 60,000, ± 4 deviations.
	share := float64(differ) / float64(len(before))
	if math.Abs(share-0.45) > 4*math.Sqrt(0.45*0.55/float64(len(before))) {
		t.Errorf("%.4f of the labels changed, want 0.45", share)
	}
}

// Networks opened and trained side by side are those made one after the other.
func TestNetworksSideBySideDoNotDisturbEachOther(t *testing.T) {
	train := func(threads int) [][]float32 {
		l := smallLab(t, threads)
		all, err := Map(context.Background(), l, 6, func(ctx context.Context, l *Lab, i int) ([]float32, error) {
			c := smallSetup([]string{"mlp:16-5-3", "mlp:16-4-4-3,act=tanh", "cnn:conv2k3,relu,fc3"}[i%3])
			c.Seed = uint64(i)
			n, err := Open[float32](l, c)
			if err != nil {
				return nil, err
			}
			defer n.Close()
			err = n.Take(ctx, Course{Batch: 8, LR: 0.1, Steps: 10})
			return slices.Clone(n.Session.Params()), err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if one, many := train(1), train(6); !slices.EqualFunc(one, many, slices.Equal) {
		t.Error("the weights differ")
	}
}
