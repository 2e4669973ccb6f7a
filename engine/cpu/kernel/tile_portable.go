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
	s := tileSet{lanes: portableLanes, rows: portableRows, vecs: 1, inPlace: 8}
	for m := 1; m <= portableRows; m++ {
		s.byRows[1][m] = func(t *tile) { tilePortable[T](t, m, false) }
		s.byCols[1][m] = func(t *tile) { tilePortable[T](t, m, true) }
	}
	for m := 1; m <= maxDotRows; m++ {
		for n := 1; n <= maxDotCols; n++ {
			s.dot[m][n] = func(t *tile) { dotTile[T](t, m, n) }
		}
	}
	s.transpose = transposePortable[T]
	s.copyRows = copyRowsPortable[T]
	return s
}

// tilePortable is the micro-kernel of m rows.
func tilePortable[T Float](t *tile, m int, byCols bool) {
	var acc [portableRows][portableLanes]T
	loadTile(t, &acc, m)
	switch {
	case t.last < portableLanes:
		sumEdge(t, &acc, m, byCols)
	case byCols:
		for i := 0; i < m; i += 2 {
			sumPairByCols(t, &acc, i, min(i+1, m-1))
		}
	default:
		for i := 0; i < m; i += 2 {
			sumPairByRows(t, &acc, i, min(i+1, m-1))
		}
	}
	storeTile(t, &acc, m)
}

// sumEdge adds the products of a block of fewer than four columns.
func sumEdge[T Float](t *tile, acc *[portableRows][portableLanes]T, m int, byCols bool) {
	size := sizeOf[T]()
	for k := range t.k {
		offset, step := k*size, t.lda
		if byCols {
			offset, step = ints(t.aoff, k), size
		}
		a := unsafe.Add(t.a, offset)
		b := unsafe.Add(t.b, ints(t.boff, k))
		for i := range m {
			x := *at[T](a, i*step)
			for j := range t.last {
				acc[i][j] += x * *at[T](b, j*size)
			}
		}
	}
}

// sumPairByRows adds the products of rows i and j, which may be the same, with
// their accumulators in registers.
func sumPairByRows[T Float](t *tile, acc *[portableRows][portableLanes]T, i, j int) {
	size := sizeOf[T]()
	p0, p1, p2, p3 := acc[i][0], acc[i][1], acc[i][2], acc[i][3]
	q0, q1, q2, q3 := acc[j][0], acc[j][1], acc[j][2], acc[j][3]
	a0, a1 := unsafe.Add(t.a, i*t.lda), unsafe.Add(t.a, j*t.lda)
	for k := range t.k {
		b := (*[portableLanes]T)(unsafe.Add(t.b, ints(t.boff, k)))
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
	acc[i] = [portableLanes]T{p0, p1, p2, p3}
	acc[j] = [portableLanes]T{q0, q1, q2, q3}
}

// sumPairByCols is sumPairByRows with A by columns.
func sumPairByCols[T Float](t *tile, acc *[portableRows][portableLanes]T, i, j int) {
	size := sizeOf[T]()
	p0, p1, p2, p3 := acc[i][0], acc[i][1], acc[i][2], acc[i][3]
	q0, q1, q2, q3 := acc[j][0], acc[j][1], acc[j][2], acc[j][3]
	a0, a1 := i*size, j*size
	for k := range t.k {
		a := unsafe.Add(t.a, ints(t.aoff, k))
		b := (*[portableLanes]T)(unsafe.Add(t.b, ints(t.boff, k)))
		x, y := *at[T](a, a0), *at[T](a, a1)
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
	acc[i] = [portableLanes]T{p0, p1, p2, p3}
	acc[j] = [portableLanes]T{q0, q1, q2, q3}
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
