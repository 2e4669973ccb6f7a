package op_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/op"
)

// targets returns n×c rows that add up to 1, the first one-hot.
func targets(n, c int) []float64 {
	y := make([]float64, n*c)
	for i := range n {
		for j := range c {
			y[i*c+j] = float64((i*j)%5) / 100
			y[i*c+i%c] -= y[i*c+j]
		}
		y[i*c+i%c]++
		sum := 0.0
		for j := range c {
			sum += y[i*c+j]
		}
		y[i*c+i%c] += 1 - sum
	}
	return y
}

func TestLossValues(t *testing.T) {
	z := []float64{1, 2, 0, -1, 0.5, 3}
	y := []float64{0, 1, 0, 0.25, 0.25, 0.5}
	lse := func(r []float64) float64 { return math.Log(math.Exp(r[0]) + math.Exp(r[1]) + math.Exp(r[2])) }
	ce := (lse(z[:3]) - 2 + lse(z[3:]) - (-0.25 + 0.125 + 1.5)) / 2
	mse := (1 + 1 + 0 + 1.25*1.25 + 0.25*0.25 + 2.5*2.5) / 4
	for k, want := range map[op.LossKind]float64{op.CrossEntropy: ce, op.MSE: mse} {
		got, shape := evaluate(t, op.Loss{Kind: k}, dense(z, 2, 3), dense(y, 2, 3))
		if !shape.IsScalar() {
			t.Errorf("%v: shape %v", k, shape)
		}
		wantClose(t, k.String(), got, []float64{want}, 1e-15)
	}
}

func TestCrossEntropyOfHugeLogitsIsExact(t *testing.T) {
	got, _ := evaluate(t, op.Loss{}, dense([]float64{1e4, 0, -1e4}, 1, 3), dense([]float64{0, 1, 0}, 1, 3))
	wantClose(t, "loss", got, []float64{1e4}, 0)
	got, _ = evaluate(t, op.Loss{}, dense([]float64{0, math.Inf(-1)}, 1, 2), dense([]float64{1, 0}, 1, 2))
	wantClose(t, "loss with an impossible class", got, []float64{0}, 0)
}

func TestLossDerivatives(t *testing.T) {
	for _, k := range []op.LossKind{op.CrossEntropy, op.MSE} {
		for _, n := range []int{1, 4} {
			t.Run(fmt.Sprint(k, n), func(t *testing.T) {
				r := source(11)
				y := func(g *G.ExprGraph) *G.Node {
					return g.AddNode(G.NewConstant(dense(targets(n, 3), n, 3), G.WithName("y")))
				}
				z := leaf(r, n, 3)
				checkDerivatives(t, []input{z}, func(t *testing.T, in G.Nodes) *G.Node {
					return must(t)(k.Of(in[0], y(in[0].Graph())))
				})
				// A loss inside another function: g depends on z too.
				checkDerivatives(t, []input{z}, func(t *testing.T, in G.Nodes) *G.Node {
					return must(t)(op.Square.Of(must(t)(k.Of(in[0], y(in[0].Graph())))))
				})
				// First derivative of order 1 in z and g.
				checkGradient(t, []input{z, leaf(r)}, func(t *testing.T, in G.Nodes) *G.Node {
					return curved(t, must(t)(op.Apply(op.Loss{Kind: k, Order: 1}, in[0], y(in[0].Graph()), in[1])))
				})
			})
		}
	}
}

