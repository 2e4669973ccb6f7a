package models_test

import (
	"fmt"

	"sgflow/models"
)

func Example() {
	spec := models.Sequential(
		models.Conv(16, 5), models.ReLU(), models.MaxPool(2),
		models.Conv(32, 3, models.Stride(2), models.Pad(1)), models.GELU(), models.GlobalAvgPool(),
		models.Dense(10),
	)
	fmt.Println(spec)
	layers, err := spec.Shapes(models.Shape{C: 1, H: 28, W: 28}, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range layers {
		fmt.Println(l.Name, l.Out, l.Params)
	}
	// Output:
	// cnn:conv16k5,relu,maxpool2,conv32k3s2p1,gelu,gap,fc10
	// conv1 16×24×24 416
	// relu 16×24×24 0
	// maxpool2 16×12×12 0
	// conv2 32×6×6 4640
	// gelu 32×6×6 0
	// gap 32×1×1 0
	// fc1 10 330
}

func ExampleSpec_Shapes_misfit() {
	spec, err := models.Parse("cnn")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = spec.Shapes(models.Shape{C: 1, H: 9, W: 9}, 10)
	fmt.Println(err)
	// Output:
	// models: the network does not fit 1×9×9 samples of 10 classes: layer 4 (conv32k5): a 5×5 window is larger than its 2×2 input; use a smaller one or less pooling before it
	//   input                1×9×9
	//   conv16k5             16×5×5
	//   relu                 16×5×5
	//   maxpool2             16×2×2
	//   conv32k5             does not fit
}
