//go:build gpu && cgo && linux && amd64

package driver

import (
	"errors"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
)

// bench is a device with the tests' kernels and n values of 1 in managed memory.
type bench struct {
	*testing.T
	ctx  *Context
	axpy Kernel
	s    *Stream
	x, y *Memory
}

const benchSize = 300

func newBench(t *testing.T) *bench {
	c := open(t)
	module := must[*Module](t)(c.Load("testdata", testImage(t)))
	b := &bench{T: t, ctx: c, axpy: must[Kernel](t)(module.Kernel("axpy")), s: must[*Stream](t)(c.NewStream())}
	b.x, b.y = must[*Memory](t)(c.AllocManaged("x", 4*benchSize)), must[*Memory](t)(c.AllocManaged("y", 4*benchSize))
	for i := range Slice[float32](b.x) {
		Slice[float32](b.x)[i] = 1
	}
	return b
}

// add queues y += a·x on a stream.
func (b *bench) add(s *Stream, a float32) error {
	return s.Launch("y += a·x", b.axpy, Grid{Blocks: Dim{X: (benchSize + 255) / 256}, Threads: Dim{X: 256}},
		Float32(a), Ptr(b.x.Pointer), Ptr(b.y.Pointer), Int(benchSize))
}

// want checks all of y, after a wait for s.
func (b *bench) want(s *Stream, v float32) {
	b.Helper()
	check(b, s.Synchronize("y"))
	for i, got := range Slice[float32](b.y) {
		if got != v {
			b.Fatalf("y[%d] = %v, want %v", i, got, v)
		}
	}
}

func TestManagedMemoryIsSeenByBoth(t *testing.T) {
	b := newBench(t)
	check(t, b.add(b.s, 3))
	b.want(b.s, 3)
	Slice[float32](b.x)[7] = 5
	check(t, b.add(b.s, 1))
	check(t, b.s.Synchronize("y"))
	if got := Slice[float32](b.y)[7]; got != 8 {
		t.Errorf("y[7] = %v after the host's write, want 8", got)
	}
}

func TestCopiesAndFillsAreInTheOrderOfTheirStream(t *testing.T) {
	b := newBench(t)
	pinned := must[*Memory](t)(b.ctx.AllocPinned("staging", 4*benchSize))
	device := must[*Memory](t)(b.ctx.Alloc("device", 4*benchSize))
	host := Slice[float32](pinned)
	for i := range host {
		host[i] = float32(i)
	}
	check(t, b.s.Copy("up", device.Pointer, pinned.Pointer, 4*benchSize))
	check(t, b.s.Fill("two words", At[float32](device, 10), 0, 2))
	check(t, b.s.Copy("down", b.y.Pointer, device.Pointer, 4*benchSize))
	check(t, b.s.Synchronize("y"))
	want := slices.Clone(host)
	want[10], want[11] = 0, 0
	if !slices.Equal(Slice[float32](b.y), want) {
		t.Errorf("got %v", Slice[float32](b.y)[:20])
	}
	for _, m := range []*Memory{pinned, device} {
		check(t, m.Free())
		check(t, m.Free()) // the second does nothing
	}
}

func TestAStreamWaitsForAnEventOfAnother(t *testing.T) {
	b := newBench(t)
	other, done, start := must[*Stream](t)(b.ctx.NewStream()), must[*Event](t)(b.ctx.NewEvent()), must[*Event](t)(b.ctx.NewEvent())
	check(t, b.s.Record(start))
	check(t, b.add(b.s, 1))
	check(t, b.s.Record(done))
	check(t, other.Wait(done))
	check(t, other.Launch("y += 2x", b.axpy, Grid{Blocks: Dim{X: 2}, Threads: Dim{X: 256}},
		Float32(2), Ptr(b.x.Pointer), Ptr(b.y.Pointer), Int(benchSize)))
	b.want(other, 3) // waits for the other stream alone
	check(t, done.Synchronize("the first launch"))
	if d, err := done.Since(start); err != nil || d < 0 {
		t.Errorf("time %v, %v", d, err)
	}
	check(t, errors.Join(done.Close(), start.Close(), other.Close()))
}

