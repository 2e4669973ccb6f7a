package models_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/op"
	"sgflow/models"
)

func TestParametersBearPyTorchNamesAndShapes(t *testing.T) {
	net, err := parse(t, "cnn").Build(models.BuildOptions{Input: mnist, Classes: 10, Batch: 4})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range net.Params {
		if p.Node.Name() != p.Name || !p.Node.Shape().Eq(p.Shape) || p.Node.Dtype() != tensor.Float32 || p.Node.Value() != nil {
			t.Errorf("%s: node %v of shape %v", p.Name, p.Node, p.Node.Shape())
		}
		got = append(got, fmt.Sprint(p.Name, p.Shape))
	}
	want := []string{"conv1.weight[16 1 5 5]", "conv1.bias[16]", "conv2.weight[32 16 5 5]", "conv2.bias[32]", "fc1.weight[10 512]", "fc1.bias[10]"}
	if !slices.Equal(got, want) {
		t.Errorf("parameters %v, want %v", got, want)
	}
	if !net.X.Shape().Eq([]int{4, 784}) || !net.Y.Shape().Eq([]int{4, 10}) || !net.Logits.Shape().Eq([]int{4, 10}) || !net.Loss.IsScalar() {
		t.Errorf("x %v, y %v, logits %v, loss %v", net.X.Shape(), net.Y.Shape(), net.Logits.Shape(), net.Loss.Shape())
	}
}

func TestBuildRejects(t *testing.T) {
	good := models.BuildOptions{Input: mnist, Classes: 10, Batch: 4}
	for name, change := range map[string]func(*models.BuildOptions){
		"batch":   func(b *models.BuildOptions) { b.Batch = 0 },
		"dtype":   func(b *models.BuildOptions) { b.Dtype = tensor.Int },
		"classes": func(b *models.BuildOptions) { b.Classes = 11 },
		"input":   func(b *models.BuildOptions) { b.Input.H = 27 },
		"loss":    func(b *models.BuildOptions) { b.Loss = 9 },
	} {
		b := good
		change(&b)
		if _, err := parse(t, "mlp").Build(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// tensors returns the initial parameters by name.
func tensors(t testing.TB, s models.Spec, input models.Shape, classes int) map[string][]float64 {
	t.Helper()
	list, err := s.Init(7, input, classes, op.CrossEntropy)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]float64{}
	for i, p := range list {
		for j := range p.Data { // biases too
			p.Data[j] += 0.1 * math.Sin(float64(3*i+j))
		}
		out[p.Name] = p.Data
	}
	return out
}

// rows returns n fixed inputs and one-hot targets.
func rows(n, size, classes int) (x, y []float64) {
	x, y = make([]float64, n*size), make([]float64, n*classes)
	for i := range x {
		x[i] = math.Sin(float64(i*i) + 0.5)
	}
	for i := range n {
		y[i*classes+(2*i+1)%classes] = 1
	}
	return x, y
}

// forward runs a network on the TapeMachine and returns logits and loss.
func forward(t *testing.T, net *models.Network, x, y []float64, params map[string][]float64) ([]float64, float64) {
	t.Helper()
	let := func(n *G.Node, data []float64) {
		if err := G.Let(n, tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(slices.Clone(data)))); err != nil {
			t.Fatal(err)
		}
	}
	let(net.X, x)
	let(net.Y, y)
	for _, p := range net.Params {
		let(p.Node, params[p.Name])
	}
	var logits, loss G.Value
	G.Read(net.Logits, &logits)
	G.Read(net.Loss, &loss)
	vm := G.NewTapeMachine(net.Graph)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(logits.Data().([]float64)), loss.Data().(float64)
}

// denseLoop is y = W·x + b for one sample.
func denseLoop(x, w, b []float64) []float64 {
	y := slices.Clone(b)
	for o := range b {
		for i, v := range x {
			y[o] += w[o*len(x)+i] * v
		}
	}
	return y
}

func each(x []float64, f func(float64) float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = f(v)
	}
	return y
}

func relu(x float64) float64 { return math.Max(0, x) }

// image is one sample with channels.
type image struct {
	c, h, w int
	data    []float64
}

// at is zero outside.
func (m image) at(c, i, j int) float64 {
	if i < 0 || i >= m.h || j < 0 || j >= m.w {
		return 0
	}
	return m.data[(c*m.h+i)*m.w+j]
}

