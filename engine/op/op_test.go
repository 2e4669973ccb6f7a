package op_test

import (
	"hash/fnv"
	"math"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/op"
)

// sample is an op with the shapes of inputs that it takes.
type sample struct {
	op     G.SDOp
	shapes []tensor.Shape
}

// samples has every op, and for each field a pair that differs in it alone.
func samples(t testing.TB) []sample {
	t.Helper()
	s := func(n ...int) tensor.Shape { return n }
	out := []sample{
		{op.MatMul{}, []tensor.Shape{s(2, 3), s(3, 4)}},
		{op.MatMul{TransA: true}, []tensor.Shape{s(3, 2), s(3, 4)}},
		{op.MatMul{TransB: true}, []tensor.Shape{s(2, 3), s(4, 3)}},
		{op.Transpose{}, []tensor.Shape{s(2, 3)}},
		{op.Softmax{}, []tensor.Shape{s(2, 3)}},
		{op.LogSoftmax{}, []tensor.Shape{s(2, 3)}},
		{op.Scale{Factor: 0.1}, []tensor.Shape{s(2, 3)}},
		{op.Scale{Factor: math.Nextafter(0.1, 1)}, []tensor.Shape{s(2, 3)}},
		{op.Reshape{Shape: dims(t, 3, 2)}, []tensor.Shape{s(2, 3)}},
		{op.Reshape{Shape: dims(t, 6, 1)}, []tensor.Shape{s(2, 3)}},
		{op.Reshape{Shape: dims(t, 6)}, []tensor.Shape{s(2, 3)}},
	}
	for _, k := range []op.BinaryKind{op.Add, op.Sub, op.Mul, op.Div} {
		out = append(out, sample{op.Binary{Kind: k}, []tensor.Shape{s(2, 3), s(2, 3)}})
	}
	for f := range allFuncs {
		for order := 0; order <= f.MaxOrder(); order++ {
			out = append(out, sample{op.Unary{Fn: f, Order: order}, []tensor.Shape{s(2, 3)}})
		}
	}
	for _, k := range []op.LossKind{op.CrossEntropy, op.MSE} {
		out = append(out, sample{op.Loss{Kind: k}, []tensor.Shape{s(3, 2), s(3, 2)}})
		for order := 1; order <= 2; order++ {
			out = append(out, sample{op.Loss{Kind: k, Order: order}, []tensor.Shape{s(3, 2), s(3, 2), s()}})
		}
	}
	for _, sum := range []op.Sum{
		{Shape: dims(t, 2, 3), Axes: op.AxesOf(0)}, {Shape: dims(t, 2, 3), Axes: op.AxesOf(1)},
		{Shape: dims(t, 2, 4), Axes: op.AxesOf(0)}, {Shape: dims(t, 2, 3), Axes: op.AxesOf(0), Mean: true},
		{Shape: dims(t, 2, 3, 1), Axes: op.AxesOf(0)}, {Shape: dims(t, 2, 3), Axes: op.AxesOf(0, 1)},
	} {
		small, err := sum.InferShape(sum.Shape.Shape())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sample{sum, []tensor.Shape{sum.Shape.Shape()}}, sample{op.Broadcast(sum), []tensor.Shape{small}})
	}
	base := op.ConvGeom{Batch: 2, InC: 2, InH: 9, InW: 9, OutC: 2, KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadH: 2, PadW: 2, DilH: 2, DilW: 2}
	convs := []op.ConvGeom{base}
	for _, field := range []func(*op.ConvGeom) *int{
		func(g *op.ConvGeom) *int { return &g.Batch }, func(g *op.ConvGeom) *int { return &g.InC },
		func(g *op.ConvGeom) *int { return &g.InH }, func(g *op.ConvGeom) *int { return &g.InW },
		func(g *op.ConvGeom) *int { return &g.OutC }, func(g *op.ConvGeom) *int { return &g.KH },
		func(g *op.ConvGeom) *int { return &g.KW }, func(g *op.ConvGeom) *int { return &g.StrideH },
		func(g *op.ConvGeom) *int { return &g.StrideW }, func(g *op.ConvGeom) *int { return &g.PadH },
		func(g *op.ConvGeom) *int { return &g.PadW }, func(g *op.ConvGeom) *int { return &g.DilH },
		func(g *op.ConvGeom) *int { return &g.DilW },
	} {
		g := base
		*field(&g)++
		convs = append(convs, g)
	}
	for _, g := range convs {
		x, w, y := g.XShape(), g.WShape(), g.YShape()
		out = append(out, sample{op.Conv{Geom: g}, []tensor.Shape{x, w}},
			sample{op.Conv{Dir: op.ConvInput, Geom: g}, []tensor.Shape{y, w}},
			sample{op.Conv{Dir: op.ConvWeight, Geom: g}, []tensor.Shape{x, y}})
	}
	pool := op.PoolGeom{Batch: 1, C: 1, InH: 7, InW: 7, KH: 4, KW: 4, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}
	pools := []op.PoolGeom{pool}
	for _, field := range []func(*op.PoolGeom) *int{
		func(g *op.PoolGeom) *int { return &g.Batch }, func(g *op.PoolGeom) *int { return &g.C },
		func(g *op.PoolGeom) *int { return &g.InH }, func(g *op.PoolGeom) *int { return &g.InW },
		func(g *op.PoolGeom) *int { return &g.KH }, func(g *op.PoolGeom) *int { return &g.KW },
		func(g *op.PoolGeom) *int { return &g.StrideH }, func(g *op.PoolGeom) *int { return &g.StrideW },
		func(g *op.PoolGeom) *int { return &g.PadH }, func(g *op.PoolGeom) *int { return &g.PadW },
	} {
		g := pool
		*field(&g)++
		pools = append(pools, g)
	}
	for _, g := range pools {
		x, y := g.XShape(), g.YShape()
		out = append(out, sample{op.MaxPool{Geom: g}, []tensor.Shape{x}},
			sample{op.MaxPool{Dir: op.PoolScatter, Geom: g}, []tensor.Shape{x, y}},
			sample{op.MaxPool{Dir: op.PoolGather, Geom: g}, []tensor.Shape{x, x}},
			sample{op.AvgPool{Geom: g}, []tensor.Shape{x}},
			sample{op.AvgPool{Dir: op.PoolScatter, Geom: g}, []tensor.Shape{y}})
	}
	return out
}

