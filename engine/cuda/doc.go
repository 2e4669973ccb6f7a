// Package cuda runs a program.Program on an NVIDIA GPU, in float32.
//
// A [Machine] has the methods of cpu.Machine and binds the same instructions to
// the same memory plan; engine.Session takes one or the other. Everything that
// needs cgo and the driver is behind the build tag gpu, and nothing of it happens
// before a machine is made. The driver is package driver's, the kernels are in
// kernels/*.cu, and tests run them on package emulator where there is no GPU.
//
// # Memory
//
// Activations, tables and workspaces are device memory, at addresses that never
// change: so the kernels that a phase needs are captured once for each batch size
// as a graph, and a run is one launch of it. H·v and v are device memory too; a
// Product copies its vectors in and out, unless they are the same again and again: then
// its phase is bound to them.
//
// What the front door hands out as slices (θ, ḡ, the inputs, the logits, and what
// NewVector makes) lies in managed memory: one address for the host and the
// device, whose pages the driver moves to where they are used. A slice that is
// not managed may be given to any method, and is copied. Where the device has no
// managed memory that both may use, pinned host memory takes its place: right,
// but slow.
//
// # Waiting
//
// Waiting for the device takes longer than most of what it is asked for, so everything is
// queued, operations on vectors too. What waits:
//
//   - a method that returns numbers or stores them in a slice of float64, but for LossTo,
//     DotTo, Direction, Ritz, ExchangeParts and Lap, whose numbers the next Wait stores;
//   - one that writes to a slice that is not managed, and one that takes such a slice while
//     something is queued;
//   - Input, Logits, Norms and Split, which are for the host.
//
// The elements of Theta, Grad and NewVectors are the device's from a call that is about
// them to the next of these, or Wait. The host calls Wait before it reads or writes them,
// however it came by the slice; to copy, fill or scale them there are operations. Tests run
// with an emulator that closes managed memory until the host waits.
//
// # Speed at small batches
//
// There a launch costs more than what it does. So a product has its bias, its
// activation and its mask as epilogue; a last dense layer of few classes, the loss, what
// is classified rightly, the gradient at the logits and what goes back through the layer
// are one launch, and so are their derivatives in a Hessian-vector product; and the gradients
// of the weights and biases of dense layers are put off to the end and made by one launch,
// with all norms of samples' gradients.
//
// Training stays on the device where the host has no part in a step (Start, Finish): training
// and test set are there as bytes, a batch is gathered by a kernel, one graph is several whole
// steps, a counter in device memory tells them which one, and losses, norms and sums over the
// gradient come back in bulk while the next steps run. There the launch that makes the
// gradient also makes the optimizer's step, element by element. A step of the MLP preset
// is five launches, with noise or without, as the first layer reads its samples in the data
// set, and leaves the batch for the others on the way.
//
// What else is to be measured is recorded (Record): the requests that would be queued at a step
// are part of the graph, and their numbers come back with the losses. So nothing on the way may
// depend on the host: the device solves the small eigenproblem of flatness (Ritz), chooses the
// direction that it is tried with (Direction), and draws each step's own probe. What needs no
// more than the gradient, and gives nothing that is needed on the way, is a branch of the graph (Fork, Join), in a
// lane of its own: a stream, temporaries and room for sums. The device's clock tells what
// parts of a step take, in one step of each graph.
//
// A step that is measured one by one, as the host has a part in its update, waits once: all is
// queued before the loss is known, and events tell what flatness takes (Lap). Gather leaves its
// launches to the run of the samples, whose first layer may read them in the data set. An
// evaluation of many chunks waits once too (LossTo).
//
// # Accuracy
//
// Arithmetic is that of float32, sums over many numbers are in float64. Products of matrices
// are made on tensor cores, where there are any for TF32, from factors in two parts each: they
// are as accurate as float32's (kernels/tensor.cuh), but for factors beyond 10³⁸ or below 10⁻³⁵,
// whose second parts have no room, and infinite ones, which make NaN.
//
// # Reproducibility
//
// Every sum has an order that sizes and the number of multiprocessors decide;
// there are no atomic additions of floating-point numbers. The last block of a
// launch to finish, which an integer counter tells, adds the parts of others, in
// the order of the parts. So two runs on one kind of device give the same bits.
package cuda
