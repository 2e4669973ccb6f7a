package kernel

// flatOp names what a flatTask does to each chunk.
type flatOp uint8

const (
	opActivate flatOp = iota
	opActGrad
	opActCurve
	opMul
	opAdd
	opSub
	opScale
	opAxpy
	opCombine
	opDot
	opDistance
	opNorm
	opExchange
	opFollow
	opSGD
	opAdam
)

// flatTask applies one operation to slices of equal length, chunk by chunk.
type flatTask[T Float] struct {
	kernels   *Kernels[T]
	op        flatOp
	act       Activation
	a, b      T
	dst, x, y []T
	z         []T // of opAdam
	follow    Combination[T]
	chunk     int
	step      sgdStep[T]
	adam      adamStep[T]
}

// Elements in a chunk. Sums are made chunk by chunk, so sumChunk is part of the
// definition of their rounding.
const (
	flatChunk = 1 << 15
	mathChunk = 1 << 11 // for functions of many operations an element
	sumChunk  = 1 << 13
	// combineChunk is what goes through both loops of Combine while it is in the
	// first-level cache.
	combineChunk = 1 << 10
)

// runFlat runs the task that k.flat was set to over n elements.
func (k *Kernels[T]) runFlat(n, chunk int) {
	k.flat.kernels, k.flat.chunk = k, chunk
	k.pool.Run((n+chunk-1)/chunk, &k.flat)
	k.flat = flatTask[T]{}
}

// Do works on chunk i.
func (t *flatTask[T]) Do(i, worker int) {
	v := &t.kernels.vec
	lo := i * t.chunk
	part := func(s []T) []T {
		if s == nil {
			return nil
		}
		return s[lo:min(lo+t.chunk, len(s))]
	}
	dst, x, y := part(t.dst), part(t.x), part(t.y)
	switch t.op {
	case opActivate:
		v.activate(t.act, dst, x)
	case opActGrad:
		v.actGrad(t.act, dst, x, y)
	case opActCurve:
		actCurvePortable(t.act, dst, x, y)
	case opMul:
		v.mul(dst, x, y)
	case opAdd:
		v.add(dst, x, y)
	case opSub:
		v.sub(dst, x, y)
	case opScale:
		v.scale(dst, t.a, x)
	case opAxpy:
		v.axpy(dst, t.a, x)
	case opCombine:
		for len(dst) > 0 {
			n := min(len(dst), combineChunk)
			v.scale(dst[:n], t.a, x[:n])
			v.axpy(dst[:n], t.b, y[:n])
			dst, x, y = dst[n:], x[n:], y[n:]
		}
	case opDot:
		t.kernels.sums[i] = v.dot(x, y)
	case opDistance:
		t.kernels.sums[i] = v.distance(x, y)
	case opNorm:
		t.kernels.sums[i] = v.normSq(x)
	case opExchange:
		t.kernels.sums[i] = v.exchange(dst, x, &t.kernels.squares[i])
	case opFollow:
		t.kernels.sums[i], t.kernels.squares[i] = t.kernels.follow(lo, dst, &t.follow, worker)
	case opSGD:
		v.sgd(&t.step, dst, x, y)
	case opAdam:
		v.adam(&t.adam, dst, x, y, part(t.z))
	}
}

// binary runs dst = x op y.
func (k *Kernels[T]) binary(op flatOp, dst, x, y []T) {
	k.flat = flatTask[T]{op: op, dst: dst, x: x[:len(dst)], y: y[:len(dst)]}
	k.runFlat(len(dst), flatChunk)
}

// Activate stores dst = f(x), element by element; len(dst) elements. dst may be
// x. NaN stays NaN, and ReLU keeps −0. In float64 and on the portable path the
// functions are those of package math; the assembly's float32 Tanh and Sigmoid are
// within 3 units in the last place and its GELU within 3e-7·max(1,|x|).
func (k *Kernels[T]) Activate(f Activation, dst, x []T) {
	k.flat = flatTask[T]{op: opActivate, act: f, dst: dst, x: x[:len(dst)]}
	k.runFlat(len(dst), chunkFor(f))
}

// ActGrad stores dst = dy·f′, the adjoint of Activate. ref is f's output
// y = f(x) for ReLU (f′ = 1 where y > 0, else 0), Tanh (1−y²) and Sigmoid
// (y(1−y)), but its input x for GELU (Φ(x) + x·Φ′(x)). dst may be dy or ref.
func (k *Kernels[T]) ActGrad(f Activation, dst, dy, ref []T) {
	k.flat = flatTask[T]{op: opActGrad, act: f, dst: dst, x: dy[:len(dst)], y: ref[:len(dst)]}
	k.runFlat(len(dst), chunkFor(f))
}

// ActCurve stores dst = v·f″, with ref as for ActGrad: −2y(1−y²) for Tanh,
// y(1−y)(1−2y) for Sigmoid, (2−x²)Φ′(x) for GELU, zero for ReLU. dst may be v
// or ref.
func (k *Kernels[T]) ActCurve(f Activation, dst, v, ref []T) {
	k.flat = flatTask[T]{op: opActCurve, act: f, dst: dst, x: v[:len(dst)], y: ref[:len(dst)]}
	k.runFlat(len(dst), chunkFor(f))
}

