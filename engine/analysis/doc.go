// Package analysis says what a set of training runs shows: how noise, flatness
// and accuracy depend on batch size, learning rate and temperature, how many
// steps and samples it took to reach a target, and how sure all of that is.
//
//	Run ──Group──▶ Problem ──▶ Group (a Setting, its runs over seeds) ──▶ Estimate
//	                      └──▶ TradeOff, PowerLaw, Peak: fits with intervals
//
// A [Run] is a configuration and what was measured. Runs of different models,
// data or optimizers belong to different [Problem]s and are never averaged;
// within one, runs of the same [Setting] differ in their seed alone and make a
// [Group], whose numbers are means with standard errors over the seeds.
//
// Fits are least squares in log space on the means of the groups. Their errors
// come from resampling seeds (see [Method]); a fit says how good it is, and is
// refused where the points cannot hold it.
//
// Nothing here reads files, draws or prints; numbers that cannot be computed are
// absent, never NaN. All functions may be called concurrently and give the same
// result every time.
package analysis
