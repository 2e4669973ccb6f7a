// Package store keeps the results of a sweep in SQLite: a file sweep.db in the
// sweep folder, beside runs/<id>, the run folders.
//
//	runs         a row a run: configuration, state, how it ended
//	steps        means of what was logged at the start, in the middle and at
//	             the end of a run
//	epochs       a row an epoch of a run
//	environment  what a run ran on: versions, device, hashes of the data
//	sweep        what is true of the whole sweep, by name
//
// A run's id is a hash of its configuration (see package sweep), so adding a
// run twice adds it once, and the result of a run that was done twice, because
// its worker was thought lost, counts once: [Store.Finish] says which was
// first.
//
// Readers open the store while sweeps write to it: the file is in SQLite's WAL
// mode, and writers wait for each other. Every write is one transaction. A
// file that is damaged is put aside by [PutAside]; package sweep fills a new one
// from the run folders.
//
// # What the means are of
//
// The logged steps of a run are cut into three windows, each a tenth of the
// run's steps, rounded up: the first tenth, the tenth around the middle and
// the last tenth. [Summarize] averages every number of steps.jsonl over the
// steps of a window at which it was logged, with one exception: noise_scale is
// the mean of grad_var_trace divided by the mean of grad_norm_sq_unbiased, as a
// mean of ratios with a noisy denominator is biased and may not exist. A number
// that was logged at no step of a window, as flatness may be where it is
// measured every so many steps, is that of the nearest step that has it.
package store
