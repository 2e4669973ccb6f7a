package cpu

import (
	"fmt"
	"math"

	"sgflow/engine/program"
)

// reference interprets a program in float64, as plainly as its documentation
// states it, with every buffer in memory of its own. It shares no code with
// the machine.
type reference struct {
	p     *program.Program
	n     int
	noise bool
	real  map[program.BufferID][]float64
	index map[program.BufferID][]int
}

// newReference allocates the buffers for n samples and fills the constants.
func newReference(p *program.Program, n int) *reference {
	r := &reference{p: p, n: n, real: map[program.BufferID][]float64{}, index: map[program.BufferID][]int{}}
	for k := range p.Buffers {
		b := &p.Buffers[k]
		id := program.BufferID(k)
		if b.Type == program.Index {
			r.index[id] = make([]int, b.Len(n))
			continue
		}
		s := make([]float64, b.Len(n))
		if b.Role == program.Constant {
			for i := range s {
				s[i] = b.Values[i%len(b.Values)]
			}
		}
		r.real[id] = s
	}
	return r
}

// setFlat fills the buffers of a role from a flat vector.
func (r *reference) setFlat(role program.Role, v []float64) {
	for k := range r.p.Buffers {
		if b := &r.p.Buffers[k]; b.Role == role {
			copy(r.real[program.BufferID(k)], v[b.Offset:])
		}
	}
}

// flat collects the buffers of a role into a vector.
func (r *reference) flat(role program.Role) []float64 {
	v := make([]float64, r.p.NumParams)
	for k := range r.p.Buffers {
		if b := &r.p.Buffers[k]; b.Role == role {
			copy(v[b.Offset:], r.real[program.BufferID(k)])
		}
	}
	return v
}

func (r *reference) run(phases ...program.Phase) {
	for _, ph := range phases {
		for _, in := range r.p.Phases[ph] {
			r.step(in)
		}
	}
}

