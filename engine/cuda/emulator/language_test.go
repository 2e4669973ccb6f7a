//go:build gpu && cgo && linux && amd64

package emulator_test

import (
	"math/bits"
	"testing"

	"sgflow/engine/cuda/driver"
)

func TestEveryThreadOfAGridRunsOnceWithItsIndex(t *testing.T) {
	d := open(t)
	const blocks, threads = 2 * 3 * 4, 5 * 7 * 3
	out := d.memory("out", blocks*threads)
	d.launch("where", driver.Grid{Blocks: driver.Dim{X: 2, Y: 3, Z: 4}, Threads: driver.Dim{X: 5, Y: 7, Z: 3}}, driver.Ptr(out.Pointer))
	for i, v := range download[int32](d, out.Pointer, blocks*threads) {
		if want := int32(i/threads*10000 + i%threads); v != want {
			t.Fatalf("thread %d: %d, want %d", i, v, want)
		}
	}
}

func TestSharedMemory(t *testing.T) {
	d := open(t)
	x := make([]float32, 96)
	for i := range x {
		x[i] = float32(i)
	}
	p := upload(d, x)
	d.launch("reverse", driver.Grid{Threads: driver.Dim{X: 96}, Shared: 4 * 96}, driver.Ptr(p))
	for i, v := range download[float32](d, p, 96) {
		if v != float32(95-i) {
			t.Fatalf("reversed: [%d] is %v", i, v)
		}
	}
	out := d.memory("out", 128)
	d.launch("rotations", grid(1, 64), driver.Ptr(out.Pointer))
	for i, v := range download[int32](d, out.Pointer, 128) {
		if want := int32((i+1)%64 + i/64*100); v != want {
			t.Fatalf("rotated: [%d] is %d, want %d", i, v, want)
		}
	}
}

func TestMoreSharedMemoryMustBeAskedFor(t *testing.T) {
	d := open(t)
	k, err := d.module.Kernel("reverse")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.SetDynamicShared(100 << 10); err != nil {
		t.Fatal(err)
	}
	p := driver.Ptr(upload(d, make([]float32, 64)))
	if err := d.stream.Launch("a test", k, driver.Grid{Threads: driver.Dim{X: 64}, Shared: 100 << 10}, p); err != nil {
		t.Error(err)
	}
	d.wait()
	if err := k.SetDynamicShared(400 << 10); err == nil {
		t.Error("400 KiB of shared memory allowed")
	}
}

func TestCollectivesOfAWarp(t *testing.T) {
	d := open(t)
	const threads, votes = 64, 11
	out := d.memory("out", threads*votes)
	d.launch("votes", grid(1, threads), driver.Ptr(out.Pointer))
	got := download[int32](d, out.Pointer, threads*votes)
	for i := range threads {
		lane, first := i%32, i/32*32
		up, down, half := i, i, i^8
		if lane >= 3 {
			up = i - 3
		}
		if lane < 29 {
			down = i + 3
		}
		if lane >= 16 {
			half = first + (lane ^ 4)
		}
		var thirds uint32
		for l := range 32 {
			if (first+l)%3 == 0 {
				thirds |= 1 << l
			}
		}
		anyFortieth, allBelow := int32(first/32), int32(1-first/32)
		want := []int32{int32(first + 7), int32(up), int32(down), int32(first + (lane ^ 5)), int32(i ^ 1), int32(thirds),
			anyFortieth, allBelow, int32(half), 13, int32(4*(i^1) + 1)}
		for v := range want {
			if got[i*votes+v] != want[v] {
				t.Errorf("thread %d, result %d: %d, want %d", i, v, got[i*votes+v], want[v])
			}
		}
	}
	if bits.OnesCount32(uint32(got[5])) != 11 {
		t.Errorf("ballot of multiples of 3 below 32: %b", got[5])
	}
}

func TestAtomicOperationsOfAllBlocks(t *testing.T) {
	d := open(t)
	const blocks, threads = 7, 96
	const n = blocks * threads
	i, u := upload(d, make([]int32, 6)), upload(d, make([]uint32, 2))
	l, f, dbl := upload(d, make([]uint64, 1)), upload(d, make([]float32, 1)), upload(d, make([]float64, 1))
	d.launch("counts", grid(blocks, threads), driver.Ptr(i), driver.Ptr(u), driver.Ptr(l), driver.Ptr(f), driver.Ptr(dbl))
	ints := download[int32](d, i, 6)
	for k, want := range []int32{n * (n - 1) / 2, n - 1, 1 - n, -n, 1, 1} {
		if ints[k] != want {
			t.Errorf("int %d: %d, want %d", k, ints[k], want)
		}
	}
	if got := download[uint32](d, u, 2); got[0] != n%10 || got[1] != ^uint32(0) {
		t.Errorf("unsigned: %v", got)
	}
	if got := download[uint64](d, l, 1)[0]; got != n<<33 {
		t.Errorf("64 bits: %d", got)
	}
	if got, want := download[float32](d, f, 1)[0], float32(n); got != want {
		t.Errorf("float: %v, want %v", got, want)
	}
	if got, want := download[float64](d, dbl, 1)[0], float64(n)/2; got != want {
		t.Errorf("double: %v, want %v", got, want)
	}
}

func TestBlocksMeetAtTheBarrierOfTheGrid(t *testing.T) {
	d := open(t)
	const blocks, threads = 6, 64
	x := make([]float32, blocks*threads)
	for i := range x {
		x[i] = float32(i)
	}
	in, partial, out := upload(d, x), d.memory("partial", blocks), d.memory("out", 1)
	g := grid(blocks, threads)
	g.Cooperative = true
	d.launch("sums", g, driver.Ptr(in), driver.Ptr(partial.Pointer), driver.Ptr(out.Pointer))
	want := float32(len(x) * (len(x) - 1) / 2)
	if got := download[float32](d, out.Pointer, 1)[0]; got != want {
		t.Errorf("sum %v, want %v", got, want)
	}
}

func TestTheLastBlockSeesWhatOthersStoredBeforeTheirFences(t *testing.T) {
	d := open(t)
	const blocks = 9
	partial, out, arrived := d.memory("partial", blocks), d.memory("out", 1), upload(d, make([]uint32, 1))
	d.launch("last", grid(blocks, 32), driver.Ptr(partial.Pointer), driver.Ptr(out.Pointer), driver.Ptr(arrived))
	if got := download[float32](d, out.Pointer, 1)[0]; got != blocks*(blocks-1)/2 {
		t.Errorf("sum %v", got)
	}
}

func TestVectorTypesAndConstants(t *testing.T) {
	d := open(t)
	ones := make([]float32, 4*8)
	for i := range ones {
		ones[i] = float32(i)
	}
	y, x, z := upload(d, ones), upload(d, ones), d.memory("z", 3*8)
	d.launch("vectors", grid(1, 8), driver.Ptr(y), driver.Ptr(x), driver.Ptr(z.Pointer))
	for i, v := range download[float32](d, y, 32) {
		if v != 2*float32(i) {
			t.Fatalf("y[%d] = %v", i, v)
		}
	}
	for i, v := range download[float32](d, z.Pointer, 24) {
		want := []float32{float32(i / 3 * 4), float32(i/3*4 + 1), float32(i/3%4 + 1)}[i%3]
		if v != want {
			t.Fatalf("z[%d] = %v, want %v", i, v, want)
		}
	}
}
