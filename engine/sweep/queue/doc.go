// Package queue carries the runs of sweeps to workers and their results back,
// over NATS JetStream.
//
//	stream SGFLOW_RUNS     a Job on sgflow.runs.<build>.<sweep>.<run>.<attempt>,
//	                       there until its outcome is safe
//	stream SGFLOW_RESULTS  an Outcome on sgflow.results.<sweep>, there until
//	                       the sweep has stored it
//	objects SGFLOW_FILES   logs and weights of runs; data sets
//	sgflow.progress.<sweep>  how far workers are, for whoever listens
//
// [Serve] runs a server within the process, for this machine alone; [Connect]
// uses it or any other. A sweep submits ([Queue.Submit]) and collects
// ([Queue.Outcomes]); a worker takes a run ([Queue.Take]), says that it is
// alive ([Task.Beat]), and ends it ([Queue.Report], then [Task.Done]).
//
// # What is sure
//
// A subject holds one message at most, so submitting an attempt at a run that is
// queued or under way does nothing. A run whose worker has been silent for the lease is
// delivered again. An outcome is published before its run leaves the queue: if
// the worker dies between the two, the run is done twice, and the store counts
// the first. Nothing is removed from the queue whose result is not in the
// store or in the stream of results.
//
// Runs of one build of sgflow are taken by workers of the same build only,
// since another one may compute other last digits: the build is part of the
// subject. Results that nobody collects are dropped after a month.
package queue
