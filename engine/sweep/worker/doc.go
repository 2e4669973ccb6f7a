// Package worker does the runs of sweeps: it takes one from the queue, trains as
// package train does for `sgflow train`, puts the run folder's files into the
// object store, reports the outcome and takes the next. It needs nothing but
// the queue's address.
//
// While it works it says so, so that nobody else gets the run; while it waits
// it says that too. A run that is interrupted is handed back with its last
// checkpoint kept in the worker's folder, and goes on from there if the worker
// gets it again; any other worker starts it anew. Either way the result is the
// same to the bit, as that of package train is.
//
// What a job asks for is trusted as little as a file: it names no folder to
// write to, its files are checked by their hashes, and its configuration passes
// through the same checks as the command line's.
package worker
