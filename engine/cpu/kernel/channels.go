package kernel

// channelTask is sums over channels as an operation of a stream.
type channelTask[T Float] struct {
	kernels         *Kernels[T]
	n               int
	channels, plane int
	dst, x          []T
	acc             bool
	perSample       []float64

	sums []float64 // by sample and channel; kept from one use to the next
}

// ChannelSum stores dst[c] = [dst[c] +] Σ_{i,p} x(i,c,p) for x of n samples,
// channels planes each and plane elements a plane (NCHW): the bias gradient of a
// convolution. With acc it adds to dst. Where perSample is not nil it also
// stores perSample[i] = Σ_c (Σ_p x(i,c,p))², the squared norm of sample i's own
// bias gradient. Sums are made in float64.
func (s *Stream[T]) ChannelSum(dst, x []T, channels, plane int, acc bool, perSample []float64) {
	t := s.channels.next()
	*t = channelTask[T]{
		kernels: s.kernels, n: s.n, channels: channels, plane: plane,
		dst: dst[:channels], x: x[:s.n*channels*plane], acc: acc,
		sums: grow(t.sums, s.n*channels),
	}
	if perSample != nil {
		t.perSample = perSample[:s.n]
	}
	if s.n == 0 && !acc {
		clear(t.dst)
	}
	s.add(t, channels*plane, channels*plane*moveWork)
}

func (t *channelTask[T]) before()   {}
func (t *channelTask[T]) begin(int) {}

// samples adds up the planes of samples [lo,hi).
func (t *channelTask[T]) samples(_, lo, hi, _ int) {
	for i := lo; i < hi; i++ {
		var norm float64
		for c := range t.channels {
			at := i*t.channels + c
			s := t.kernels.vec.sum(t.x[at*t.plane:][:t.plane])
			t.sums[at] = s
			norm += s * s
		}
		if t.perSample != nil {
			t.perSample[i] = norm
		}
	}
}

// after adds up the samples in their order.
func (t *channelTask[T]) after() {
	for c := range t.dst {
		var s float64
		for i := range t.n {
			s += t.sums[i*t.channels+c]
		}
		if t.acc {
			s += float64(t.dst[c])
		}
		t.dst[c] = T(s)
	}
}

func (t *channelTask[T]) forget() { *t = channelTask[T]{sums: t.sums} }