func convLoop(x image, w, b []float64, k, stride, pad int) image {
	y := image{c: len(b), h: (x.h+2*pad-k)/stride + 1, w: (x.w+2*pad-k)/stride + 1}
	for o := range y.c {
		for i := range y.h {
			for j := range y.w {
				sum := b[o]
				for c := range x.c {
					for r := range k {
						for s := range k {
							sum += w[((o*x.c+c)*k+r)*k+s] * x.at(c, i*stride+r-pad, j*stride+s-pad)
						}
					}
				}
				y.data = append(y.data, sum)
			}
		}
	}
	return y
}

func poolLoop(x image, k, stride int, f func(window []float64) float64) image {
	y := image{c: x.c, h: (x.h-k)/stride + 1, w: (x.w-k)/stride + 1}
	for c := range y.c {
		for i := range y.h {
			for j := range y.w {
				var window []float64
				for r := range k {
					for s := range k {
						window = append(window, x.at(c, i*stride+r, j*stride+s))
					}
				}
				y.data = append(y.data, f(window))
			}
		}
	}
	return y
}

func mean(w []float64) float64 {
	sum := 0.0
	for _, v := range w {
		sum += v
	}
	return sum / float64(len(w))
}

// losses are the mean losses of logits by their definitions.
func losses(z, y []float64, classes int) map[op.LossKind]float64 {
	n := len(z) / classes
	ce, mse := 0.0, 0.0
	for i := range n {
		total := 0.0
		for j := range classes {
			total += math.Exp(z[i*classes+j])
		}
		for j := range classes {
			ce -= y[i*classes+j] * math.Log(math.Exp(z[i*classes+j])/total) / float64(n)
			mse += math.Pow(z[i*classes+j]-y[i*classes+j], 2) / 2 / float64(n)
		}
	}
	return map[op.LossKind]float64{op.CrossEntropy: ce, op.MSE: mse}
}

func TestForwardEqualsHandWrittenLoops(t *testing.T) {
	small, colour := models.Shape{C: 1, H: 2, W: 3}, models.Shape{C: 2, H: 9, W: 8}
	for _, c := range []struct {
		spec  string
		input models.Shape
		loop  func(x []float64, p map[string][]float64) []float64
	}{
		{"mlp:6-5-4-3", small, func(x []float64, p map[string][]float64) []float64 {
			h := each(denseLoop(x, p["fc1.weight"], p["fc1.bias"]), relu)
			h = each(denseLoop(h, p["fc2.weight"], p["fc2.bias"]), relu)
			return denseLoop(h, p["fc3.weight"], p["fc3.bias"])
		}},
		{"mlp:6-5-3,act=gelu", small, func(x []float64, p map[string][]float64) []float64 {
			gelu := func(x float64) float64 { return x / 2 * (1 + math.Erf(x/math.Sqrt2)) }
			return denseLoop(each(denseLoop(x, p["fc1.weight"], p["fc1.bias"]), gelu), p["fc2.weight"], p["fc2.bias"])
		}},
		{"cnn:conv3k3s2p1,tanh,maxpool2,conv4k2,relu,fc5,sigmoid,fc3", colour, func(x []float64, p map[string][]float64) []float64 {
			h := convLoop(image{2, 9, 8, x}, p["conv1.weight"], p["conv1.bias"], 3, 2, 1)
			h.data = each(h.data, math.Tanh)
			h = poolLoop(h, 2, 2, slices.Max[[]float64])
			h = convLoop(h, p["conv2.weight"], p["conv2.bias"], 2, 1, 0)
			f := denseLoop(each(h.data, relu), p["fc1.weight"], p["fc1.bias"])
			f = each(f, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) })
			return denseLoop(f, p["fc2.weight"], p["fc2.bias"])
		}},
		{"cnn:avgpool3s2,conv3k1,gap", colour, func(x []float64, p map[string][]float64) []float64 {
			h := convLoop(poolLoop(image{2, 9, 8, x}, 3, 2, mean), p["conv1.weight"], p["conv1.bias"], 1, 1, 0)
			var z []float64
			for c := range 3 {
				z = append(z, mean(h.data[c*h.h*h.w:(c+1)*h.h*h.w]))
			}
			return z
		}},
	} {
		for _, n := range []int{1, 3} {
			for _, kind := range []op.LossKind{op.CrossEntropy, op.MSE} {
				spec := parse(t, c.spec)
				net, err := spec.Build(models.BuildOptions{Input: c.input, Classes: 3, Batch: n, Loss: kind, Dtype: tensor.Float64})
				if err != nil {
					t.Fatal(err)
				}
				params := tensors(t, spec, c.input, 3)
				x, y := rows(n, c.input.Size(), 3)
				z, loss := forward(t, net, x, y, params)
				var want []float64
				for i := range n {
					want = append(want, c.loop(x[i*c.input.Size():(i+1)*c.input.Size()], params)...)
				}
				// Sums of at most a hundred terms of order one, in another order.
				for i := range want {
					if !(math.Abs(z[i]-want[i]) <= 1e-13) {
						t.Fatalf("%s: logit %d is %v, want %v", c.spec, i, z[i], want[i])
					}
				}
				if l := losses(want, y, 3)[kind]; !(math.Abs(loss-l) <= 1e-13) {
					t.Errorf("%s: %v loss %v, want %v", c.spec, kind, loss, l)
				}
			}
		}
	}
}

