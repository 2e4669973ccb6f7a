// Package grid makes the list of runs of a sweep from what is asked for: values
// for any setting of a training run, on the command line or in a file.
//
//	8,16,32        a list
//	8..4096*2      from 8 to at most 4096, each twice the one before
//	1..9+2         from 1 to at most 9, each 2 above the one before
//	0..4           the same by 1, whole numbers
//	0.01..1:log5   5 numbers with equal ratios, both ends included
//	0..1:5         5 numbers with equal distances, both ends included
//
// Parts of a list may be ranges. Every setting with several values is an axis
// of the grid, and a run is a choice from each. [ID] names a run by what
// it computes.
package grid
