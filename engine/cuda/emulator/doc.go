// Package emulator is a CUDA driver without a GPU, for tests: it compiles .cu files
// for the CPU with g++ and serves them as a libcuda, so that a program that calls
// the driver through gorgonia.org/cu runs unmodified.
//
// A package with tests that need a device has
//
//	func TestMain(m *testing.M) { os.Exit(emulator.Run(m, os.DirFS("kernels"))) }
//
// and tests that launch a kernel as in package driver's documentation:
//
//	module, err := ctx.Load("kernels", ptx) // PTX of these kernels, or nil
//	axpy, err := module.Kernel("axpy")
//	err = s.Launch("y += a·x", axpy, driver.Grid{Blocks: driver.Dim{X: blocks}, Threads: driver.Dim{X: 256}},
//		driver.Float32(a), driver.Ptr(x.Pointer), driver.Ptr(y.Pointer), driver.Int(n))
//	err = s.Synchronize("y") // nothing has run before this
//
// With SGFLOW_LIBCUDA=libcuda.so.1 in the environment the same tests run on the real
// driver.
//
// # What it finds
//
// The compiler puts a check before every memory access of a kernel. An access outside
// an allocation, of another thread's variables or of host memory that isn't pinned, a
// misaligned one, and a read of bytes that were never written, of shared or of device
// memory, end the launch. So does a barrier that not all threads of a block reach, or
// not all lanes of a mask. The error names the kernel, the block and the thread; it is
// the description that the driver gives of the error, and is printed too.
//
// Races are found too: two threads of a block that touch one word of shared or device
// memory, at least one of them writing, with no barrier between them; and two blocks
// that do within a launch, unless a block has executed a fence before, or reads through
// a volatile pointer. Words of less than four bytes are not looked at.
//
// Work runs when the host waits for it, and no sooner; of several streams only the one
// that is waited for runs, with what it waits for. A host that forgets to wait sees
// old values every time. With SGFLOW_EMULATOR_EAGER set, work runs at once, as early as
// a device may: a host that reads too late what later work overwrites sees that. With
// SGFLOW_EMULATOR_GUARD set, managed memory is closed to the host while work waits, as it
// is on devices that lack concurrent access to it: a host that forgets to wait ends with
// a segmentation fault where it does. That holds for all sessions of a process together.
//
// # CUDA C++ that it knows
//
// source/language.h has it: one-, two- and three-dimensional grids and blocks, static
// and dynamic shared memory (declared inside functions), barriers, warp shuffles and
// votes with masks, atomic operations, vector types, cooperative launches with
// sgflow_sync_grid() as the grid's barrier. SGFLOW_EMULATED is defined, for what has
// to be written twice: inline PTX, and cooperative groups. Kernels are
//
//	extern "C" __global__ void name(arguments)
//
// and other functions at file scope static, inline or templates, as each .cu file is
// compiled by itself. Includes are found in the same folder.
//
// What it does not do: time, caches, bank conflicts, registers, warps in lockstep.
// Threads of a block run one after the other between barriers, blocks on all cores.
// Device memory is 4 GiB unless SGFLOW_EMULATOR_MEMORY_MIB says otherwise, the compute
// capability 8.0 unless SGFLOW_EMULATOR_CAPABILITY does (75, 80, 90). Of images it reads
// the target and the names of kernels, which must be those it was built with; machine
// code it refuses.
//
// Libraries are kept in sgflow-emulator in the user's cache folder, by a sum of what
// they were made of, and may be deleted at any time.
package emulator
