package engine

import (
	"time"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/optim"
	"sgflow/engine/ritz"
	"sgflow/engine/rng"
)

// backend runs a program: cpu.Machine, and cuda.Machine for float32. The methods
// are documented with those of Session that call them.
type backend[T Float] interface {
	Close()
	Capacity() int
	Theta() []T
	Grad() []T
	Input(k int) []T
	Split(n, cost int, f func(from, to int))

	Forward(n int)
	Gradient(n int, noise bool)
	Product(out, v []T)
	Loss() float64
	Correct() int
	Logits(n int) []T
	Norms(param int) []float64

	Step(velocity []T, u optim.Update)
	Adam(first, second []T, u optim.AdamUpdate)
	Dot(a, b []T) float64
	DistanceSq(a, b []T) float64
	NormSq(x []T) float64
	ExchangeParts(dots, normSqs []float64, old, x []T)
	Axpy(alpha float64, x, y []T)
	Direction(d []T, guess ritz.Guess[T], y, hy []T, yy *float64, least float64, yHy *float64)
	Ritz(guess ritz.Guess[T], x, hx, y, hy []T, yy, yHy *float64, least float64, step *ritz.Step)
	Scale(alpha float64, x []T)
	Signs(x []T, stream rng.Stream)

	SampleDots(dst []float64, v []T) bool
	MeanDots(dst []float64) bool
	SampleGram(dst []float64) bool
	CombineSamples(out []T, w []float64) bool
	SecondMoment(out []T) bool
	KeepSamples() bool
	CrossDots(dst []float64) bool
	KeptSamples() (n int, data []T)
	SetKeptSamples(n int, data []T) error

	Tangent(out, v []T)
	Pullback(out, u []T, noise bool)
	LossGradient(out []T)
	LossCurvature(out, u []T)
	SampleLosses(dst []float64)
}

// device is what a backend has that computes elsewhere than on the processor.
type device[T Float] interface {
	Err() error
	Counts() driver.Counts
	NewVector(n int) []T
	Wait()
	Lap(took *time.Duration)
	Fork()
	Join()
	LossTo(loss, correct *float64)
	DotTo(dst *float64, a, b []T)
	Copy(dst, src []T)
}
