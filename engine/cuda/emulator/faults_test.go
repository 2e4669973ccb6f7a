//go:build gpu && cgo && linux && amd64

package emulator_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/cuda/emulator"
	"sgflow/engine/cuda/shim"
)

//go:generate env CGO_ENABLED=1 go run ../kernels/gen -in testdata -out testdata/images

func TestMain(m *testing.M) {
	// A real driver does not say what these tests ask for.
	os.Unsetenv(shim.LibraryVariable)
	os.Exit(emulator.Run(m, "testdata"))
}

// device is a context with the kernels of testdata and a stream.
type device struct {
	t      *testing.T
	ctx    *driver.Context
	module *driver.Module
	stream *driver.Stream
}

func open(t *testing.T) *device {
	t.Helper()
	devices, err := driver.Devices()
	if err != nil {
		t.Fatal(err)
	}
	d := &device{t: t}
	if d.ctx, err = driver.Open(devices[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.ctx.Close() }) // a broken context returns its error again
	_, ptx, err := emulator.Image("testdata")
	if err != nil {
		t.Fatal(err)
	}
	if d.module, err = d.ctx.Load("testdata", ptx); err != nil {
		t.Fatal(err)
	}
	if d.stream, err = d.ctx.NewStream(); err != nil {
		t.Fatal(err)
	}
	return d
}

// memory allocates device memory for n values.
func (d *device) memory(what string, n int) *driver.Memory {
	d.t.Helper()
	m, err := d.ctx.Alloc(what, int64(4*n))
	if err != nil {
		d.t.Fatal(err)
	}
	return m
}

// upload makes device memory of values.
func upload[T any](d *device, values []T) driver.Pointer {
	d.t.Helper()
	m := d.memory("values", 2*len(values))
	if err := driver.Upload(d.ctx, "values", m.Pointer, values); err != nil {
		d.t.Fatal(err)
	}
	return m.Pointer
}

// download returns n values after the stream's work.
func download[T any](d *device, p driver.Pointer, n int) []T {
	d.t.Helper()
	d.wait()
	values := make([]T, n)
	if err := driver.Download(d.ctx, "values", values, p); err != nil {
		d.t.Fatal(err)
	}
	return values
}

// queue launches a kernel.
func (d *device) queue(name string, g driver.Grid, args ...driver.Arg) error {
	d.t.Helper()
	k, err := d.module.Kernel(name)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.stream.Launch("a test", k, g, args...)
}

