package cpu

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"go.uber.org/goleak"

	"sgflow/engine/cpu/kernel"
	"sgflow/engine/program"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// prepared returns a machine for the small network with random images, one-hot
// targets and weights.
func prepared[T Float](t *testing.T, capacity, threads int) *Machine[T] {
	m := newMachine[T](t, smallNetwork(), capacity, threads)
	randomize(m, 5)
	return m
}

func randomize[T Float](m *Machine[T], classes int) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for _, s := range [][]T{m.Input(0), m.Theta()} {
		for i := range s {
			s[i] = T(float32(rnd.Float64()*2 - 1))
		}
	}
	targets := m.Input(1)
	clear(targets)
	for i := range len(targets) / classes {
		targets[i*classes+i*3%classes] = 1
	}
}

func TestGradientIsTheDerivativeOfTheLoss(t *testing.T) {
	m := prepared[float64](t, 9, 2)
	const n = 7
	m.Gradient(n, false)
	grad := append([]float64(nil), m.Grad()...)
	// Central differences: error h²·f‴ ≈ 1e-8 where no ReLU or maximum changes
	// sides, which these weights don't cause.
	const h = 1e-4
	for k := range m.Theta() {
		old := m.Theta()[k]
		m.Theta()[k] = old + h
		m.Forward(n)
		up := m.Loss()
		m.Theta()[k] = old - h
		m.Forward(n)
		down := m.Loss()
		m.Theta()[k] = old
		if d := (up - down) / (2 * h); math.Abs(d-grad[k]) > 1e-6 {
			t.Fatalf("∂L/∂θ[%d] = %v, differences say %v", k, grad[k], d)
		}
	}
}

func TestProductIsTheDerivativeOfTheGradient(t *testing.T) {
	m := prepared[float64](t, 9, 2)
	const n, h = 7, 1e-5
	rnd := rand.New(rand.NewPCG(3, 4))
	v, hv := make([]float64, len(m.Theta())), make([]float64, len(m.Theta()))
	random(rnd, v)
	m.Gradient(n, false)
	m.Product(hv, v)
	theta := append([]float64(nil), m.Theta()...)
	at := func(step float64) []float64 {
		for i := range theta {
			m.Theta()[i] = theta[i] + step*v[i]
		}
		m.Gradient(n, false)
		return append([]float64(nil), m.Grad()...)
	}
	up, down := at(h), at(-h)
	for i := range hv {
		up[i] = (up[i] - down[i]) / (2 * h)
	}
	compare(t, "H·v", hv, up, 1e-7) // differences lose half the digits
}

func TestNormsAreThoseOfSingleSampleGradients(t *testing.T) {
	m, single := prepared[float64](t, 9, 2), prepared[float64](t, 1, 1)
	const n = 8
	copy(single.Theta(), m.Theta())
	m.Gradient(n, true)
	for i := range n {
		for k := range 2 {
			width := len(single.Input(k))
			copy(single.Input(k), m.Input(k)[i*width:(i+1)*width])
		}
		single.Gradient(1, false)
		for k, p := range m.program.Params {
			want := 0.0
			for _, g := range single.Grad()[p.Offset : p.Offset+p.Size] {
				want += g * g
			}
			if got := m.Norms(k)[i]; math.Abs(got-want) > 1e-12*want {
				t.Errorf("‖g‖² of sample %d, parameter %d: %v, its own gradient says %v", i, k, got, want)
			}
		}
	}
	if len(m.Norms(0)) != n {
		t.Errorf("%d norms for %d samples", len(m.Norms(0)), n)
	}
}

func TestNetworkAgreesWithTheReferenceAtEverySizeAndOnEveryPath(t *testing.T) {
	testNetwork[float32](t)
	testNetwork[float64](t)
}

func testNetwork[T Float](t *testing.T) {
	for _, size := range sizes {
		for _, path := range kernel.Available() {
			testNetworkOn[T](t, path, size.capacity, size.n)
		}
	}
}