func TestEqualHashesOnlyForEqualOps(t *testing.T) {
	all := samples(t)
	sum := func(o G.Op) uint32 {
		h := fnv.New32a()
		o.WriteHash(h)
		return h.Sum32()
	}
	for i, a := range all {
		for j, b := range all {
			same := i == j
			if (a.op == b.op) != same || (a.op.Hashcode() == b.op.Hashcode()) != same ||
				(a.op.String() == b.op.String()) != same || (sum(a.op) == sum(b.op)) != same {
				t.Errorf("%v and %v: equal %v, hashes %x %x", a.op, b.op, a.op == b.op, a.op.Hashcode(), b.op.Hashcode())
			}
		}
	}
}

func TestOpsKeepGorgoniasContract(t *testing.T) {
	for _, s := range samples(t) {
		if got := len(s.op.DiffWRT(len(s.shapes))); got != len(s.shapes) || s.op.Arity() != len(s.shapes) {
			t.Errorf("%v: DiffWRT of %d, arity %d, want %d", s.op, got, s.op.Arity(), len(s.shapes))
		}
		if s.op.ReturnsPtr() || s.op.CallsExtern() || s.op.OverwritesInput() != -1 {
			t.Errorf("%v: claims to alias", s.op)
		}
	}
}

// The sample inputs are positive, so that every function is defined; float32
// inputs are rounded first, so only the result's rounding of 6e-8 is left.
func TestFloat32AgreesWithFloat64(t *testing.T) {
	for _, s := range samples(t) {
		r := source(15)
		var single, double []G.Value
		for i, shape := range s.shapes {
			x := make([]float64, shape.TotalSize())
			for j := range x {
				x[j] = float64(float32(0.1 + r.Float64()))
				if l, ok := s.op.(op.Loss); ok && l.Order < 2 && i == 1 {
					x[j] = float64(j % 2) // rows 0 1
				}
			}
			small := make([]float32, len(x))
			for j := range x {
				small[j] = float32(x[j])
			}
			double = append(double, dense(x, shape...))
			if len(shape) == 0 {
				single = append(single, G.NewF32(small[0]))
			} else {
				single = append(single, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(small)))
			}
		}
		want, _ := evaluate(t, s.op, double...)
		v, err := s.op.Do(single...)
		if err != nil {
			t.Fatal(err)
		}
		if v.Dtype() != tensor.Float32 {
			t.Errorf("%v: %v from float32", s.op, v.Dtype())
		}
		wantClose(t, s.op.String(), numbers(t, v), want, 6e-8)
	}
}

func TestDoLeavesInputsAlone(t *testing.T) {
	for _, s := range samples(t) {
		var in []G.Value
		var before [][]float64
		for i, shape := range s.shapes {
			x := make([]float64, shape.TotalSize())
			for j := range x {
				x[j] = float64((i + j) % 2)
			}
			in, before = append(in, dense(x, shape...)), append(before, slices.Clone(x))
		}
		evaluate(t, s.op, in...)
		for i := range in {
			if !slices.Equal(numbers(t, in[i]), before[i]) {
				t.Errorf("%v changed input %d", s.op, i)
			}
		}
	}
}

func TestDoRejectsWhatItCannotRead(t *testing.T) {
	view, err := tensor.New(tensor.WithShape(2, 3), tensor.WithBacking(make([]float64, 6))).Slice(nil, tensor.S(0, 2))
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string][]G.Value{
		"nil":          {nil},
		"none":         {},
		"ints":         {tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]int{1, 2, 3, 4}))},
		"a view":       {view},
		"column-major": {tensor.New(tensor.WithShape(2, 2), tensor.AsFortran([]float64{1, 2, 3, 4}))},
	} {
		if _, err := (op.Softmax{}).Do(in...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := (op.Binary{}).Do(dense([]float64{1}, 1), tensor.New(tensor.WithShape(1), tensor.WithBacking([]float32{1}))); err == nil {
		t.Error("mixed dtypes: no error")
	}
}

func TestApplyRejectsBadInputs(t *testing.T) {
	g := G.NewGraph()
	x := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 2), G.WithName("x"))
	for name, in := range map[string]G.Nodes{
		"none":          {},
		"nil":           {x, nil},
		"other graph":   {x, G.NewMatrix(G.NewGraph(), tensor.Float64, G.WithShape(2, 2), G.WithName("y"))},
		"other dtype":   {x, G.NewMatrix(g, tensor.Float32, G.WithShape(2, 2), G.WithName("y"))},
		"integers":      {x, G.NewMatrix(g, tensor.Int, G.WithShape(2, 2), G.WithName("k"))},
		"too few":       {x},
		"too many":      {x, x, x},
		"scalar, not 2": {x, G.NewScalar(g, tensor.Float64, G.WithName("s"))},
	} {
		if _, err := op.Apply(op.Binary{}, in...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