// launch is queue for a launch that must succeed.
func (d *device) launch(name string, g driver.Grid, args ...driver.Arg) {
	d.t.Helper()
	if err := d.queue(name, g, args...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *device) wait() {
	d.t.Helper()
	if err := d.stream.Synchronize("the end"); err != nil {
		d.t.Fatal(err)
	}
}

func grid(blocks, threads int) driver.Grid {
	return driver.Grid{Blocks: driver.Dim{X: blocks}, Threads: driver.Dim{X: threads}}
}

func TestWhatMustNotBeDoneIsReportedByKernelBlockAndThread(t *testing.T) {
	const n = 100
	for _, test := range []struct {
		kernel string
		grid   driver.Grid
		args   func(d *device) []driver.Arg
		want   []string // in the error
	}{
		{"read_past", grid(2, 64), func(d *device) []driver.Arg {
			return []driver.Arg{driver.Ptr(upload(d, make([]float32, n/2))), driver.Ptr(upload(d, make([]float32, n))), driver.Int(n)}
		}, []string{"ILLEGAL_ADDRESS", "block (1,0,0) thread (36,0,0)", "read of 4 bytes", "0 bytes past the end of an allocation of 400 bytes"}},
		{"write_past", grid(2, 64), func(d *device) []driver.Arg {
			return []driver.Arg{driver.Ptr(d.memory("y", n).Pointer), driver.Int(n)}
		}, []string{"ILLEGAL_ADDRESS", "block (1,0,0) thread (36,0,0)", "write of 4 bytes", "past the end"}},
		{"copy", grid(1, 32), func(d *device) []driver.Arg {
			return []driver.Arg{driver.Ptr(d.memory("y", n).Pointer), driver.Ptr(d.memory("x", n).Pointer), driver.Int(32)}
		}, []string{"ILLEGAL_ADDRESS", "thread (0,0,0)", "never written", "byte 0 of an allocation of 400 bytes"}},
		{"copy", grid(1, 32), func(d *device) []driver.Arg {
			return []driver.Arg{driver.Ptr(d.memory("y", n).Pointer), driver.Ptr(0), driver.Int(32)}
		}, []string{"ILLEGAL_ADDRESS", "at 0x0", "not the device's memory"}},
		{"misaligned", grid(1, 1), func(d *device) []driver.Arg {
			return []driver.Arg{driver.Ptr(d.memory("y", 8).Pointer), driver.Ptr(upload(d, make([]float32, 8)))}
		}, []string{"MISALIGNED_ADDRESS", "misaligned read of 16 bytes"}},
		{"unwritten_shared", grid(1, 32), outputs(32), []string{"ILLEGAL_ADDRESS", "thread (26,0,0)", "never written", "shared memory"}},
		{"past_shared", grid(1, 8), outputs(8), []string{"ILLEGAL_ADDRESS", "thread (7,0,0)", "shared memory"}},
		{"other_branch", grid(1, 64), outputs(64), []string{"LAUNCH_FAILED", "barrier", "thread (0,0,0) waits", "compute_80.ptx:"}},
		{"early_return", grid(1, 64), outputs(64, driver.Int(60)), []string{"LAUNCH_FAILED", "thread (0,0,0) waits at bar.sync", "thread (60,0,0) has ended"}},
		{"missing_lane", grid(1, 32), outputs(32), []string{"LAUNCH_FAILED", "shfl.sync", "thread (3,0,0) has ended"}},
		{"outside_mask", grid(1, 32), outputs(32), []string{"LAUNCH_FAILED", "shfl.sync", "lane 16", "not in the mask"}},
		{"shared_race", grid(1, 64), outputs(64), []string{"LAUNCH_FAILED", "thread (1,0,0)", "a race: read", "thread (0,0,0) wrote"}},
		{"shared_race_after_read", grid(1, 64), outputs(64), []string{"LAUNCH_FAILED", "a race: ", "shared memory"}},
		{"block_race", grid(2, 32), outputs(1), []string{"LAUNCH_FAILED", "a race: write", "another block wrote"}},
		{"block_read_race", grid(2, 32), func(d *device) []driver.Arg {
			return []driver.Arg{driver.Ptr(upload(d, make([]float32, 2)))}
		}, []string{"a race: ", "another block"}},
		{"trapped", grid(1, 32), func(*device) []driver.Arg { return []driver.Arg{driver.Int(0)} }, []string{"LAUNCH_FAILED", "trap at compute_80.ptx:"}},
	} {
		t.Run(test.kernel, func(t *testing.T) {
			d := open(t)
			d.launch(test.kernel, test.grid, test.args(d)...)
			err := d.stream.Synchronize("the end")
			var e *driver.Error
			if !errors.As(err, &e) {
				t.Fatalf("no error of the driver: %v", err)
			}
			for _, want := range append(test.want, "kernel "+test.kernel) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in the error: %v", want, err)
				}
			}
			if _, again := d.ctx.Alloc("more", 4); again == nil || !strings.Contains(again.Error(), e.What) {
				t.Errorf("the context goes on after the error: %v", again)
			}
		})
	}
}

// outputs are the arguments of a kernel that takes an array of n to write, and more.
func outputs(n int, more ...driver.Arg) func(*device) []driver.Arg {
	return func(d *device) []driver.Arg {
		return append([]driver.Arg{driver.Ptr(d.memory("y", n).Pointer)}, more...)
	}
}