func testNetworkOn[T Float](t *testing.T, path kernel.Path, capacity, n int) {
	m, err := New[T](smallNetwork(), Options{Capacity: capacity, Threads: 2, Path: &path})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	randomize(m, 5)
	r := newReference(m.program, n)
	r.noise = true
	for k, id := range m.program.Inputs {
		for i := range r.real[id] {
			r.real[id][i] = float64(m.Input(k)[i])
		}
	}
	wide := func(s []T) []float64 {
		w := make([]float64, len(s))
		for i, v := range s {
			w[i] = float64(v)
		}
		return w
	}
	v, hv := make([]T, len(m.Theta())), make([]T, len(m.Theta()))
	copy(v, m.Theta())
	r.setFlat(program.Param, wide(m.Theta()))
	r.setFlat(program.Vector, wide(v))
	r.run(program.Forward, program.Gradient, program.Noise, program.Curvature, program.HessianProduct, program.Samples)
	for range 2 { // the second run finds the memory as the first left it
		m.Gradient(n, true)
		m.Product(hv, v)
		compare(t, "loss", []float64{m.Loss()}, r.real[m.program.Loss], tolerance[T]())
		compare(t, "correct", []float64{float64(m.Correct())}, r.real[m.program.Correct], 0)
		compare(t, "logits", m.Logits(n), r.real[m.program.Logits], tolerance[T]())
		compare(t, "gradient", m.Grad(), r.flat(program.Grad), tolerance[T]())
		compare(t, "H·v", hv, r.flat(program.Product), tolerance[T]())
		m.ready()
		for k, q := range m.program.Params {
			f := &m.sampled.list[k]
			compare(t, "factor a", f.a.at(n), r.real[q.Factors.A], tolerance[T]())
			if f.cols > 0 {
				compare(t, "factor b", f.b.at(n), r.real[q.Factors.B], tolerance[T]())
			}
		}
		for k, p := range m.program.Params {
			compare(t, "norms", m.Norms(k), r.real[p.Norms], tolerance[T]())
		}
	}
}

func TestMeasuringNoiseLeavesTheGradientBitsAlone(t *testing.T) {
	m := prepared[float32](t, 33, 2)
	m.Gradient(33, false)
	want := append([]float32(nil), m.Grad()...)
	m.Gradient(33, true)
	sameBits(t, "gradient with noise", m.Grad(), want)
}

func TestEveryResultHasTheSameBitsOnOneAndTwoThreads(t *testing.T) {
	testThreads[float32](t)
	testThreads[float64](t)
}

func testThreads[T Float](t *testing.T) {
	one, two := prepared[T](t, 70, 1), prepared[T](t, 70, 2)
	for _, n := range []int{1, 2, 13, 64, 70} {
		var hv [2][]T
		for k, m := range []*Machine[T]{one, two} {
			hv[k] = make([]T, len(m.Theta()))
			m.Gradient(n, true)
			m.Product(hv[k], m.Theta())
		}
		sameBits(t, "gradient", two.Grad(), one.Grad())
		sameBits(t, "H·v", hv[1], hv[0])
		sameBits(t, "loss", []float64{two.Loss()}, []float64{one.Loss()})
		for k := range one.program.Params {
			sameBits(t, "norms", two.Norms(k), one.Norms(k))
		}
	}
}

func TestRunsAllocateNothing(t *testing.T) {
	for threads := 1; threads <= 2; threads++ {
		m := prepared[float32](t, 33, threads)
		v, hv := make([]float32, len(m.Theta())), make([]float32, len(m.Theta()))
		copy(v, m.Theta())
		for _, n := range []int{33, 1, 20} {
			run := func() {
				m.Gradient(n, true)
				m.Product(hv, v)
				m.Product(hv, v)
				m.Axpy(0.5, hv, v)
				m.Scale(1/math.Sqrt(m.NormSq(v)+m.Dot(v, hv)*0), v)
				m.Step(nil, sgd(0.01, 0))
				m.Step(v, sgd(0.01, 0.9))
			}
			run()
			if a := testing.AllocsPerRun(20, run); a != 0 {
				t.Errorf("%v allocations a run of %d samples on %d threads", a, n, threads)
			}
		}
	}
}

