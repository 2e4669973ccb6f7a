package op_test

import (
	"math"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"sgflow/engine/op"
)

var poolCases = map[string]op.PoolGeom{
	"even":       {Batch: 2, C: 2, InH: 4, InW: 4, KH: 2, KW: 2, StrideH: 2, StrideW: 2},
	"dropped":    {Batch: 1, C: 2, InH: 5, InW: 7, KH: 2, KW: 3, StrideH: 2, StrideW: 3},
	"overlap":    {Batch: 1, C: 1, InH: 5, InW: 4, KH: 3, KW: 2, StrideH: 1, StrideW: 1},
	"padded":     {Batch: 2, C: 1, InH: 3, InW: 5, KH: 3, KW: 2, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1},
	"whole":      {Batch: 1, C: 3, InH: 3, InW: 2, KH: 3, KW: 2, StrideH: 3, StrideW: 2},
	"gaps":       {Batch: 1, C: 1, InH: 7, InW: 7, KH: 1, KW: 2, StrideH: 3, StrideW: 4},
	"one window": {Batch: 1, C: 1, InH: 1, InW: 1, KH: 1, KW: 1, StrideH: 1, StrideW: 1},
}

func TestMaxPoolTakesTheFirstOfTiesAndNeverPadding(t *testing.T) {
	g := op.PoolGeom{Batch: 1, C: 1, InH: 2, InW: 3, KH: 2, KW: 2, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1}
	x := dense([]float64{-1, -1, -2, -3, -1, -1}, 1, 1, 2, 3)
	y, shape := evaluate(t, op.MaxPool{Geom: g}, x)
	if !shape.Eq([]int{1, 1, 3, 4}) {
		t.Fatalf("shape %v", shape)
	}
	wantClose(t, "forward", y, []float64{-1, -1, -1, -2, -1, -1, -1, -1, -3, -1, -1, -1}, 0)
	// Scatter 1 for each window: counts how often each element wins.
	ones := make([]float64, 12)
	for i := range ones {
		ones[i] = 1
	}
	dx, _ := evaluate(t, op.MaxPool{Dir: op.PoolScatter, Geom: g}, x, dense(ones, 1, 1, 3, 4))
	wantClose(t, "scatter", dx, []float64{4, 2, 1, 1, 2, 2}, 0)
	u, _ := evaluate(t, op.MaxPool{Dir: op.PoolGather, Geom: g}, x, dense([]float64{0, 1, 2, 3, 4, 5}, 1, 1, 2, 3))
	wantClose(t, "gather", u, []float64{0, 0, 1, 2, 0, 0, 1, 5, 3, 4, 4, 5}, 0)
}

func TestMaxPoolDropsWindowsThatDoNotFit(t *testing.T) {
	g := op.PoolGeom{Batch: 1, C: 1, InH: 3, InW: 5, KH: 2, KW: 2, StrideH: 2, StrideW: 2}
	y, shape := evaluate(t, op.MaxPool{Geom: g}, dense([]float64{
		1, 2, 3, 4, 99,
		5, 6, 7, 8, 99,
		99, 99, 99, 99, 99}, 1, 1, 3, 5))
	if !shape.Eq([]int{1, 1, 1, 2}) {
		t.Errorf("shape %v", shape)
	}
	wantClose(t, "y", y, []float64{6, 8}, 0)
}

func TestMaxPoolPassesNaNOn(t *testing.T) {
	g := op.PoolGeom{Batch: 1, C: 1, InH: 1, InW: 4, KH: 1, KW: 2, StrideH: 1, StrideW: 2}
	y, _ := evaluate(t, op.MaxPool{Geom: g}, dense([]float64{1, math.NaN(), math.Inf(-1), math.Inf(-1)}, 1, 1, 1, 4))
	if !math.IsNaN(y[0]) || !math.IsInf(y[1], -1) {
		t.Errorf("y = %v, want NaN, -Inf", y)
	}
}

