// Package models describes small feed-forward networks, MLPs and CNNs, and
// builds the Gorgonia graphs of their losses out of the ops of engine/op.
//
// A [Spec] is a list of layers, read from text by [Parse] or written in Go:
//
//	spec, err := models.Parse("cnn:conv16k5,relu,maxpool2,fc10")
//
//	spec := models.Sequential(
//		models.Conv(16, 5), models.ReLU(), models.MaxPool(2),
//		models.Dense(10),
//	)
//
// The text forms are
//
//	mlp, cnn, lenet5                            presets
//	mlp:784-512-256-10[,act=relu|tanh|sigmoid|gelu]
//	cnn:LAYER,LAYER,…  with the layers
//	    conv<out>k<k>[s<stride>][p<pad>]        convolution, stride 1 and padding 0 if not given
//	    maxpool<k>[s<stride>], avgpool<k>[s<stride>]  stride k if not given
//	    gap                                     global average pooling
//	    relu, tanh, sigmoid, gelu
//	    fc<out>                                 dense; flattens first
//
// A Spec knows no data. [Spec.Shapes] fits it to an input shape and a number of
// classes, [Spec.Build] makes the graph, [Spec.Init] the initial weights.
// Nothing is adapted silently: what does not fit is an error that shows the
// shape at every layer.
//
// Parameters are named and shaped as in a PyTorch state dict: conv1.weight
// (out×in×kH×kW), conv1.bias (out), fc1.weight (out×in), fc1.bias (out), …,
// numbered by kind in order of appearance.
//
// The package executes nothing and knows no backend.
package models
