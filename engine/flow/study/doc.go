// Package study lays paths of package flow side by side: from one initial point over
// one training set, SGD and what is said to describe it, moved in turn and measured
// at the same times t = Σ η.
//
//	config   settings, by the names of the command line
//	spec     what paths there are: sgd:batch=32,lr=0.1;svag:l=4
//	run      every path to the next time, for every seed; measured; compared
//	result   means and standard errors over seeds, and distances between paths
//	page     charts and tables of a result
//
// [Run] does it all; it writes a line for every point as it goes. Every seed is a
// seed of the noise (batches, and normal numbers): the initial weights are the same.
package study
