// Package emulator is a CUDA driver without a GPU, for tests: it translates a PTX
// module to C++, compiles that with g++, and serves its kernels as a libcuda, so that a
// program that calls the driver through gorgonia.org/cu runs unmodified, and the code
// that it runs is what the driver would be given.
//
// A package with tests that need a device has
//
//	func TestMain(m *testing.M) { os.Exit(emulator.Run(m, "kernels")) }
//
// where kernels is a folder of .cu files, with what `make generate` compiles them to in
// kernels/images, and tests that launch a kernel as in package driver's documentation:
//
//	_, ptx, err := emulator.Image("kernels")
//	module, err := ctx.Load("kernels", ptx)
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
// There is a check before every memory access of a kernel. An access outside
// an allocation, of another thread's variables or of host memory that isn't pinned, a
// misaligned one, and a read of bytes that were never written, of shared or of device
// memory, end the launch. So does a barrier that not all threads of a block reach, or
// not all lanes of a mask. The error names the kernel, the block and the thread, and a
// barrier by its line of PTX; it is the description that the driver gives of the error,
// and is printed too.
//
// Races are found too: two threads of a block that touch one word of shared or device
// memory, at least one of them writing, with no barrier between them; and two blocks
// that do within a launch, unless a block has executed a fence before, or reads through
// a volatile pointer; and two launches, copies or fills of a graph of which neither waits
// for the other. Words of less than four bytes are not looked at; of many that read a word
// before it is written, the last is known, and one of another branch of the graph.
//
// Work runs when the host waits for it, and no sooner; of several streams only the one
// that is waited for runs, with what it waits for. A host that forgets to wait sees
// old values every time. With SGFLOW_EMULATOR_EAGER set, work runs at once, as early as
// a device may: a host that reads too late what later work overwrites sees that. With
// SGFLOW_EMULATOR_GUARD set, managed memory is closed to the host while work waits, as it
// is on devices that lack concurrent access to it: a host that forgets to wait ends with
// a segmentation fault where it does. That holds for all sessions of a process together.
//
// # What it counts
//
// With SGFLOW_EMULATOR_PROFILE=file a process that closes its devices leaves a table there
// of all kernels by the size of their launches, blocks and threads of a block: how many these were, and how many
// instructions, loads from global memory and barriers a thread executed, on the average
// and the longest. They are instructions of PTX, of which machine code needs about as many;
// no time follows from them, but where one thread has a hundred times the others' work,
// or a launch of few blocks thousands of instructions, time is lost. After the tests of
// package cuda have built the library, for a step of training on 132 multiprocessors:
//
//	export SGFLOW_LIBCUDA=$(ls -t ~/.cache/sgflow-emulator/*.so | head -1)
//	export SGFLOW_EMULATOR_MULTIPROCESSORS=132 SGFLOW_EMULATOR_PROFILE=profile
//	sgflow train --device cuda --batch 64 --steps 8 --measure none
//
// With SGFLOW_EMULATOR_EMPTY set, kernels do nothing and memory is zero: what is left of a
// program's time is the host's.
//
// # PTX that it knows
//
// What NVRTC makes of kernels like sgflow's: grids and blocks of all dimensions, static
// and dynamic shared memory, barriers, warp shuffles and votes with masks, atomic
// operations, vectors, calls, and the tensor cores' product in TF32. translate.go reads a
// module, instructions.go its instructions; source/ptx.h says what each computes. An
// instruction that is not there ends the build of the tests with its name and line; most
// need one line of ptx.h. Kernels of tests may call sgflow_sync_grid, the barrier of a
// cooperative launch, which no device has.
//
// What it does not do: time, caches, bank conflicts, registers, warps in lockstep.
// Threads of a block run one after the other between barriers, blocks on all cores.
// Device memory is 4 GiB unless SGFLOW_EMULATOR_MEMORY_MIB says otherwise, the compute
// capability 8.0 unless SGFLOW_EMULATOR_CAPABILITY does (75, 80, 90), and there are 4
// multiprocessors unless SGFLOW_EMULATOR_MULTIPROCESSORS does; the best PTX for it
// is what is translated, and the only image that it loads. Machine code it refuses.
//
// Libraries are kept in sgflow-emulator in the user's cache folder, by a sum of what
// they were made of, and may be deleted at any time.
package emulator