func TestParametersWithoutAnInstructionGetZeros(t *testing.T) {
	b := newBuilder()
	_, _, _, _, _ = b.param(3)
	_, grad, v, hv, _ := b.param(4)
	_, _, _, _, _ = b.param(2)
	b.add(program.Gradient, &program.Fill{Out: grad, Value: 2, Size: whole(4)})
	b.add(program.HessianProduct, &program.Copy{Out: hv, X: v, Size: whole(4)})
	m := newMachine[float64](t, &b.Program, 1, 1)
	for i := range m.Grad() {
		m.Grad()[i] = math.NaN()
	}
	m.Gradient(1, false)
	compare(t, "gradient", m.Grad(), []float64{0, 0, 0, 2, 2, 2, 2, 0, 0}, 0)
	out := []float64{9, 9, 9, 9, 9, 9, 9, 9, 9}
	m.Product(out, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9})
	compare(t, "product", out, []float64{0, 0, 0, 4, 5, 6, 7, 0, 0}, 0)
}

func TestCurvatureRunsOncePerGradient(t *testing.T) {
	m := prepared[float32](t, 4, 1)
	hv := make([]float32, len(m.Theta()))
	m.EnableProfile(true)
	for range 2 {
		m.Gradient(4, true)
		for range 3 {
			m.Product(hv, m.Theta())
		}
	}
	want := [program.NumPhases]int{2, 2, 2, 2, 6, 0}
	rows := m.Profile()
	k := 0
	for ph, list := range m.program.Phases {
		if want[ph] == 0 {
			continue // no rows of what did not run
		}
		for index := range list {
			got := rows[k]
			if got.Phase != program.Phase(ph) || got.Index != index || got.Calls != want[ph] || !(got.MS >= 0) {
				t.Errorf("row %d is %+v, want instruction %d of %s with %d calls", k, got, index, program.Phase(ph), want[ph])
			}
			k++
		}
	}
	if k != len(rows) {
		t.Errorf("%d rows for %d instructions", len(rows), k)
	}
	m.EnableProfile(false)
	if m.Profile() != nil {
		t.Error("a profile though it is off")
	}
}

func TestConstantsAreSetBeforeTheFirstRun(t *testing.T) {
	b := newBuilder()
	one := b.buffer(program.Buffer{Role: program.Constant, Batched: true, Shape: []int{2}, Values: []float64{1.5}})
	many := b.buffer(program.Buffer{Role: program.Constant, Shape: []int{3}, Values: []float64{1, -2, 3}})
	sum := b.temp(whole(2))
	b.add(program.Forward,
		&program.Copy{Out: b.temp(whole(3)), X: many, Size: whole(3)},
		&program.SumBias{Out: sum, X: one, Outer: each(1), Channels: 2, Inner: 1})
	m := newMachine[float64](t, &b.Program, 4, 1)
	m.Forward(3)
	compare(t, "constant 1.5 over 3 samples", value(m, sum, 3), []float64{4.5, 4.5}, 0)
	compare(t, "constants", value(m, many, 3), []float64{1, -2, 3}, 0)
}

func TestFlatVectorsStartOnACacheLine(t *testing.T) {
	m := prepared[float32](t, 3, 1)
	for name, s := range map[string][]float32{"theta": m.Theta(), "grad": m.Grad(), "input": m.Input(0), "arena": m.reals} {
		if a := uintptr(unsafe.Pointer(&s[0])); a%64 != 0 {
			t.Errorf("%s starts at %x", name, a)
		}
	}
}

