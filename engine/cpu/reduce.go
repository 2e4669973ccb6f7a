package cpu

import "sgflow/engine/program"

// reduce sums over axes or repeats along them. Neighbouring axes that are both
// summed or both kept are one axis, so the dims alternate: kept, summed, kept,
// summed, ….
type reduce[T Float] struct {
	out, x    operand[T]
	dims      []program.Extent // alternating, the first kept (extent 1 if need be)
	broadcast bool
	mean      bool

	sizes []int     // dims at the batch size of the run
	sums  []float64 // of the smaller array
}

func bindReduce[T Float](b *binder[T], in *program.Reduce) bound {
	r := &reduce[T]{broadcast: in.Broadcast, mean: in.Mean, dims: []program.Extent{whole(1)}}
	if len(in.Dims) != len(in.Axes) {
		b.fail("%d dims and %d axes", len(in.Dims), len(in.Axes))
		return r
	}
	large, small := whole(1), whole(1)
	for k, d := range in.Dims {
		large = b.extent(large, d)
		if !in.Axes[k] {
			small = b.extent(small, d)
		}
		summed := len(r.dims)%2 == 0
		if in.Axes[k] != summed {
			r.dims = append(r.dims, d)
		} else {
			last := len(r.dims) - 1
			r.dims[last] = b.extent(r.dims[last], d)
		}
	}
	r.sizes = make([]int, len(r.dims))
	if in.Broadcast {
		r.out, r.x = b.real(in.Out, large), b.real(in.X, small)
	} else {
		r.out, r.x = b.real(in.Out, small), b.real(in.X, large)
		r.sums = make([]float64, small.At(b.m.capacity))
	}
	return r
}

func (r *reduce[T]) run(n int) {
	out, x := r.out.at(n), r.x.at(n)
	kept, summed := 1, 1
	for k, d := range r.dims {
		r.sizes[k] = d.At(n)
		if k%2 == 0 {
			kept *= r.sizes[k]
		} else {
			summed *= r.sizes[k]
		}
	}
	factor := 1.0
	if r.mean {
		factor = 1 / float64(summed)
	}
	if r.broadcast {
		repeat(out, x, r.sizes, T(factor))
		return
	}
	sums := r.sums[:kept]
	clear(sums)
	add(sums, x, r.sizes)
	for k, v := range sums {
		out[k] = T(v * factor)
	}
}

// add adds x, which has the given sizes, to sums, in which the odd ones are 1.
func add[T Float](sums []float64, x []T, sizes []int) {
	switch len(sizes) {
	case 1:
		for k, v := range x {
			sums[k] += float64(v)
		}
		return
	case 2:
		inner := sizes[1]
		for k := range sums {
			s := 0.0
			for _, v := range x[k*inner : (k+1)*inner] {
				s += float64(v)
			}
			sums[k] += s
		}
		return
	}
	small, large := len(sums)/sizes[0], len(x)/sizes[0]/sizes[1]
	for k := range sizes[0] {
		part := sums[k*small : (k+1)*small]
		for range sizes[1] {
			add(part, x[:large], sizes[2:])
			x = x[large:]
		}
	}
}

// repeat writes x, in which the odd sizes are 1, times factor to out.
func repeat[T Float](out, x []T, sizes []int, factor T) {
	switch len(sizes) {
	case 1:
		for k, v := range x {
			out[k] = v * factor
		}
		return
	case 2:
		inner := sizes[1]
		for k, v := range x {
			row := out[k*inner : (k+1)*inner]
			for i := range row {
				row[i] = v * factor
			}
		}
		return
	}
	small, large := len(x)/sizes[0], len(out)/sizes[0]/sizes[1]
	for k := range sizes[0] {
		part := x[k*small : (k+1)*small]
		for range sizes[1] {
			repeat(out[:large], part, sizes[2:], factor)
			out = out[large:]
		}
	}
}

type transpose[T Float] struct {
	out, x     operand[T]
	rows, cols int
}

func bindTranspose[T Float](b *binder[T], in *program.Transpose) bound {
	size := whole(in.Rows * in.Cols)
	return &transpose[T]{b.real(in.Out, size), b.real(in.X, size), in.Rows, in.Cols}
}

func (t *transpose[T]) run(n int) {
	out, x := t.out.at(n), t.x.at(n)
	for i := range t.rows {
		for j, v := range x[i*t.cols : (i+1)*t.cols] {
			out[j*t.rows+i] = v
		}
	}
}
