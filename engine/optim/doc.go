// Package optim defines stochastic gradient descent and its learning-rate
// schedules over flat parameter vectors.
//
// A [Config] names the optimizer as a user does; [Config.Update] turns it,
// with the rate that a [Schedule] gives for a step, into an [Update]: the few
// numbers one step needs. [Step] is the definition of what a step does to the
// parameters. Backends have their own kernels for it and are tested to give
// the same bits; Step is the reference they are tested with, and what runs
// where there is no kernel.
//
// The package keeps no state: velocity belongs to the caller, and a schedule
// is a pure function of the step, so a resumed run continues exactly.
//
// All functions may be called concurrently on distinct vectors.
package optim
