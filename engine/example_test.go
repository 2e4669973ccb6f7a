package engine_test

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine"
)

// A multilayer perceptron written with stock Gorgonia ops only. The listing
// shows what became of it: bias, activation and activation mask run inside the
// products, and every parameter's per-sample gradient norms have a rule.
func ExampleCompile() {
	const batch = 64
	g := gorgonia.NewGraph()
	matrix := func(name string, rows, cols int) *gorgonia.Node {
		return gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(rows, cols), gorgonia.WithName(name))
	}
	x, y := matrix("x", batch, 784), matrix("y", batch, 10)
	w1, b1 := matrix("w1", 784, 32), matrix("b1", 1, 32)
	w2, b2 := matrix("w2", 32, 10), matrix("b2", 1, 10)

	h := gorgonia.Must(gorgonia.BroadcastAdd(gorgonia.Must(gorgonia.Mul(x, w1)), b1, nil, []byte{0}))
	h = gorgonia.Must(gorgonia.Rectify(h))
	z := gorgonia.Must(gorgonia.BroadcastAdd(gorgonia.Must(gorgonia.Mul(h, w2)), b2, nil, []byte{0}))
	p := gorgonia.Must(gorgonia.SoftMax(z))
	likelihood := gorgonia.Must(gorgonia.HadamardProd(gorgonia.Must(gorgonia.Log(p)), y))
	loss := gorgonia.Must(gorgonia.Neg(gorgonia.Must(gorgonia.Mean(likelihood))))

	program, err := engine.Compile(loss, gorgonia.Nodes{w1, b1, w2, b2}, engine.Inputs(x, y), engine.WithoutCurvature())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(program)
	// Output:
	// program: 25450 parameters in 4 arrays, 34 buffers
	// forward:
	//     0  t28[n×32]                          =  matmul       x·w1 + b1 → relu  (n×32×784)
	//     1  t27[n×10]                          =  matmul       t28·w2 + b2  (n×10×32)
	//     2  t26[n×10]                          =  log_softmax  t27
	//     3  t26[n×10]                          =  mul          t26, y
	//     4  t25[1]                             =  sum          t26  ([n]×[10] mean)
	//     5  t25[1]                             =  scale        -1 · t25
	//     6  loss[1]                            =  result       t25
	// gradient:
	//     0  t24[1]                             =  scale        -1 · 1
	//     1  t23[n×10]                          =  broadcast    t24  ([n]×[10] mean)
	//     2  t23[n×10]                          =  mul          t23, y
	//     3  t20[n×10]                          =  softmax      t27
	//     4  t22[n]                             =  sum          t23  (n×[10])
	//     5  t21[n×10]                          =  broadcast    t22  (n×[10])
	//     6  t20[n×10]                          =  mul          t20, t21
	//     7  t20[n×10]                          =  sub          t23, t20
	//     8  t19[n×32]                          =  matmul       t20·w2ᵀ ⊙ relu'(t28)  (n×32×10)
	//     9  ∇w1[784×32]                        =  matmul       xᵀ·t19  (784×32×n)
	//    10  ∇b1[1×32]                          =  sum_bias     t19  (n×32×1)
	//    11  ∇w2[32×10]                         =  matmul       t28ᵀ·t20  (32×10×n)
	//    12  ∇b2[1×10]                          =  sum_bias     t20  (n×10×1)
	// noise:
	//     0  norms.w1[n]                        += dense_norms  ‖x‖²·‖t19‖²  (rows of 784, 32)
	//     1  norms.b1[n]                        += bias_norms   t19  (n×32×1)
	//     2  norms.w2[n]                        += dense_norms  ‖t28‖²·‖t20‖²  (rows of 32, 10)
	//     3  norms.b2[n]                        += bias_norms   t20  (n×10×1)
	// per-sample gradients:
	//        w1                                 =  n·xᵢ⊗t19ᵢ
	//        b1                                 =  n·t19ᵢ
	//        w2                                 =  n·t28ᵢ⊗t20ᵢ
	//        b2                                 =  n·t20ᵢ
}

// A convolutional network written with stock Gorgonia ops only: the nodes that
// Conv2d expands to become one instruction again. The session trains it for a
// few steps on a batch of three with the same program that was built for 16.
func ExampleSession() {
	const batch = 16
	g := gorgonia.NewGraph()
	array := func(name string, shape ...int) *gorgonia.Node {
		return gorgonia.NewTensor(g, tensor.Float64, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name))
	}
	x, y := array("x", batch, 1, 6, 6), array("y", batch, 2)
	filter, weight := array("filter", 2, 1, 3, 3), array("weight", 8, 2)

	c := gorgonia.Must(gorgonia.Conv2d(x, filter, tensor.Shape{3, 3}, []int{0, 0}, []int{1, 1}, []int{1, 1}))
	c = gorgonia.Must(gorgonia.MaxPool2D(gorgonia.Must(gorgonia.Rectify(c)), tensor.Shape{2, 2}, []int{0, 0}, []int{2, 2}))
	z := gorgonia.Must(gorgonia.Mul(gorgonia.Must(gorgonia.Reshape(c, tensor.Shape{batch, 8})), weight))
	likelihood := gorgonia.Must(gorgonia.HadamardProd(gorgonia.Must(gorgonia.Log(gorgonia.Must(gorgonia.SoftMax(z)))), y))
	loss := gorgonia.Must(gorgonia.Neg(gorgonia.Must(gorgonia.Mean(likelihood))))

	program, err := engine.Compile(loss, gorgonia.Nodes{filter, weight}, engine.Inputs(x, y), engine.Predictions(z, y))
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := engine.NewSession[float64](program, engine.Config{Batch: 3, Threads: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	for i := range s.Params() {
		s.Params()[i] = 0.1 * float64(i%5)
	}
	for i := range s.Input(0) { // three images of stripes, two classes
		s.Input(0)[i] = float64(i / 36 % 2 * (i % 2))
	}
	copy(s.Input(1), []float64{1, 0, 0, 1, 1, 0})
	for range 30 {
		s.Gradient(3, false)
		s.Axpy(-1, s.Grad(), s.Params())
	}
	s.Forward(3)
	fmt.Printf("loss %.2f, %d of 3 right\n", s.Loss(), s.Correct())
	// Output:
	// loss 0.23, 3 of 3 right
}
