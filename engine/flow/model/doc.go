// Package model has loss surfaces on which what SGD does is known exactly, as
// flow.Surface in float64: quadratics with noisy centres, a saddle, and a double
// well.
package model