// checkGradient is the first half of checkDerivatives, by gorgonia.Grad alone,
// for losses whose second derivative is not implemented.
func checkGradient(t *testing.T, leaves []input, build net) {
	t.Helper()
	const h, tol = 1e-5, 2e-8
	g := G.NewGraph()
	params := make(G.Nodes, len(leaves))
	for i, l := range leaves {
		name := G.WithName(string(rune('a' + i)))
		if len(l.shape) == 0 {
			params[i] = G.NewScalar(g, tensor.Float64, name)
		} else {
			params[i] = G.NewTensor(g, tensor.Float64, len(l.shape), G.WithShape(l.shape...), name)
		}
	}
	loss := build(t, params)
	grads, err := G.Grad(loss, params...)
	if err != nil {
		t.Fatal(err)
	}
	var lv G.Value
	gv := make([]G.Value, len(grads))
	G.Read(loss, &lv)
	for i, n := range grads {
		G.Read(n, &gv[i])
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	run := func() float64 {
		for i, l := range leaves {
			if err := G.Let(params[i], dense(append([]float64{}, l.data...), l.shape...)); err != nil {
				t.Fatal(err)
			}
		}
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		vm.Reset()
		return numbers(t, lv)[0]
	}
	run()
	got := make([][]float64, len(gv))
	for i, v := range gv {
		got[i] = numbers(t, v)
	}
	for i, l := range leaves {
		fd := make([]float64, len(l.data))
		for j, x := range l.data {
			l.data[j] = x + h
			up := run()
			l.data[j] = x - h
			fd[j] = (up - run()) / (2 * h)
			l.data[j] = x
		}
		wantClose(t, "gradient of "+params[i].Name(), got[i], fd, tol)
	}
}

func TestCrossEntropyRejectsTargetsThatAreNoProbabilities(t *testing.T) {
	z := dense([]float64{1, 2, 3, 4}, 2, 2)
	for _, y := range [][]float64{{1, 0, 1, 1}, {1, 0, 0, 0}, {1, 0, math.NaN(), 0}} {
		_, err := op.Loss{}.Do(z, dense(y, 2, 2))
		if err == nil || !strings.Contains(err.Error(), "row 1") {
			t.Errorf("%v: error %v", y, err)
		}
	}
}

func TestThirdDerivativeOfCrossEntropyIsAnErrorNotZero(t *testing.T) {
	g := G.NewGraph()
	z := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("z"))
	u := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("u"))
	one := G.NewScalar(g, tensor.Float64, G.WithName("g"))
	loss := curved(t, must(t)(op.Apply(op.Loss{Order: 2}, z, u, one)))
	if _, err := op.Differentiate(loss, G.Nodes{z}); err == nil || !strings.Contains(err.Error(), "third derivative") {
		t.Errorf("error %v", err)
	}
}

func TestSoftmaxAndLogSoftmaxValues(t *testing.T) {
	z := dense([]float64{1, 2, 3, 1000, 0, 1000}, 2, 3)
	e := []float64{math.Exp(1), math.Exp(2), math.Exp(3)}
	s := e[0] + e[1] + e[2]
	p, _ := evaluate(t, op.Softmax{}, z)
	wantClose(t, "softmax", p, []float64{e[0] / s, e[1] / s, e[2] / s, 0.5, 0, 0.5}, 1e-15)
	l, _ := evaluate(t, op.LogSoftmax{}, z)
	wantClose(t, "log-softmax", l, []float64{1 - math.Log(s), 2 - math.Log(s), 3 - math.Log(s), -math.Ln2, -1000 - math.Ln2, -math.Ln2}, 1e-15)
}

func TestSoftmaxDerivatives(t *testing.T) {
	for _, o := range []G.Op{op.Softmax{}, op.LogSoftmax{}} {
		for _, n := range []int{1, 3} {
			t.Run(fmt.Sprint(o, n), func(t *testing.T) {
				checkDerivatives(t, []input{leaf(source(12), n, 4)}, func(t *testing.T, in G.Nodes) *G.Node {
					return curved(t, must(t)(op.Apply(o, in[0])))
				})
			})
		}
	}
}

// The loss op and its definition out of LogSoftmax, Mul, Sum and Scale agree in
// value, gradient and Hessian-vector product.
func TestCrossEntropyEqualsItsComposition(t *testing.T) {
	const n, c = 3, 4
	z := leaf(source(13), n, c)
	y := func(g *G.ExprGraph) *G.Node {
		return g.AddNode(G.NewConstant(dense(targets(n, c), n, c), G.WithName("y")))
	}
	fused := compile(t, []input{z}, func(t *testing.T, in G.Nodes) *G.Node {
		return must(t)(op.CrossEntropy.Of(in[0], y(in[0].Graph())))
	})
	composed := compile(t, []input{z}, func(t *testing.T, in G.Nodes) *G.Node {
		m := must(t)
		s := m(op.Apply(op.Sum{Shape: dims(t, n, c), Axes: op.AllAxes(2)}, m(op.Mul.Of(y(in[0].Graph()), m(op.Apply(op.LogSoftmax{}, in[0]))))))
		return m(op.Apply(op.Scale{Factor: -1.0 / n}, s))
	})
	v := [][]float64{normals(source(14), n*c)}
	l1, g1, h1 := fused.run(v)
	l2, g2, h2 := composed.run(v)
	// The same few operations in another order.
	wantClose(t, "loss", []float64{l1}, []float64{l2}, 1e-15)
	wantClose(t, "gradient", g1[0], g2[0], 1e-15)
	wantClose(t, "Hv", h1[0], h2[0], 1e-15)
}
