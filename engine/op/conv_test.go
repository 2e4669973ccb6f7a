package op_test

import (
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"sgflow/engine/op"
)

// convCases are geometries with strides, padding, dilation, odd sizes,
// non-square kernels and a batch of one.
var convCases = map[string]op.ConvGeom{
	"plain":     {Batch: 2, InC: 2, InH: 4, InW: 5, OutC: 3, KH: 3, KW: 3, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1},
	"stride":    {Batch: 2, InC: 1, InH: 7, InW: 6, OutC: 2, KH: 3, KW: 2, StrideH: 2, StrideW: 3, DilH: 1, DilW: 1},
	"padding":   {Batch: 1, InC: 2, InH: 3, InW: 3, OutC: 2, KH: 3, KW: 1, StrideH: 1, StrideW: 1, PadH: 2, PadW: 1, DilH: 1, DilW: 1},
	"dilation":  {Batch: 1, InC: 1, InH: 7, InW: 8, OutC: 2, KH: 2, KW: 3, StrideH: 1, StrideW: 2, PadH: 1, PadW: 0, DilH: 3, DilW: 2},
	"pointwise": {Batch: 3, InC: 2, InH: 1, InW: 2, OutC: 1, KH: 1, KW: 1, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1},
}

// correlate is the definition, element by element over an explicitly padded x.
func correlate(g op.ConvGeom, x, w []float64) []float64 {
	ph, pw := g.InH+2*g.PadH, g.InW+2*g.PadW
	padded := make([]float64, g.Batch*g.InC*ph*pw)
	for i, v := range x {
		col, rest := i%g.InW, i/g.InW
		row, plane := rest%g.InH, rest/g.InH
		padded[(plane*ph+row+g.PadH)*pw+col+g.PadW] = v
	}
	var y []float64
	for b := range g.Batch {
		for k := range g.OutC {
			for top := 0; top+g.DilH*(g.KH-1) < ph; top += g.StrideH {
				for left := 0; left+g.DilW*(g.KW-1) < pw; left += g.StrideW {
					sum := 0.0
					for e := range g.InC * g.KH * g.KW {
						s, r, c := e%g.KW, e/g.KW%g.KH, e/g.KW/g.KH
						sum += w[k*g.InC*g.KH*g.KW+e] * padded[((b*g.InC+c)*ph+top+r*g.DilH)*pw+left+s*g.DilW]
					}
					y = append(y, sum)
				}
			}
		}
	}
	return y
}

func TestConvForwardIsCrossCorrelation(t *testing.T) {
	for name, g := range convCases {
		r := source(3)
		x, w := normals(r, g.XShape().TotalSize()), normals(r, g.WShape().TotalSize())
		got, shape := evaluate(t, op.Conv{Geom: g}, dense(x, g.XShape()...), dense(w, g.WShape()...))
		if !shape.Eq(g.YShape()) {
			t.Errorf("%s: shape %v, want %v", name, shape, g.YShape())
		}
		// Sums of at most 18 products of order one, in another order.
		wantClose(t, name, got, correlate(g, x, w), 1e-14)
	}
}

func TestConvFamilyDerivatives(t *testing.T) {
	for name, g := range convCases {
		for _, dir := range []op.ConvDir{op.ConvForward, op.ConvInput, op.ConvWeight} {
			t.Run(name+"/"+dir.String(), func(t *testing.T) {
				first, second := g.XShape(), g.WShape()
				if dir == op.ConvInput {
					first = g.YShape()
				}
				if dir == op.ConvWeight {
					second = g.YShape()
				}
				r := source(4)
				checkDerivatives(t, []input{leaf(r, first...), leaf(r, second...)}, func(t *testing.T, in G.Nodes) *G.Node {
					return curved(t, must(t)(op.Apply(op.Conv{Dir: dir, Geom: g}, in[0], in[1])))
				})
			})
		}
	}
}

// size draws an integer from lo..hi.
func size(t *rapid.T, name string, lo, hi int) int { return rapid.IntRange(lo, hi).Draw(t, name) }

func drawConv(t *rapid.T) op.ConvGeom {
	g := op.ConvGeom{
		Batch: size(t, "batch", 1, 2), InC: size(t, "inC", 1, 3), OutC: size(t, "outC", 1, 3),
		KH: size(t, "kh", 1, 3), KW: size(t, "kw", 1, 3), StrideH: size(t, "sh", 1, 3), StrideW: size(t, "sw", 1, 3),
		PadH: size(t, "ph", 0, 3), PadW: size(t, "pw", 0, 3), DilH: size(t, "dh", 1, 3), DilW: size(t, "dw", 1, 3),
	}
	g.InH = size(t, "inH", max(1, g.DilH*(g.KH-1)+1-2*g.PadH), 8)
	g.InW = size(t, "inW", max(1, g.DilW*(g.KW-1)+1-2*g.PadW), 8)
	return g
}

// The three maps are one trilinear form: ⟨forward(x,w), y⟩ = ⟨x, input(y,w)⟩ =
// ⟨w, weight(x,y)⟩.
func TestConvMembersAreAdjoint(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := drawConv(rt)
		r := source(rapid.Uint64().Draw(rt, "seed"))
		draw := func(s tensor.Shape) ([]float64, G.Value) {
			d := normals(r, s.TotalSize())
			return d, dense(d, s...)
		}
		x, xv := draw(g.XShape())
		w, wv := draw(g.WShape())
		y, yv := draw(g.YShape())
		fwd, _ := evaluate(t, op.Conv{Dir: op.ConvForward, Geom: g}, xv, wv)
		dx, _ := evaluate(t, op.Conv{Dir: op.ConvInput, Geom: g}, yv, wv)
		dw, _ := evaluate(t, op.Conv{Dir: op.ConvWeight, Geom: g}, xv, yv)
		// Up to a few thousand products of order one, summed in three orders.
		got := []float64{dot(x, dx), dot(w, dw)}
		wantClose(t, g.String(), got, []float64{dot(fwd, y), dot(fwd, y)}, 1e-12)
	})
}

func TestConvRejectsGeometriesThatDoNotFit(t *testing.T) {
	good := convCases["plain"]
	for name, change := range map[string]func(*op.ConvGeom){
		"kernel too big": func(g *op.ConvGeom) { g.KH = 5 },
		"dilated":        func(g *op.ConvGeom) { g.DilW = 3 },
		"no stride":      func(g *op.ConvGeom) { g.StrideW = 0 },
		"negative pad":   func(g *op.ConvGeom) { g.PadH = -1 },
		"no batch":       func(g *op.ConvGeom) { g.Batch = 0 },
	} {
		g := good
		change(&g)
		if _, err := (op.Conv{Geom: g}).InferShape(good.XShape(), good.WShape()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := (op.Conv{Geom: good, Dir: 7}).InferShape(good.XShape(), good.WShape()); err == nil {
		t.Error("unknown direction: no error")
	}
	if _, err := (op.Conv{Geom: good}).InferShape(good.XShape(), good.YShape()); err == nil {
		t.Error("wrong weight shape: no error")
	}
}
