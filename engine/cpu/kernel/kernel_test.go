package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// everyPath runs f for both element types, on every path that this machine has,
// with two threads.
func everyPath(t *testing.T, f32 func(*testing.T, *Kernels[float32]), f64 func(*testing.T, *Kernels[float64])) {
	t.Helper()
	for _, p := range Available() {
		t.Run(p.String(), func(t *testing.T) {
			t.Run("float32", func(t *testing.T) { f32(t, newKernels[float32](t, p, 2)) })
			t.Run("float64", func(t *testing.T) { f64(t, newKernels[float64](t, p, 2)) })
		})
	}
}

// newKernels makes kernels whose pool is closed when the test ends.
func newKernels[T Float](tb testing.TB, p Path, threads int) *Kernels[T] {
	tb.Helper()
	pool := NewPool(threads)
	tb.Cleanup(pool.Close)
	k, err := New[T](p, pool)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// unit is the distance from 1 to the next T: twice the largest relative
// rounding error of one operation.
func unit[T Float]() float64 {
	if sizeOf[T]() == 4 {
		return 0x1p-23
	}
	return 0x1p-52
}

// random is n values in [−1,1).
func random[T Float](r *rand.Rand, n int) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = T(2*r.Float64() - 1)
	}
	return s
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 12345)) }

// guarded is a slice between guard zones; check fails the test if something
// wrote there.
type guarded[T Float] struct {
	all []T
	s   []T
}

const (
	guardZone  = 80
	guardValue = 12345.678
)

func newGuarded[T Float](n int) *guarded[T] {
	g := &guarded[T]{all: make([]T, n+2*guardZone)}
	for i := range g.all {
		g.all[i] = guardValue
	}
	g.s = g.all[guardZone : guardZone+n : guardZone+n]
	clear(g.s)
	return g
}

// like is a guarded copy of s.
func guardedLike[T Float](s []T) *guarded[T] {
	g := newGuarded[T](len(s))
	copy(g.s, s)
	return g
}

func (g *guarded[T]) check(t *testing.T, what string) {
	t.Helper()
	want := T(guardValue)
	for i := range guardZone {
		if g.all[i] != want || g.all[len(g.all)-1-i] != want {
			t.Fatalf("%s: written outside its slice", what)
		}
	}
}

// near fails unless got is within tol of want for every element.
func near[T Float](t *testing.T, what string, got []T, want, tol []float64) {
	t.Helper()
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= tol[i]) {
			t.Fatalf("%s: element %d is %v, want %v ± %v", what, i, got[i], w, tol[i])
		}
	}
}

// same fails unless a and b have the same bits.
func same[T Float](t *testing.T, what string, a, b []T) {
	t.Helper()
	for i := range a {
		if a[i] != b[i] || math.Signbit(float64(a[i])) != math.Signbit(float64(b[i])) {
			t.Fatalf("%s: element %d differs: %v and %v", what, i, a[i], b[i])
		}
	}
}

func TestEnvironmentForcesAPath(t *testing.T) {
	for _, p := range Available() {
		t.Setenv(PathVariable, p.String())
		if got, err := FromEnv(); err != nil || got != p {
			t.Errorf("%s: got %v, %v", p, got, err)
		}
	}
	t.Setenv(PathVariable, "")
	if got, err := FromEnv(); err != nil || got != Detect() {
		t.Errorf("unset: got %v, %v", got, err)
	}
	t.Setenv(PathVariable, "sse9")
	if _, err := FromEnv(); err == nil {
		t.Error("an unknown path gave no error")
	}
	if err := usable(Detect() + 1); err == nil {
		t.Error("a path that the machine lacks gave no error")
	}
}

func TestPathNames(t *testing.T) {
	if got := fmt.Sprint(Portable, AVX2, AVX512, Path(9)); got != "portable avx2 avx512 Path(9)" {
		t.Error(got)
	}
}