func TestAStreamIsHeldUntilTheHostLetsGo(t *testing.T) {
	b := newBench(t)
	flag := must[*Memory](t)(b.ctx.AllocPinned("flag", 4))
	check(t, b.s.Hold("y", flag.Pointer))
	check(t, b.add(b.s, 1))
	Slice[uint32](flag)[0] = 1
	b.want(b.s, 1)
	check(t, flag.Free())
}

func TestAGraphDoesWhatWasCapturedEachTimeItIsLaunched(t *testing.T) {
	b := newBench(t)
	side, fork, join := must[*Stream](t)(b.ctx.NewStream()), must[*Event](t)(b.ctx.NewEvent()), must[*Event](t)(b.ctx.NewEvent())
	z := must[*Memory](t)(b.ctx.AllocManaged("z", 4*benchSize))
	graph := must[*Graph](t)(b.s.Capture("two branches", func() error {
		return errors.Join(
			b.add(b.s, 1),
			b.s.Record(fork), side.Wait(fork),
			side.Copy("z = y", z.Pointer, b.y.Pointer, 4*benchSize), side.Record(join),
			b.s.Wait(join), b.add(b.s, 10),
		)
	}))
	b.want(b.s, 0) // nothing ran
	if graph.Nodes() != 3 {
		t.Errorf("%d nodes, want 3", graph.Nodes())
	}
	for range 3 {
		check(t, b.s.LaunchGraph("two branches", graph))
	}
	b.want(b.s, 33)
	if got := Slice[float32](z)[0]; got != 23 {
		t.Errorf("z = %v, want y between the launches of the last run, 23", got)
	}
	check(t, graph.Close())
}

func TestACaptureThatWaitsOrIsNotJoinedFails(t *testing.T) {
	b := newBench(t)
	if _, err := b.s.Capture("a wait", func() error { return b.s.Synchronize("y") }); err == nil || !strings.Contains(err.Error(), "cuStreamSynchronize") {
		t.Errorf("a wait within a capture: %v", err)
	}
	side, fork := must[*Stream](t)(b.ctx.NewStream()), must[*Event](t)(b.ctx.NewEvent())
	_, err := b.s.Capture("a branch", func() error {
		return errors.Join(b.s.Record(fork), side.Wait(fork), b.add(side, 1))
	})
	if err == nil || !strings.Contains(err.Error(), "UNJOINED") {
		t.Errorf("a branch that is not joined: %v", err)
	}
	failed := errors.New("not today")
	if _, err := b.s.Capture("nothing", func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("an error of the captured function: %v", err)
	}
	check(t, b.add(b.s, 2)) // the stream is none the worse for it
	b.want(b.s, 2)
}

// Waiting for a whole device is what CUDA forbids to all while one captures.
func TestACaptureSurvivesWhatOthersDo(t *testing.T) {
	b := newBench(t)
	graph := must[*Graph](t)(b.s.Capture("an addition", func() error {
		others := make(chan error)
		go func() {
			c, err := Open(b.ctx.Device())
			if err != nil {
				others <- err
				return
			}
			m, err := c.Alloc("z", 4*benchSize)
			if err == nil {
				err = errors.Join(Upload(c, "z", m.Pointer, make([]float32, benchSize)), m.Free())
			}
			others <- errors.Join(err, c.Close())
		}()
		return errors.Join(b.add(b.s, 1), <-others, b.add(b.s, 2))
	}))
	check(t, b.s.LaunchGraph("an addition", graph))
	b.want(b.s, 3)
	check(t, graph.Close())
}

