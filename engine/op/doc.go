// Package op holds the project's Gorgonia ops: a small set that is closed
// under differentiation, so that Gorgonia's own symbolic differentiation
// yields exact gradients and, applied twice, exact Hessian-vector products.
//
// Every op is a comparable struct with exported fields that implements
// gorgonia's Op and SDOp. Equal structs are the same op and unequal structs
// print and hash differently, which is what Gorgonia merges nodes by. The
// set, with its derivative rules:
//
//	MatMul                       MatMuls
//	Transpose                    Transpose
//	Conv forward, input, weight  each one's derivative is the other two
//	MaxPool forward              scatter; scatter and gather are each other's
//	AvgPool forward, scatter     each is the other's (they are adjoint)
//	Unary f⁽ᵏ⁾                   g ⊙ f⁽ᵏ⁺¹⁾(x)
//	Binary add, sub, mul, div    Binary, Unary
//	Scale                        Scale
//	Sum, Broadcast               each is the other's (they are adjoint)
//	Reshape                      Reshape
//	Softmax, LogSoftmax          compositions of the above
//	Loss order 0, 1              Loss order 1, 2
//
// Tensors are dense and row-major, of float32 or float64. Do is the slow
// reference that Gorgonia's TapeMachine runs and that faster executors are
// tested against: it evaluates in float64 and rounds the result once.
//
// Graphs are built by the constructors ([Dense], [Conv2D], [MaxPool2D],
// [AvgPool2D], [GlobalAvgPool], [Flatten], and the Of methods of [Func],
// [BinaryKind] and [LossKind]) or by [Apply] with an op. [Differentiate] turns
// a scalar loss into one graph that holds the loss, its gradients and the
// Hessian-vector product.
//
// The package does not execute graphs fast; that is the work of engine/lower
// and the backends behind it.
package op