func TestAvgPoolCountsPadding(t *testing.T) {
	g := op.PoolGeom{Batch: 1, C: 1, InH: 2, InW: 2, KH: 2, KW: 2, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}
	y, _ := evaluate(t, op.AvgPool{Geom: g}, dense([]float64{4, 8, 12, 16}, 1, 1, 2, 2))
	wantClose(t, "y", y, []float64{1, 2, 3, 4}, 0)
}

func TestPoolDerivatives(t *testing.T) {
	for name, g := range poolCases {
		r := source(5)
		x, y, u := leaf(r, g.XShape()...), leaf(r, g.YShape()...), leaf(r, g.XShape()...)
		for what, c := range map[string]struct {
			o  G.Op
			in []input
		}{
			"max forward": {op.MaxPool{Geom: g}, []input{x}},
			"max scatter": {op.MaxPool{Dir: op.PoolScatter, Geom: g}, []input{x, y}},
			"max gather":  {op.MaxPool{Dir: op.PoolGather, Geom: g}, []input{x, u}},
			"avg forward": {op.AvgPool{Geom: g}, []input{x}},
			"avg scatter": {op.AvgPool{Dir: op.PoolScatter, Geom: g}, []input{y}},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				checkDerivatives(t, c.in, func(t *testing.T, in G.Nodes) *G.Node {
					return curved(t, must(t)(op.Apply(c.o, in...)))
				})
			})
		}
	}
}

func TestPoolMembersAreAdjoint(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := op.PoolGeom{
			Batch: size(rt, "batch", 1, 2), C: size(rt, "c", 1, 2), KH: size(rt, "kh", 1, 4), KW: size(rt, "kw", 1, 4),
			StrideH: size(rt, "sh", 1, 3), StrideW: size(rt, "sw", 1, 3),
		}
		g.PadH, g.PadW = size(rt, "ph", 0, g.KH/2), size(rt, "pw", 0, g.KW/2)
		g.InH, g.InW = size(rt, "inH", max(1, g.KH-2*g.PadH), 8), size(rt, "inW", max(1, g.KW-2*g.PadW), 8)
		r := source(rapid.Uint64().Draw(rt, "seed"))
		draw := func(s tensor.Shape) ([]float64, G.Value) {
			d := normals(r, s.TotalSize())
			return d, dense(d, s...)
		}
		_, x := draw(g.XShape())
		u, uv := draw(g.XShape())
		y, yv := draw(g.YShape())
		gather, _ := evaluate(t, op.MaxPool{Dir: op.PoolGather, Geom: g}, x, uv)
		scatter, _ := evaluate(t, op.MaxPool{Dir: op.PoolScatter, Geom: g}, x, yv)
		wantClose(t, "max "+g.String(), []float64{dot(gather, y)}, []float64{dot(u, scatter)}, 1e-13)
		avg, _ := evaluate(t, op.AvgPool{Geom: g}, uv)
		spread, _ := evaluate(t, op.AvgPool{Dir: op.PoolScatter, Geom: g}, yv)
		wantClose(t, "avg "+g.String(), []float64{dot(avg, y)}, []float64{dot(u, spread)}, 1e-13)
	})
}

func TestPoolRejectsGeometriesThatDoNotFit(t *testing.T) {
	good := poolCases["dropped"]
	for name, change := range map[string]func(*op.PoolGeom){
		"window too big": func(g *op.PoolGeom) { g.KH = 6 },
		"padding":        func(g *op.PoolGeom) { g.PadH = 2 },
		"no stride":      func(g *op.PoolGeom) { g.StrideW = 0 },
		"negative pad":   func(g *op.PoolGeom) { g.PadW = -1 },
	} {
		g := good
		change(&g)
		if _, err := (op.MaxPool{Geom: g}).InferShape(good.XShape()); err == nil {
			t.Errorf("max, %s: no error", name)
		}
		if _, err := (op.AvgPool{Geom: g}).InferShape(good.XShape()); err == nil {
			t.Errorf("avg, %s: no error", name)
		}
	}
	if _, err := (op.AvgPool{Dir: op.PoolGather, Geom: good}).InferShape(good.XShape()); err == nil {
		t.Error("average pooling has no gather: no error")
	}
}
