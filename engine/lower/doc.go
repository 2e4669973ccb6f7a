// Package lower turns a Gorgonia graph into a [program.Program].
//
// The way of a graph through this package:
//
//	user's graph ── canonical.go: stock ops → ours (stock.go knows their strings)
//	             ── op.Differentiate: Gorgonia's symbolic differentiation, twice
//	             ── value.go: values with known batch dimension, simplified as they are made
//	             ── fuse.go: bias, activation, mask and sum move into their neighbours
//	             ── emit.go: phases, buffers, instructions
//
// Only what the loss, the gradients or the Hessian-vector product need is
// ever visited, so dead nodes never become instructions.
//
// Which dimension is the batch follows from the inputs: axis 0 of every input
// is the batch, and each op says what becomes of it. A dimension that happens
// to equal the batch size where an op leaves the choice open is an error that
// says so; [SymbolicBatch] is a batch size that no real dimension equals.
package lower

// SymbolicBatch is a batch size for building graphs that are only to be
// lowered: a prime that is no plausible dimension of anything else. Programs
// run with any batch size whatever the graph was built with.
const SymbolicBatch = 1000003