func TestWrongCallsPanicWithTheirReason(t *testing.T) {
	m := prepared[float32](t, 3, 1)
	p := len(m.Theta())
	out, v, u := make([]float32, p), make([]float32, p), make([]float32, 3*5)
	plain := newMachine[float32](t, &newBuilder().Program, 1, 1)
	for _, c := range []struct {
		want string
		call func()
	}{
		{badBatch, func() { m.Forward(0) }},
		{badBatch, func() { m.Forward(4) }},
		{badBatch, func() { m.Gradient(-1, true) }},
		{badBatch, func() { m.Logits(4) }},
		{noGradient, func() { m.Forward(3); m.Product(out, v) }},
		{badVector, func() { m.Gradient(3, false); m.Product(out[1:], v) }},
		{badVector, func() { m.Gradient(3, false); m.Product(out, v[1:]) }},
		{noHessian, func() { plain.Gradient(1, false); plain.Product(nil, nil) }},
		{noLogits, func() { plain.Logits(1) }},
		{noSamples, func() { m.Forward(3); m.SampleDots(make([]float64, 3), v) }},
		{badSamples, func() { m.Gradient(3, false); m.SampleDots(make([]float64, 2), v) }},
		{badSamples, func() { m.Gradient(3, false); m.MeanDots(make([]float64, 4)) }},
		{badSamples, func() { m.Gradient(3, false); m.CombineSamples(out, make([]float64, 4)) }},
		{badVector, func() { m.Gradient(3, false); m.SampleDots(make([]float64, 3), v[1:]) }},
		{badVector, func() { m.Gradient(3, false); m.SecondMoment(out[1:]) }},
		{badGram, func() { m.Gradient(3, false); m.SampleGram(make([]float64, 8)) }},
		{noKept, func() { m.Gradient(3, false); m.CrossDots(make([]float64, 3)) }},
		{noGradient, func() { m.Gradient(3, false); m.Pullback(out, u, false); m.Product(out, v) }},
		{noGradient, func() { m.Gradient(3, false); m.Pullback(out, u, false); m.MeanDots(make([]float64, 3)) }},
		{noGradient, func() { m.Gradient(3, false); m.Pullback(out, u, false); m.KeepSamples() }},
		{badLogits, func() { m.Forward(3); m.Pullback(out, u[1:], false) }},
		{badLogits, func() { m.Forward(2); m.Tangent(u, v) }},
		{badLogits, func() { m.Forward(2); m.LossGradient(u) }},
		{badLogits, func() { m.Forward(2); m.LossCurvature(u[:10], u) }},
		{badVector, func() { m.Forward(3); m.Pullback(out[1:], u, false) }},
		{badVector, func() { m.Forward(3); m.Tangent(u, v[1:]) }},
		{badSamples, func() { m.Forward(3); m.SampleLosses(make([]float64, 2)) }},
		{noForward, func() { prepared[float32](t, 3, 1).Tangent(u, v) }},
		{noLogitLoss, func() { plain.Forward(1); plain.Pullback(nil, nil, false) }},
		{badLengths, func() { m.Dot(out, v[1:]) }},
		{badLengths, func() { m.Axpy(1, out, v[1:]) }},
		{badVector, func() { m.Step(v[1:], sgd(0.1, 0.9)) }},
		{badVector, func() { m.Step(nil, sgd(0.1, 0.9)) }},
	} {
		func() {
			defer func() {
				if got := recover(); got != c.want {
					t.Errorf("panic %v, want %q", got, c.want)
				}
			}()
			c.call()
			t.Errorf("no panic, want %q", c.want)
		}()
	}
	if plain.Loss() != 0 || plain.Correct() != -1 {
		t.Errorf("a program without a loss has loss %v, correct %d", plain.Loss(), plain.Correct())
	}
}

// foreign is an instruction that no backend knows.
type foreign struct{ program.Instr }

