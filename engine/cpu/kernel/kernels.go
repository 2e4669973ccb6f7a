package kernel

import "unsafe"

// Kernels is the numerical kernels for elements of type T on one path, with
// the pool that runs them and their scratch memory. Its operations may be used
// by one goroutine at a time. Nothing needs closing; the pool is the caller's.
type Kernels[T Float] struct {
	path  Path
	pool  *Pool
	size  int // bytes of a T
	tiles tileSet
	vec   vectorSet[T]
	work  []worker[T] // by worker index

	offsets offsetTables
	gemm    gemmTask[T]
	pack    packTask[T]
	swapped Packed[T] // the packed operand of products computed transposed
	packedB Packed[T] // the packed B of products that want one
	flat    flatTask[T]
	rowwise rowTask[T]
	stream  Stream[T]
	gram    gramTask[T]
	sums    []float64 // partial sums by block
	squares []float64 // the same, of squares, where an operation has two sums
	column  []T       // a column of a matrix, without gaps
}

// worker is what one worker of the pool has for itself.
type worker[T Float] struct {
	tile tile
	buf  [3][]T
	_    [64]byte // keeps two workers' tiles out of one cache line
}

// New makes the kernels of path p that run on pool. It fails where this machine
// lacks p. One Kernels per running program: it is not for concurrent use.
func New[T Float](p Path, pool *Pool) (*Kernels[T], error) {
	if err := usable(p); err != nil {
		return nil, err
	}
	k := &Kernels[T]{path: p, pool: pool, size: sizeOf[T]()}
	k.tiles = portableTiles[T]()
	k.vec = portableVectors[T]()
	assemble(p, k.size, &k.tiles, &k.vec)
	k.work = make([]worker[T], pool.Threads())
	return k, nil
}

// Path is the path that these kernels were made for.
func (k *Kernels[T]) Path() Path { return k.path }

// Pool is the pool that these kernels run on.
func (k *Kernels[T]) Pool() *Pool { return k.pool }

// scratch is worker w's buffer i with at least n elements, contents undefined.
func (k *Kernels[T]) scratch(w, i, n int) []T {
	b := &k.work[w].buf[i]
	if len(*b) < n {
		*b = alignedSlice[T](n)
	}
	return (*b)[:n]
}

// grow returns s with at least n elements, contents undefined.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return alignedSlice[T](n)
	}
	return s[:n]
}

// alignedSlice allocates n elements that start on a cache line.
func alignedSlice[T any](n int) []T {
	const line = 64
	var z T
	size := int(unsafe.Sizeof(z))
	s := make([]T, n+line/size)
	skip := 0
	if r := int(uintptr(unsafe.Pointer(&s[0])) % line); r != 0 {
		skip = (line - r) / size
	}
	return s[skip : skip+n : skip+n]
}

// offsetTables caches tables off[k] = k·stride for the strides used last.
type offsetTables struct {
	tables [12]struct {
		stride int
		used   int // when, on the clock
		off    []int
	}
	clock int
}

// get returns a table for k in [0,n). It stays valid for the next eleven calls.
func (o *offsetTables) get(stride, n int) []int {
	o.clock++
	t := &o.tables[0]
	for i := range o.tables {
		u := &o.tables[i]
		if u.stride == stride {
			t = u
			break
		}
		if u.used < t.used {
			t = u
		}
	}
	if t.stride != stride {
		t.stride, t.off = stride, t.off[:0]
	}
	t.used = o.clock
	for k := len(t.off); k < max(n, 1); k++ {
		t.off = append(t.off, k*stride)
	}
	return t.off
}