func TestAWrongLaunchFailsAtOnce(t *testing.T) {
	d := open(t)
	x := driver.Ptr(upload(d, make([]float32, 64)))
	for name, g := range map[string]driver.Grid{
		"too many threads":       grid(1, 1025),
		"too much shared memory": {Threads: driver.Dim{X: 64}, Shared: 49 << 10},
		"too many blocks":        {Blocks: driver.Dim{X: 1 << 20}, Threads: driver.Dim{X: 64}, Cooperative: true},
	} {
		if err := d.queue("reverse", g, x); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// None of them ends the context.
	d.launch("reverse", driver.Grid{Threads: driver.Dim{X: 64}, Shared: 256}, x)
	d.wait()
}

// What two branches of a graph do must not touch what the other writes; what waits may.
func TestBranchesOfAGraphThatRaceAreReported(t *testing.T) {
	const n = 32
	type move struct {
		to, from int    // of arrays
		by       string // "" for a kernel, else a copy or a fill
	}
	for name, c := range map[string]struct {
		wait       bool   // the side for the main branch
		side, main []move // in this order, but after the wait
		want       string
	}{
		"both write":               {side: []move{{1, 2, ""}}, main: []move{{1, 0, ""}}, want: "a race: write"},
		"one reads":                {side: []move{{3, 1, ""}}, main: []move{{1, 0, ""}}, want: "a race: write"},
		"one writes what was read": {side: []move{{0, 2, ""}}, main: []move{{1, 0, ""}}, want: "a race: read"},
		"both read, then one writes": {
			side: []move{{3, 0, ""}}, main: []move{{1, 0, ""}, {0, 2, ""}}, want: "a race: write",
		},
		"a fill":                    {side: []move{{3, 0, ""}}, main: []move{{0, 0, "fill"}}, want: "a race: a copy or fill writes"},
		"after a fill":              {side: []move{{3, 0, "fill"}}, main: []move{{3, 0, ""}}, want: "a race: write"},
		"a copy":                    {side: []move{{3, 0, ""}}, main: []move{{1, 3, "copy"}}, want: "a race: a copy reads"},
		"after a copy":              {side: []move{{3, 0, "copy"}}, main: []move{{0, 1, ""}}, want: "a race: write"},
		"apart":                     {side: []move{{3, 2, ""}, {3, 2, "copy"}}, main: []move{{1, 0, ""}, {1, 0, "fill"}}},
		"both read":                 {side: []move{{3, 0, ""}}, main: []move{{1, 0, ""}, {1, 0, "copy"}}},
		"one reads when it is made": {side: []move{{3, 1, ""}, {3, 1, "copy"}}, main: []move{{1, 0, ""}}, wait: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			var arrays []driver.Pointer
			for range 4 {
				arrays = append(arrays, upload(d, make([]float32, n)))
			}
			side, err := d.ctx.NewStream()
			if err != nil {
				t.Fatal(err)
			}
			var events [3]*driver.Event
			for k := range events {
				if events[k], err = d.ctx.NewEvent(); err != nil {
					t.Fatal(err)
				}
			}
			k, err := d.module.Kernel("copy")
			if err != nil {
				t.Fatal(err)
			}
			do := func(s *driver.Stream, list []move) (errs []error) {
				for _, m := range list {
					switch m.by {
					case "copy":
						err = s.Copy("a copy", arrays[m.to], arrays[m.from], 4*n)
					case "fill":
						err = s.Fill("a fill", arrays[m.to], 0, n)
					default:
						err = s.Launch("a launch", k, grid(1, n), driver.Ptr(arrays[m.to]), driver.Ptr(arrays[m.from]), driver.Int(n))
					}
					errs = append(errs, err)
				}
				return errs
			}
			all := []move{{0, 1, ""}, {1, 2, ""}, {2, 3, ""}, {3, 0, ""}} // before and after both
			g, err := d.stream.Capture("two branches", func() error {
				errs := append(do(d.stream, all), d.stream.Record(events[0]), side.Wait(events[0]))
				if c.wait {
					errs = append(append(errs, do(d.stream, c.main)...), d.stream.Record(events[1]), side.Wait(events[1]))
					c.main = nil
				}
				errs = append(append(errs, do(side, c.side)...), do(d.stream, c.main)...)
				errs = append(errs, side.Record(events[2]), d.stream.Wait(events[2]))
				return errors.Join(append(errs, do(d.stream, all)...)...)
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // a second run is after all of the first
				if err := d.stream.LaunchGraph("two branches", g); err != nil {
					t.Fatal(err)
				}
			}
			err = d.stream.Synchronize("the end")
			if (err != nil) != (c.want != "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "another launch of the graph")) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
