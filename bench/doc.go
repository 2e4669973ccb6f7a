// Package bench times training steps: for models, batch sizes, thread counts
// and quantities measured, how long a whole step takes (gathering the batch,
// gradient, measuring, update), how many samples that is in a second, and what
// share of the machine's arithmetic it uses.
//
// [Run] times [Case]s and gives a [Row] each; `sgflow bench` prints them. Cases
// that are to be compared, the same model and batch with other threads or other
// quantities, are timed in turns, a little each, so that what disturbs the
// machine meanwhile disturbs all of them alike; what is reported is the median
// of all steps.
//
// [Work] counts the multiply-adds of a program's products and convolutions, and
// [Peak] how many of them this machine does in a second at best.
//
// A [Trainer] is a case made ready. The comparison with other systems, in
// bench/peers, times one beside theirs; it is no part of this package and needs
// what it compares with.
package bench