// chunkFor is the chunk for an activation.
func chunkFor(f Activation) int {
	if f == Identity || f == ReLU {
		return flatChunk
	}
	return mathChunk
}

// Mul stores dst = x·y, element by element. dst may be x or y.
func (k *Kernels[T]) Mul(dst, x, y []T) { k.binary(opMul, dst, x, y) }

// Add stores dst = x + y. dst may be x or y.
func (k *Kernels[T]) Add(dst, x, y []T) { k.binary(opAdd, dst, x, y) }

// Sub stores dst = x − y. dst may be x or y.
func (k *Kernels[T]) Sub(dst, x, y []T) { k.binary(opSub, dst, x, y) }

// Scale stores dst = a·x. dst may be x.
func (k *Kernels[T]) Scale(dst []T, a T, x []T) {
	k.flat = flatTask[T]{op: opScale, a: a, dst: dst, x: x[:len(dst)]}
	k.runFlat(len(dst), flatChunk)
}

// Axpy stores y = y + a·x; len(y) elements.
func (k *Kernels[T]) Axpy(y []T, a T, x []T) {
	k.flat = flatTask[T]{op: opAxpy, a: a, dst: y, x: x[:len(y)]}
	k.runFlat(len(y), flatChunk)
}

// Combine stores dst = a·x + b·y: Scale and then Axpy, in one pass over memory. dst may be
// x, not y.
func (k *Kernels[T]) Combine(dst []T, a T, x []T, b T, y []T) {
	k.flat = flatTask[T]{op: opCombine, a: a, b: b, dst: dst, x: x[:len(dst)], y: y[:len(dst)]}
	k.runFlat(len(dst), flatChunk)
}

// Dot is Σ x·y over len(x) elements, with products and sums in float64.
func (k *Kernels[T]) Dot(x, y []T) float64 {
	k.flat = flatTask[T]{op: opDot, x: x, y: y[:len(x)]}
	return k.total(len(x))
}

// DistanceSq is Σ (x−y)² over len(x) elements, in float64 throughout.
func (k *Kernels[T]) DistanceSq(x, y []T) float64 {
	k.flat = flatTask[T]{op: opDistance, x: x, y: y[:len(x)]}
	return k.total(len(x))
}

// NormSq is Σ x², with products and sums in float64.
func (k *Kernels[T]) NormSq(x []T) float64 {
	k.flat = flatTask[T]{op: opNorm, x: x}
	return k.total(len(x))
}

// Exchange stores dst = x and returns in the same pass Σ dst·x with the old
// dst and Σ x², each as Dot does. dst is not x.
func (k *Kernels[T]) Exchange(dst, x []T) (dot, normSq float64) {
	chunks := (len(dst) + sumChunk - 1) / sumChunk
	k.squares = grow(k.squares, chunks)
	k.flat = flatTask[T]{op: opExchange, dst: dst, x: x[:len(dst)]}
	dot = k.total(len(dst))
	for _, c := range k.squares[:chunks] {
		normSq += c
	}
	return dot, normSq
}

// Combination is w = αx + βy of two vectors and what their products with a matrix, hx and hy,
// make of it: the residual r = α·hx + β·hy − λw.
type Combination[T Float] struct {
	Alpha, Beta, Lambda, Rate T
	X, HX, Y, HY              []T
}

// Follow stores u = w + τr, with the rate τ, in one pass over memory, and returns Σ r² and Σ uw
// with what u was, each as Dot sums but in pieces of combineChunk.
func (k *Kernels[T]) Follow(u []T, c Combination[T]) (rr, uw float64) {
	chunks := (len(u) + sumChunk - 1) / sumChunk
	k.squares = grow(k.squares, chunks)
	k.flat = flatTask[T]{op: opFollow, dst: u, follow: c}
	rr = k.total(len(u))
	for _, s := range k.squares[:chunks] {
		uw += s
	}
	return rr, uw
}

// follow is Follow for the elements of u, which are those from at on.
func (k *Kernels[T]) follow(at int, u []T, c *Combination[T], worker int) (rr, uw float64) {
	v, both := &k.vec, k.scratch(worker, 1, 2*combineChunk)
	for len(u) > 0 {
		n := min(len(u), combineChunk)
		w, r := both[:n], both[combineChunk:][:n]
		v.scale(w, c.Alpha, c.X[at:at+n])
		v.axpy(w, c.Beta, c.Y[at:at+n])
		v.scale(r, c.Alpha, c.HX[at:at+n])
		v.axpy(r, c.Beta, c.HY[at:at+n])
		v.axpy(r, -c.Lambda, w)
		rr += v.normSq(r)
		uw += v.dot(u[:n], w)
		copy(u, w)
		v.axpy(u[:n], c.Rate, r)
		u, at = u[n:], at+n
	}
	return rr, uw
}

// total runs a sum over n elements and adds the chunks' sums in order.
func (k *Kernels[T]) total(n int) float64 {
	chunks := (n + sumChunk - 1) / sumChunk
	k.sums = grow(k.sums, chunks)
	k.runFlat(n, sumChunk)
	var s float64
	for _, c := range k.sums[:chunks] {
		s += c
	}
	return s
}
