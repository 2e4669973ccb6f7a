// Package trajectory keeps the points that a path through parameter space goes
// through, in a folder that may hold other things:
//
//	trajectory.json    Header: the model's parameters, the type of numbers, the
//	                   projection if there is one and what it does to distances
//	trajectory.bin     a row a point: its step, its time t = Σ η and its numbers
//
// A [Writer] appends points: θ in full, or a random projection of it to k numbers
// that keeps distances to a relative standard error of √(2/k) ([Projection]). Every
// row is one write and ends in a checksum, so that a process killed at any moment
// leaves all rows but the last readable: [Open] reads up to the first row that is
// not whole. [Resume] goes on with a path from one of its points. [Steps] says
// which steps of a path are kept.
//
// A row is, little-endian: the step (uint64), the time (float64), the numbers
// (float32 or float64, as the header says), and the CRC-32C of all that.
//
// The package knows vectors and files, not losses: package landscape draws what is
// kept here.
package trajectory