func (r *reference) step(in program.Instr) {
	n := r.n
	switch in := in.(type) {
	case *program.MatMul:
		M, N, K := in.M.At(n), in.N.At(n), in.K.At(n)
		a, b, out := r.real[in.A], r.real[in.B], r.real[in.Out]
		for i := 0; i < M; i++ {
			for j := 0; j < N; j++ {
				s := 0.0
				for k := 0; k < K; k++ {
					av, bv := 0.0, 0.0
					if in.TransA {
						av = a[k*M+i]
					} else {
						av = a[i*K+k]
					}
					if in.TransB {
						bv = b[j*K+k]
					} else {
						bv = b[k*N+j]
					}
					s += av * bv
				}
				if in.Accumulate {
					s += out[i*N+j]
				}
				out[i*N+j] = r.epilogue(in.Epilogue, s, j, i*N+j)
			}
		}
	case *program.Conv:
		r.conv(in)
	case *program.MaxPool:
		g := in.Geom
		r.windows(g, func(w int, in0 int, cells []int) {
			best := cells[0]
			for _, c := range cells {
				if r.real[in.X][in0+c] > r.real[in.X][in0+best] {
					best = c
				}
			}
			r.real[in.Out][w] = r.real[in.X][in0+best]
			r.index[in.Index][w] = best
		})
	case *program.PoolScatter:
		for i := range r.real[in.Out] {
			r.real[in.Out][i] = 0
		}
		r.windows(in.Geom, func(w, in0 int, _ []int) {
			v := r.real[in.X][w]
			if in.Mask != program.None {
				v *= refOutputDerivative(in.MaskFunc, r.real[in.Mask][w])
			}
			r.real[in.Out][in0+r.index[in.Index][w]] += v
		})
	case *program.PoolGather:
		r.windows(in.Geom, func(w, in0 int, _ []int) {
			r.real[in.Out][w] = r.real[in.X][in0+r.index[in.Index][w]]
		})
	case *program.AvgPool:
		area := float64(in.Geom.KH * in.Geom.KW)
		if in.Adjoint {
			for i := range r.real[in.Out] {
				r.real[in.Out][i] = 0
			}
		}
		r.windows(in.Geom, func(w, in0 int, cells []int) {
			s := 0.0
			for _, c := range cells {
				if in.Adjoint {
					r.real[in.Out][in0+c] += r.real[in.X][w] / area
				} else {
					s += r.real[in.X][in0+c]
				}
			}
			if !in.Adjoint {
				r.real[in.Out][w] = s / area
			}
		})
	case *program.Unary:
		for i, x := range r.real[in.X] {
			v := 0.0
			if in.FromOutput {
				x = refInverse(in.Func, x)
			}
			v = refDerivative(in.Func, in.Order, x)
			if in.G != program.None {
				v *= r.real[in.G][i]
			}
			r.real[in.Out][i] = v
		}
	case *program.Binary:
		for i := range r.real[in.Out] {
			a, b := r.real[in.A][i], r.real[in.B][i]
			r.real[in.Out][i] = [...]float64{a + b, a - b, a * b, a / b}[in.Kind]
		}
	case *program.Scale:
		for i, x := range r.real[in.X] {
			r.real[in.Out][i] = in.Factor * x
		}
	case *program.Copy:
		copy(r.real[in.Out], r.real[in.X])
	case *program.Fill:
		for i := range r.real[in.Out] {
			r.real[in.Out][i] = in.Value
		}
	case *program.Result:
		r.real[in.Out][0] = r.real[in.X][0]
	case *program.AddBias:
		for i, x := range r.real[in.X] {
			r.real[in.Out][i] = refDerivative(in.Func, 0, x+r.real[in.B][i/in.Inner%in.Channels])
		}
	case *program.SumBias:
		if !in.Accumulate {
			clear(r.real[in.Out])
		}
		for i, x := range r.real[in.X] {
			r.real[in.Out][i/in.Inner%in.Channels] += x
		}
	case *program.Reduce:
		r.reduce(in)
	case *program.Transpose:
		for i := 0; i < in.Rows; i++ {
			for j := 0; j < in.Cols; j++ {
				r.real[in.Out][j*in.Rows+i] = r.real[in.X][i*in.Cols+j]
			}
		}
	case *program.Softmax:
		for i := 0; i < in.Rows.At(n); i++ {
			p := refSoftmax(r.real[in.X][i*in.Cols : (i+1)*in.Cols])
			for c, v := range p {
				if in.Log {
					v = math.Log(v)
				}
				r.real[in.Out][i*in.Cols+c] = v
			}
		}
	case *program.Loss:
		sum := 0.0
		for i := 0; i < n; i++ {
			z, y := r.row(in.Z, in.Classes, i), r.row(in.Y, in.Classes, i)
			p := refSoftmax(z)
			for c := range z {
				if in.Kind == program.MSE {
					sum += (z[c] - y[c]) * (z[c] - y[c]) / 2
				} else {
					sum -= y[c] * math.Log(p[c])
				}
			}
		}
		r.real[in.Out][0] = sum / float64(n)
	case *program.LossGrad:
		f := r.factor(in.G)
		for i := 0; i < n; i++ {
			z, y, out := r.row(in.Z, in.Classes, i), r.row(in.Y, in.Classes, i), r.row(in.Out, in.Classes, i)
			p := refSoftmax(z)
			for c := range z {
				if in.Kind == program.MSE {
					out[c] = f * (z[c] - y[c])
				} else {
					out[c] = f * (p[c] - y[c])
				}
			}
		}
	case *program.LossHess:
		f := r.factor(in.G)
		for i := 0; i < n; i++ {
			z, u, out := r.row(in.Z, in.Classes, i), r.row(in.U, in.Classes, i), r.row(in.Out, in.Classes, i)
			p := refSoftmax(z)
			for c := range z {
				s := 0.0
				for d := range z {
					h := 0.0
					if c == d {
						h = 1
					}
					if in.Kind == program.CrossEntropy {
						h = p[c] * (h - p[d])
					}
					s += h * u[d]
				}
				out[c] = f * s
			}
		}
	case *program.Correct:
		count := 0.0
		for i := 0; i < n; i++ {
			if refArgmax(r.row(in.Z, in.Classes, i)) == refArgmax(r.row(in.Y, in.Classes, i)) {
				count++
			}
		}
		r.real[in.Out][0] = count
	case *program.DenseNorms:
		for i := 0; i < n; i++ {
			// The gradient itself, element by element.
			s := 0.0
			for _, a := range r.row(in.A, in.ACols, i) {
				for _, b := range r.row(in.B, in.BCols, i) {
					g := float64(n) * a * b
					s += g * g
				}
			}
			r.real[in.Norms][i] += s
		}
	case *program.BiasNorms:
		for i := 0; i < n; i++ {
			x := r.row(in.X, in.Channels*in.Inner, i)
			for c := 0; c < in.Channels; c++ {
				g := 0.0
				for k := 0; k < in.Inner; k++ {
					g += float64(n) * x[c*in.Inner+k]
				}
				r.real[in.Norms][i] += g * g
			}
		}
	case *program.ConvSamples:
		clear(r.real[in.Out])
		width := len(r.real[in.Out]) / n
		for i := 0; i < n; i++ {
			refConvTerms(in.Geom, i, func(x, w, y int) {
				r.real[in.Out][i*width+w] += r.real[in.A][x] * r.real[in.B][y]
			})
		}
	case *program.BiasSamples:
		clear(r.real[in.Out])
		for i, x := range r.real[in.X] {
			r.real[in.Out][i/in.Inner] += x
		}
	default:
		panic(fmt.Sprintf("reference has no rule for %T", in))
	}
}

