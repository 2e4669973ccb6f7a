// Package sweep does many training runs: it hands them to workers through a
// queue and gathers what they measured.
//
//	grid   what is asked for ─▶ configurations, each with an id
//	queue  runs to workers, results back (NATS JetStream)
//	worker takes a run, trains, reports
//	store  results (SQLite) and run folders
//
// [Run] ties them together. It opens the sweep folder, notes the runs that are
// not there yet, starts the queue's server and the workers, or uses a server
// whose workers are elsewhere, submits every run that is not done, and gathers
// results until there is nothing left:
//
//	sweep.db           the store
//	runs/<id>/         run.json, steps.jsonl, epochs.jsonl; weights if asked for
//	queue/, work/      the server's streams and the runs under way; gone when
//	                   all is done
//	workers.log        what local workers say
//	lock               held by the process that runs the sweep
//
// A result counts in this order: its files are fetched and checked, the run
// folder is put in place by a rename, the store notes it in one transaction,
// and the queue forgets it. Whatever is killed in between, the next call finds
// either the result in the queue, or the folder, or a run to do again; as
// training is a function of the configuration to the bit, all end in the same
// table.
//
// A run that fails is submitted again after a pause that doubles, and is marked
// failed when its tries are used up: at once where it would fail again, as
// training that diverges does.
package sweep
