package kernel

import "unsafe"

// The portable micro-kernels. A vector is one block of four columns here, so
// that four rows by four columns fit the registers of most machines.

const (
	portableLanes = 4
	portableRows  = 4
)

// portableTiles is the portable path's micro-kernels.
func portableTiles[T Float]() tileSet {
	s := tileSet{lanes: portableLanes, rows: portableRows, vecs: 1}
	s.byRows[1] = [maxTileRows + 1]tileFunc{1: tileRows[T](1), 2: tileRows[T](2), 3: tileRows[T](3), 4: tileRows4[T]}
	s.byCols[1] = [maxTileRows + 1]tileFunc{1: tileCols[T](1), 2: tileCols[T](2), 3: tileCols[T](3), 4: tileCols[T](4)}
	for m := 1; m <= maxDotRows; m++ {
		for n := 1; n <= maxDotCols; n++ {
			s.dot[m][n] = func(t *tile) { dotTile[T](t, m, n) }
		}
	}
	s.transpose = transposePortable[T]
	s.copyRows = copyRowsPortable[T]
	return s
}

// tileRows is the micro-kernel of m rows with A by rows.
func tileRows[T Float](m int) tileFunc {
	return func(t *tile) {
		size := sizeOf[T]()
		var acc [portableRows][portableLanes]T
		loadTile(t, &acc, m)
		for k := range t.k {
			b := unsafe.Add(t.b, ints(t.boff, k))
			for j := range t.last {
				bj := *at[T](b, j*size)
				for i := range m {
					acc[i][j] += *at[T](t.a, i*t.lda+k*size) * bj
				}
			}
		}
		storeTile(t, &acc, m)
	}
}

// tileCols is the micro-kernel of m rows with A by columns.
func tileCols[T Float](m int) tileFunc {
	return func(t *tile) {
		size := sizeOf[T]()
		var acc [portableRows][portableLanes]T
		loadTile(t, &acc, m)
		for k := range t.k {
			a := unsafe.Add(t.a, ints(t.aoff, k))
			b := unsafe.Add(t.b, ints(t.boff, k))
			for j := range t.last {
				bj := *at[T](b, j*size)
				for i := range m {
					acc[i][j] += *at[T](a, i*size) * bj
				}
			}
		}
		storeTile(t, &acc, m)
	}
}

// tileRows4 is tileRows(4) with the accumulators of a full block in registers.
func tileRows4[T Float](t *tile) {
	if t.last != portableLanes {
		tileRows[T](4)(t)
		return
	}
	size := sizeOf[T]()
	var acc [portableRows][portableLanes]T
	loadTile(t, &acc, 4)
	for i := 0; i < 4; i += 2 {
		a0, a1 := unsafe.Add(t.a, i*t.lda), unsafe.Add(t.a, (i+1)*t.lda)
		p, q := &acc[i], &acc[i+1]
		p0, p1, p2, p3 := p[0], p[1], p[2], p[3]
		q0, q1, q2, q3 := q[0], q[1], q[2], q[3]
		for k := range t.k {
			b := (*[4]T)(unsafe.Add(t.b, ints(t.boff, k)))
			x, y := *at[T](a0, k*size), *at[T](a1, k*size)
			b0, b1, b2, b3 := b[0], b[1], b[2], b[3]
			p0 += x * b0
			p1 += x * b1
			p2 += x * b2
			p3 += x * b3
			q0 += y * b0
			q1 += y * b1
			q2 += y * b2
			q3 += y * b3
		}
		*p = [portableLanes]T{p0, p1, p2, p3}
		*q = [portableLanes]T{q0, q1, q2, q3}
	}
	storeTile(t, &acc, 4)
}

// loadTile sets the accumulators' starting values.
func loadTile[T Float](t *tile, acc *[portableRows][portableLanes]T, m int) {
	size := sizeOf[T]()
	for i := range m {
		for j := range t.last {
			var v T
			if t.flags&flagAccumulate != 0 {
				v = *at[T](t.c, i*t.ldc+j*size)
			}
			if t.bias != nil {
				v += *at[T](t.bias, j*size)
			}
			if t.rowBias != nil {
				v += *at[T](t.rowBias, i*size)
			}
			acc[i][j] = v
		}
	}
}

// storeTile writes the finished block.
func storeTile[T Float](t *tile, acc *[portableRows][portableLanes]T, m int) {
	size := sizeOf[T]()
	for i := range m {
		for j := range t.last {
			v := acc[i][j]
			if t.flags&flagAdd != 0 {
				v += *at[T](t.c, i*t.ldc+j*size)
			}
			if t.flags&flagReLU != 0 && v < 0 {
				v = 0
			}
			*at[T](t.c, i*t.ldc+j*size) = v
		}
	}
}

// dotTile is the dot kernel of m×n elements.
func dotTile[T Float](t *tile, m, n int) {
	size := sizeOf[T]()
	for i := range m {
		a := unsafe.Add(t.a, i*t.lda)
		for j := range n {
			b := unsafe.Add(t.b, ints(t.boff, j))
			var s0, s1, s2, s3 T
			k := 0
			for ; k+4 <= t.k; k += 4 {
				x, y := (*[4]T)(unsafe.Add(a, k*size)), (*[4]T)(unsafe.Add(b, k*size))
				s0 += x[0] * y[0]
				s1 += x[1] * y[1]
				s2 += x[2] * y[2]
				s3 += x[3] * y[3]
			}
			for ; k < t.k; k++ {
				s0 += *at[T](a, k*size) * *at[T](b, k*size)
			}
			s := (s0 + s1) + (s2 + s3)
			c := at[T](t.c, i*t.ldc+j*size)
			if t.flags&(flagAccumulate|flagAdd) != 0 {
				s += *c
			}
			*c = s
		}
	}
}

func transposePortable[T Float](dst, src unsafe.Pointer, ldd, lds, rows, cols int) {
	size := sizeOf[T]()
	for i := range rows {
		for j := range cols {
			*at[T](dst, j*ldd+i*size) = *at[T](src, i*lds+j*size)
		}
	}
}

func copyRowsPortable[T Float](dst, src unsafe.Pointer, ldd, lds, rows, cols int) {
	for i := range rows {
		d := unsafe.Slice(at[T](dst, i*ldd), cols)
		copy(d, unsafe.Slice(at[T](src, i*lds), cols))
	}
}
