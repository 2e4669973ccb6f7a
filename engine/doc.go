// Package engine compiles Gorgonia graphs and runs them.
//
// [Compile] takes the loss of any graph of supported ops, stock Gorgonia's or
// those of package op, differentiates it with Gorgonia's own symbolic
// differentiation and lowers loss, gradients and Hessian-vector product into
// one [program.Program]. A [Session] owns the memory to run it on one device:
//
//	p, err := engine.Compile(loss, gorgonia.Nodes{w1, b1, w2, b2})
//	s, err := engine.NewSession[float32](p, engine.Config{Batch: 64})
//	defer s.Close()
//	copy(s.Params(), initial)       // all parameters, flat, in the order given to Compile
//	copy(s.Input(0), x)             // the batch, row-major
//	s.Gradient(64, false)           // loss and gradient
//	s.Loss(); s.Grad()
//	s.Product(hv, v)                // exact H·v at the same point
//	s.Wait()                        // before elements of hv are read
//
// After the first step nothing is allocated. Results do not depend on the
// number of threads. Any number of samples up to Config.Batch can be run.
package engine
