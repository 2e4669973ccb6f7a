package bench

import (
	"slices"
	"sync"
	"time"

	"sgflow/engine/cpu/kernel"
	"sgflow/engine/problem"
)

// Peak measures how many GFLOP/s (two for a multiply-add) the given number of
// threads do together at best in float32 or float64: each does, by itself,
// matrix products whose packed operand stays in its first-level cache and whose
// other one in its second-level cache. That is the best that the kernels of the
// path in use (kernel.FromEnv) do, within a few per cent of what the
// processor's multiply-add units can where the path is assembly, and far below
// it where the path is portable Go.
func Peak(threads int, dtype string) (float64, error) {
	if dtype == problem.Float64 {
		return peak[float64](threads)
	}
	return peak[float32](threads)
}

// The product that Peak times: one panel of at most 64 columns, and rows that
// every tile height divides nearly evenly.
const (
	peakM, peakN, peakK = 168, 32, 256
	peakTime            = 200 * time.Millisecond
	peakRepeats         = 200 // products between two looks at the clock
)

func peak[T kernel.Float](threads int) (float64, error) {
	path, err := kernel.FromEnv()
	if err != nil {
		return 0, err
	}
	rates := make([]float64, threads)
	errs := make([]error, threads)
	var all sync.WaitGroup
	for i := range threads {
		all.Go(func() { rates[i], errs[i] = peakOfOne[T](path) })
	}
	all.Wait()
	sum := 0.0
	for i, r := range rates {
		if errs[i] != nil {
			return 0, errs[i]
		}
		sum += r
	}
	return sum, nil
}

// peakOfOne is the upper decile of the rates of a single thread, so that a
// disturbance doesn't count and a lucky reading of the clock doesn't either.
func peakOfOne[T kernel.Float](path kernel.Path) (float64, error) {
	pool := kernel.NewPool(1)
	defer pool.Close()
	k, err := kernel.New[T](path, pool)
	if err != nil {
		return 0, err
	}
	var b kernel.Packed[T]
	k.PackB(&b, peakK, peakN, ones[T](peakK*peakN), 0, false)
	g := kernel.Gemm[T]{M: peakM, N: peakN, K: peakK, A: ones[T](peakM * peakK), Packed: &b, C: make([]T, peakM*peakN)}
	var rates []float64
	for start := time.Now(); time.Since(start) < peakTime; {
		from := time.Now()
		for range peakRepeats {
			k.Gemm(&g)
		}
		rates = append(rates, 2e-9*peakM*peakN*peakK*peakRepeats/time.Since(from).Seconds())
	}
	slices.Sort(rates)
	return rates[len(rates)*9/10], nil
}

// ones is n ones: memory that nobody has written would be one page many times over,
// which is no matrix to the caches.
func ones[T kernel.Float](n int) []T { return slices.Repeat([]T{1}, n) }