// The presets' layers at tiny sizes, with central differences of step 1e-6:
// error about 1e-12 from truncation and 1e-10 from rounding.
func TestGradientsEqualFiniteDifferences(t *testing.T) {
	const h, tol = 1e-6, 1e-8
	for _, c := range []struct {
		spec  string
		input models.Shape
	}{
		{"mlp:6-5-4-3", models.Shape{C: 1, H: 2, W: 3}},
		{"cnn:conv2k3,relu,maxpool2,conv3k2,relu,maxpool2,fc3", models.Shape{C: 1, H: 9, W: 8}},
		{"cnn:conv2k3p1,relu,maxpool2,conv3k2,relu,maxpool2,fc5,relu,fc4,relu,fc3", models.Shape{C: 2, H: 6, W: 6}},
	} {
		spec := parse(t, c.spec)
		net, err := spec.Build(models.BuildOptions{Input: c.input, Classes: 3, Batch: 2, Dtype: tensor.Float64})
		if err != nil {
			t.Fatal(err)
		}
		var nodes G.Nodes
		for _, p := range net.Params {
			nodes = append(nodes, p.Node)
		}
		grads, err := G.Grad(net.Loss, nodes...)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]G.Value, len(grads))
		for i, g := range grads {
			G.Read(g, &values[i])
		}
		params := tensors(t, spec, c.input, 3)
		x, y := rows(2, c.input.Size(), 3)
		forward(t, net, x, y, params)
		got := make([][]float64, len(values))
		for i, v := range values {
			got[i] = slices.Clone(v.Data().([]float64))
		}
		for i, p := range net.Params {
			data := params[p.Name]
			for j, v := range data {
				data[j] = v + h
				_, up := forward(t, net, x, y, params)
				data[j] = v - h
				_, down := forward(t, net, x, y, params)
				data[j] = v
				if fd := (up - down) / (2 * h); !(math.Abs(got[i][j]-fd) <= tol) {
					t.Fatalf("%s: %s[%d]: gradient %v, differences give %v", c.spec, p.Name, j, got[i][j], fd)
				}
			}
		}
	}
}

// Every kind of layer is closed under differentiation: each parameter has a
// gradient and a Hessian-vector product of its shape.
func TestNetworksDifferentiateTwice(t *testing.T) {
	for _, spec := range append(models.Presets(), "mlp:784-20-10,act=tanh", "mlp:784-20-10,act=sigmoid", "mlp:784-20-10,act=gelu",
		"cnn:conv4k3s2p1,gelu,avgpool2,conv10k3,tanh,gap") {
		for _, kind := range []op.LossKind{op.CrossEntropy, op.MSE} {
			net, err := parse(t, spec).Build(models.BuildOptions{Input: mnist, Classes: 10, Batch: 2, Loss: kind})
			if err != nil {
				t.Fatal(err)
			}
			var params G.Nodes
			for _, p := range net.Params {
				params = append(params, p.Node)
			}
			d, err := op.Differentiate(net.Loss, params)
			if err != nil {
				t.Fatalf("%s: %v", spec, err)
			}
			for i, p := range net.Params {
				for what, n := range map[string]*G.Node{"gradient": d.Grads[i], "Hv": d.HessianProducts[i]} {
					if n == nil || !n.Shape().Eq(p.Shape) {
						t.Errorf("%s: %s of %s is %v", spec, what, p.Name, n)
					}
				}
			}
		}
	}
}