func TestAnyGoroutineMayCall(t *testing.T) {
	b := newBench(t)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 5 {
				if err := b.add(b.s, 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	b.want(b.s, 40)
}

func TestOutOfMemorySaysHowMuchWasNeededAndHowMuchIsFree(t *testing.T) {
	c := open(t)
	free, total, err := c.MemoryInfo()
	check(t, err)
	_, err = c.Alloc("the activations", total+1)
	if !OutOfMemory(err) {
		t.Fatalf("no lack of memory: %v", err)
	}
	for _, want := range []string{"the activations", "cuMemAlloc", "CUDA_ERROR_OUT_OF_MEMORY", "MiB of device memory needed", "MiB free on cuda:0"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if after, _, _ := c.MemoryInfo(); after != free {
		t.Errorf("%d bytes free before and %d after", free, after)
	}
	check(t, must[*Memory](t)(c.Alloc("less", 1<<20)).Free())
}

func TestAnErrorCarriesTheCallItsNameAndWhatItWasFor(t *testing.T) {
	b := newBench(t)
	err := b.s.Launch("instruction 12, relu", b.axpy, Grid{Threads: Dim{X: 2048}},
		Float32(1), Ptr(b.x.Pointer), Ptr(b.y.Pointer), Int(1))
	var e *Error
	if !errors.As(err, &e) || e.Call != "cuLaunchKernel" || e.Code != 1 {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"instruction 12, relu", "kernel axpy", "CUDA_ERROR_INVALID_VALUE"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if _, err := must[*Module](t)(b.ctx.Load("testdata", testImage(t))).Kernel("nonesuch"); err == nil || !strings.Contains(err.Error(), "nonesuch") {
		t.Errorf("a kernel that is not there: %v", err)
	}
	if _, err := b.ctx.Load("nonsense", []byte("no PTX")); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("an image that is none: %v", err)
	}
}

func TestTheInstructionIsNamedWhereEveryLaunchWaits(t *testing.T) {
	t.Setenv(SyncVariable, "1")
	b := newBench(t)
	err := b.s.Launch("instruction 3", b.axpy, Grid{Threads: Dim{X: 32}}, Float32(1), Ptr(8), Ptr(8), Int(32))
	if err == nil || !strings.Contains(err.Error(), "instruction 3") || !strings.Contains(err.Error(), "ILLEGAL_ADDRESS") {
		t.Errorf("got %v", err)
	}
	if again := b.s.Synchronize("later"); !errors.Is(again, err) {
		t.Errorf("the context goes on: %v", again)
	}
}

// needsEmulator skips a test of what the emulator is asked to be.
func needsEmulator(t *testing.T) {
	if d := must[[]Device](t)(Devices()); !strings.Contains(d[0].Name, "emulator") {
		t.Skip("the device is ", d[0].Name)
	}
}

// Managed memory is closed to the host from a launch to the wait for it, where the
// emulator guards it.
func TestManagedMemoryIsGuarded(t *testing.T) {
	needsEmulator(t)
	c := open(t)
	module := must[*Module](t)(c.Load("testdata", testImage(t)))
	axpy := must[Kernel](t)(module.Kernel("axpy"))
	t.Setenv("SGFLOW_EMULATOR_GUARD", "1")
	x := must[*Memory](t)(c.AllocManaged("x", 4))
	s := must[*Stream](t)(c.NewStream())
	value := Slice[float32](x)
	value[0] = 1
	read := func() (faulted bool) {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() { faulted = recover() != nil }()
		value[0]++
		return false
	}
	check(t, s.Launch("x += 2x", axpy, Grid{Blocks: Dim{X: 1}, Threads: Dim{X: 1}}, Float32(2), Ptr(x.Pointer), Ptr(x.Pointer), Int(1)))
	if !read() {
		t.Error("the host can write to what a launch is about")
	}
	check(t, s.Synchronize("x"))
	if read() || value[0] != 4 {
		t.Error("the host cannot write to what was waited for")
	}
	check(t, x.Free())
	check(t, s.Close())
}