func (r *reference) row(id program.BufferID, width, i int) []float64 {
	return r.real[id][i*width : (i+1)*width]
}

func (r *reference) factor(g program.BufferID) float64 {
	if g == program.None {
		return 1 / float64(r.n)
	}
	return r.real[g][0] / float64(r.n)
}

// epilogue finishes element i, in the given column or channel.
func (r *reference) epilogue(e program.Epilogue, c float64, channel, i int) float64 {
	if e.Bias != program.None {
		c += r.real[e.Bias][channel]
	}
	c = refDerivative(e.Func, 0, c)
	if e.Mask != program.None {
		c *= refOutputDerivative(e.MaskFunc, r.real[e.Mask][i])
	}
	return c
}

// refConvTerms calls f for every product x·w in sample i's y, with the three
// indices.
func refConvTerms(g program.ConvGeom, i int, f func(x, w, y int)) {
	for o := 0; o < g.OutC; o++ {
		for p := 0; p < g.OutH; p++ {
			for q := 0; q < g.OutW; q++ {
				for c := 0; c < g.InC; c++ {
					for s := 0; s < g.KH; s++ {
						for t := 0; t < g.KW; t++ {
							row, col := p*g.StrideH+s*g.DilH-g.PadH, q*g.StrideW+t*g.DilW-g.PadW
							if row < 0 || row >= g.InH || col < 0 || col >= g.InW {
								continue
							}
							f(((i*g.InC+c)*g.InH+row)*g.InW+col, ((o*g.InC+c)*g.KH+s)*g.KW+t, ((i*g.OutC+o)*g.OutH+p)*g.OutW+q)
						}
					}
				}
			}
		}
	}
}

func (r *reference) conv(in *program.Conv) {
	g := in.Geom
	a, b, out := r.real[in.A], r.real[in.B], r.real[in.Out]
	if !in.Accumulate {
		clear(out)
	}
	for i := 0; i < r.n; i++ {
		switch in.Dir {
		case program.ConvForward:
			refConvTerms(g, i, func(x, w, y int) { out[y] += a[x] * b[w] })
		case program.ConvInput:
			refConvTerms(g, i, func(x, w, y int) { out[x] += a[y] * b[w] })
		case program.ConvWeight:
			dw := make([]float64, len(out))
			refConvTerms(g, i, func(x, w, y int) { dw[w] += a[x] * b[y] })
			norm := 0.0
			for k, v := range dw {
				out[k] += v
				norm += v * v
			}
			if r.noise && in.Norms != program.None {
				r.real[in.Norms][i] += float64(r.n*r.n) * norm
			}
		}
	}
	if in.Dir == program.ConvWeight {
		return
	}
	channels, plane := g.OutC, g.OutH*g.OutW
	if in.Dir == program.ConvInput {
		channels, plane = g.InC, g.InH*g.InW
	}
	for i := range out {
		out[i] = r.epilogue(in.Epilogue, out[i], i/plane%channels, i)
	}
}

// windows calls f for every window: its index w in the output, the first
// element of its input plane, and the positions in that plane that it covers.
func (r *reference) windows(g program.PoolGeom, f func(w, in0 int, cells []int)) {
	w := 0
	for plane := 0; plane < r.n*g.C; plane++ {
		for p := 0; p < g.OutH; p++ {
			for q := 0; q < g.OutW; q++ {
				var cells []int
				for s := 0; s < g.KH; s++ {
					for t := 0; t < g.KW; t++ {
						row, col := p*g.StrideH-g.PadH+s, q*g.StrideW-g.PadW+t
						if row >= 0 && row < g.InH && col >= 0 && col < g.InW {
							cells = append(cells, row*g.InW+col)
						}
					}
				}
				f(w, plane*g.InH*g.InW, cells)
				w++
			}
		}
	}
}

func (r *reference) reduce(in *program.Reduce) {
	total, count := 1, 1
	for k, d := range in.Dims {
		total *= d.At(r.n)
		if in.Axes[k] {
			count *= d.At(r.n)
		}
	}
	factor := 1.0
	if in.Mean {
		factor = 1 / float64(count)
	}
	if !in.Broadcast {
		clear(r.real[in.Out])
	}
	for i := 0; i < total; i++ {
		// The index in the smaller array of element i of the larger one.
		small, stride, rest := 0, 1, i
		for k := len(in.Dims) - 1; k >= 0; k-- {
			d := in.Dims[k].At(r.n)
			if !in.Axes[k] {
				small += rest % d * stride
				stride *= d
			}
			rest /= d
		}
		if in.Broadcast {
			r.real[in.Out][i] = r.real[in.X][small] * factor
		} else {
			r.real[in.Out][small] += r.real[in.X][i] * factor
		}
	}
}
