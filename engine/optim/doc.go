// Package optim defines the optimizers and their learning-rate schedules over flat
// parameter vectors.
//
// A [Config] names the optimizer as a user does; [Config.Update] and
// [Config.AdamUpdate] turn it, with the rate that a [Schedule] gives for a step,
// into an [Update] or an [AdamUpdate]: the few numbers one step needs. [Step] and
// [AdamStep] are the definitions of what a step does to the parameters. Backends
// have their own kernels for it and are tested with these, up to rounding.
//
// The package keeps no state: velocity and moments belong to the caller, and a
// schedule is a pure function of the step, so a resumed run continues exactly.
//
// All functions may be called concurrently on distinct vectors.
package optim
