package kernel

import (
	"fmt"
	"unsafe"
)

// Packed is a K×N matrix in the layout that the product kernels read fastest:
// panels of a few vectors' width, each with its K rows one after the other.
// Made by [Kernels.PackB]; worth keeping while the matrix does not change. It
// is only valid for Kernels of the path that packed it. The zero value is empty
// and ready for use; PackB reuses its memory.
type Packed[T Float] struct {
	K, N  int
	width int
	data  []T
}

// at is the address of row k of the panel that begins with column c.
func (p *Packed[T]) at(k, c int) unsafe.Pointer {
	return ptr(p.data, c*p.K+k*p.width)
}

// packTask packs panel by panel.
type packTask[T Float] struct {
	kernels *Kernels[T]
	dst     *Packed[T]
	b       []T
	ldb     int
	trans   bool
	panels  int // in a piece
}

// PackB packs op(B), a K×N matrix, into dst. B is stored K×N, or N×K with trans;
// ldb is the distance between its stored rows, zero for rows without gaps. It
// panics where b is too short.
func (k *Kernels[T]) PackB(dst *Packed[T], depth, n int, b []T, ldb int, trans bool) {
	rows, cols := depth, n
	if trans {
		rows, cols = cols, rows
	}
	if ldb == 0 {
		ldb = cols
	}
	if rows > 0 && cols > 0 && len(b) < (rows-1)*ldb+cols || ldb < cols {
		panic(fmt.Errorf("kernel: packing a %d×%d matrix: %d elements with leading dimension %d", rows, cols, len(b), ldb))
	}
	width := k.tiles.vecs * k.tiles.lanes
	panels := (n + width - 1) / width
	dst.K, dst.N, dst.width = depth, n, width
	dst.data = grow(dst.data, panels*width*depth)
	if n == 0 || depth == 0 {
		return
	}
	t := &k.pack
	*t = packTask[T]{kernels: k, dst: dst, b: b, ldb: ldb, trans: trans}
	t.panels = max(1, packWork/(width*depth))
	k.pool.Run((panels+t.panels-1)/t.panels, t)
	*t = packTask[T]{}
}

// packWork is the number of elements whose packing is worth a hand-over.
const packWork = 1 << 14

func (t *packTask[T]) Do(i, _ int) {
	k, d := t.kernels, t.dst
	for p := i * t.panels; p < (i+1)*t.panels && p*d.width < d.N; p++ {
		c := p * d.width
		cols := min(d.width, d.N-c)
		to := d.at(0, c)
		if t.trans {
			k.tiles.transpose(to, ptr(t.b, c*t.ldb), d.width*k.size, t.ldb*k.size, cols, d.K)
		} else {
			k.tiles.copyRows(to, ptr(t.b, c), d.width*k.size, t.ldb*k.size, d.K, cols)
		}
	}
}