func TestNewNamesWhatIsWrong(t *testing.T) {
	size := each(4)
	for _, c := range []struct {
		name  string
		build func(b *builder)
		want  []string
	}{
		{"unknown instruction", func(b *builder) {
			b.add(program.Gradient, &program.Copy{Out: b.temp(size), X: b.input(size), Size: size}, foreign{&program.Fill{Out: b.temp(size)}})
		}, []string{"gradient instruction 1", "cpu.foreign"}},
		{"wrong size", func(b *builder) {
			b.add(program.Forward, &program.Copy{Out: b.temp(size), X: b.input(each(5)), Size: size})
		}, []string{"forward instruction 0", "n·5", "n·4"}},
		{"wrong type", func(b *builder) {
			b.add(program.Forward, &program.Copy{Out: b.index(size), X: b.input(size), Size: size})
		}, []string{"element type"}},
		{"n²", func(b *builder) {
			b.add(program.Forward, &program.MatMul{Out: b.temp(size), A: b.input(size), B: b.input(size), M: each(1), N: each(1), K: whole(4), TransB: true, Epilogue: program.NoEpilogue})
		}, []string{"square of the batch size"}},
		{"third derivative", func(b *builder) {
			b.add(program.Forward, &program.Unary{Func: program.Tanh, Order: 3, Out: b.temp(size), X: b.input(size), G: program.None, Size: size})
		}, []string{"derivative 3 of tanh"}},
		{"from output", func(b *builder) {
			b.add(program.Forward, &program.Unary{Func: program.GELU, Order: 1, FromOutput: true, Out: b.temp(size), X: b.input(size), G: program.None, Size: size})
		}, []string{"gelu", "output"}},
		{"window", func(b *builder) {
			g := program.PoolGeom{C: 1, InH: 2, InW: 2, OutH: 2, OutW: 1, KH: 2, KW: 2, StrideH: 1, StrideW: 1}
			b.add(program.Forward, &program.AvgPool{Geom: g, Out: b.temp(each(2)), X: b.input(size)})
		}, []string{"1×1 outputs, not 2×1"}},
		{"parameter outside", func(b *builder) {
			theta, _, _, _, _ := b.param(4)
			b.Buffer(theta).Offset = 1
			b.add(program.Forward, &program.Copy{Out: b.temp(whole(4)), X: theta, Size: whole(4)})
		}, []string{"elements 1 to 5 of a vector of 4"}},
		{"input role", func(b *builder) { b.Inputs = append(b.Inputs, b.temp(size)) }, []string{"role temp"}},
	} {
		b := newBuilder()
		c.build(b)
		_, err := New[float32](&b.Program, Options{Capacity: 2})
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		for _, w := range append(c.want, "cpu: ") {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q does not say %q", c.name, err, w)
			}
		}
	}
	for _, o := range []Options{{}, {Capacity: -1}, {Capacity: 1, Threads: -1}} {
		if _, err := New[float64](&newBuilder().Program, o); err == nil || !strings.HasPrefix(err.Error(), "cpu: ") {
			t.Errorf("options %+v: error %v", o, err)
		}
	}
}

func TestNewRefusesAPathThatIsNotThere(t *testing.T) {
	t.Setenv(kernel.PathVariable, "sse9")
	if _, err := New[float32](smallNetwork(), Options{Capacity: 1}); err == nil || !strings.Contains(err.Error(), "sse9") {
		t.Errorf("%s=sse9: error %v", kernel.PathVariable, err)
	}
	none := kernel.Path(200)
	if _, err := New[float32](smallNetwork(), Options{Capacity: 1, Path: &none}); err == nil {
		t.Error("path 200: no error")
	}
	portable := kernel.Portable
	m, err := New[float32](smallNetwork(), Options{Capacity: 1, Path: &portable})
	if err != nil {
		t.Fatalf("a path that is given wins over the environment: %v", err)
	}
	m.Close()
}

func TestNaNReachesTheLoss(t *testing.T) {
	m := prepared[float32](t, 5, 2)
	m.Theta()[0] = float32(math.NaN())
	m.Gradient(5, true)
	if !math.IsNaN(m.Loss()) {
		t.Errorf("loss %v with a weight that is NaN", m.Loss())
	}
}

func TestClosingTwiceDoesNothing(t *testing.T) {
	m, err := New[float64](smallNetwork(), Options{Capacity: 2, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	m.Gradient(2, true)
	m.Close()
	m.Close()
}
