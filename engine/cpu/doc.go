// Package cpu runs a program.Program on the processor, in float32 or float64.
//
// A Machine is made once from a Program and a largest batch size. Making it
// plans the memory (program.Plan), allocates everything that a run will touch
// and binds every instruction to its operands; the result is a flat list of
// bound instructions for each phase, and a run is a loop over that list. After
// that nothing is allocated.
//
// The caller fills Input and Theta, calls Forward or Gradient for any number
// of samples up to the capacity, and reads Loss, Correct, Grad, Norms and
// Logits; Product then multiplies vectors with the Hessian of that batch's
// loss. θ, ḡ, v and H·v are flat vectors of P elements; the operands of the
// instructions are parts of them, so nothing is copied in or out. Dot, Axpy,
// Scale and Step work on such vectors.
//
// Work is divided among the threads in pieces whose size depends on the
// operands alone, and sums over pieces are taken in the order of the pieces:
// every result has the same bits for any number of threads. Small instructions
// run on the calling thread.
//
// Each family of instructions is one file here. The products, convolutions,
// pools and vector loops that decide the speed are in package kernel, below
// this one; what is rare or small is a plain loop in its file. Where two
// instructions need the same intermediate result (the softmax of the logits,
// the norms of rows), binding finds that out and it is computed once.
package cpu
