// Package driver is the CUDA driver as sgflow uses it: devices, memory, streams,
// kernels and graphs, by gorgonia.org/cu, and by a small cgo file for what cu
// lacks. It needs no CUDA toolkit, to build or to run, only NVIDIA's driver; and it
// needs none of that until [Devices] is called.
//
//	devices, err := driver.Devices()        // or why there are none
//	ctx, err := driver.Open(devices[0])
//	module, err := ctx.Load("kernels", ptx)
//	axpy, err := module.Kernel("axpy")
//	x, err := ctx.Alloc("x", 4*n)
//	err = driver.Upload(ctx, "x", x.Pointer, values)
//	s, err := ctx.NewStream()
//	err = s.Launch("y += a·x", axpy, driver.Grid{Blocks: driver.Dim{X: (n + 255) / 256}, Threads: driver.Dim{X: 256}},
//		driver.Float32(a), driver.Ptr(x.Pointer), driver.Ptr(y.Pointer), driver.Int(n))
//	err = s.Synchronize("y")
//
// Arguments are 8 bytes each, whatever the kernel's parameter is, which may be
// shorter but not longer: larger ones go through memory.
//
// # Errors
//
// An [Error] carries the driver's call, its name of the error and what the call
// was for. Launches are asynchronous, so an error in a kernel comes from a later
// call that waits; SGFLOW_CUDA_SYNC=1 makes each launch wait. An error after which
// the driver does nothing more (an illegal address, say) is remembered: every
// later call of the [Context] returns it.
//
// # Threads
//
// The driver has a current context for each thread. Context.do makes it current
// around every call, so that callers need not care.
//
// Everything but [Devices] and [Device] is behind the build tag gpu.
package driver
