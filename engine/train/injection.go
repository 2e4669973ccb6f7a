package train

import (
	"math"
	"strconv"
	"strings"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/measure"
	"sgflow/engine/problem"
	"sgflow/engine/request"
	"sgflow/engine/rng"
)

// The kinds of noise that the setting noise adds to gradients.
const (
	noiseSigma     = "sigma"
	noiseDiagonal  = "diagonal"
	noiseIsotropic = "isotropic"
	noiseGaussian  = "gaussian"
)

// injection is noise that is added to the gradient ḡ of every step, after it was
// measured and before the optimizer sees it: normal, of mean zero, and with the
// covariance, for a batch of n samples and z of independent standard normals,
//
//	sigma:B      (1/B − 1/n)·Σ̂            √(1/B − 1/n)·Σ (zᵢ − z̄)gᵢ/√(n − 1)
//	diagonal:B   (1/B − 1/n)·diag Σ̂       √((1/B − 1/n)·Σ̂ⱼⱼ)·zⱼ
//	isotropic:B  (1/B − 1/n)·(tr Σ̂/P)·I   √((1/B − 1/n)·tr Σ̂/P)·zⱼ
//	gaussian:S   S²·I                     S·zⱼ
//
// Σ̂ is the unbiased covariance of the samples' gradients gᵢ, so that the first
// three make the noise of batches of n as large, in its trace, as that of batches
// of B < n: the whole of it, its diagonal, or the same in every direction. sigma
// makes gradients that cannot be told from those of batches of B by their first two
// moments. Σ̂^½z is never formed: a random combination of the gradients has exactly
// that distribution. Where a batch is not larger than B, or is a single sample,
// nothing is added. gaussian is the noise of Neelakantan et al. 2015,
// arXiv:1511.06807, without its schedule.
type injection struct {
	kind  string
	batch float64 // B
	size  float64 // S
}

// parseInjection reads the setting noise; "" is none.
func parseInjection(setting string) (*injection, error) {
	if setting == "" {
		return nil, nil
	}
	kind, text, _ := strings.Cut(setting, ":")
	j := &injection{kind: kind}
	switch kind {
	case noiseSigma, noiseDiagonal, noiseIsotropic:
		b, err := strconv.Atoi(text)
		if err != nil || b < 1 {
			return nil, request.BadValue("noise", setting, "give the batch size whose noise is imitated as a whole number from 1: %s:8, say", kind)
		}
		j.batch = float64(b)
	case noiseGaussian:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || !(x > 0) || math.IsInf(x, 0) {
			return nil, request.BadValue("noise", setting, "give the standard deviation of the noise as a number above 0: %s:0.01, say", kind)
		}
		j.size = x
	default:
		return nil, request.Unknown("noise", kind, noiseSigma, noiseDiagonal, noiseIsotropic, noiseGaussian)
	}
	return j, nil
}

// check returns a request.Error where batches of at most n samples get no noise.
func (j *injection) check(n int) error {
	if j.kind != noiseGaussian && j.batch >= float64(n) {
		return request.BadValue("noise", j.kind+":"+strconv.Itoa(int(j.batch)), "batches have %d samples, and only noise of smaller ones can be imitated: give less than %d", n, n)
	}
	return nil
}

// injection returns the noise that c asks for on the opened problem.
func (c *Config) injection(p *problem.Opened) (*injection, error) {
	j, err := parseInjection(c.Noise)
	if j == nil || err != nil {
		return nil, err
	}
	if p.Program != nil && p.Program.BatchCoupled && j.kind != noiseGaussian {
		return nil, request.BadValue("noise", c.Noise, "the model mixes its samples, whose gradients do not exist one by one: use %s:S", noiseGaussian)
	}
	n := c.Batch
	if c.Sampling == string(data.Full) {
		n = p.Train.N
	}
	return j, j.check(n)
}

// norms reports whether the noise follows from the norms of samples' gradients.
func (j *injection) norms() bool { return j != nil && j.kind == noiseIsotropic }

// injector makes the noise of an injection.
type injector[T engine.Float] struct {
	injection
	o      *measure.Objective[T]
	seed   uint64
	noise  []T       // what is to be added
	moment []T       // (1/n) Σ gᵢ∘gᵢ
	z      []float64 // of the samples
	gauss  *gauss[T]

	n      int     // of the draw in progress
	share  float64 // 1/B − 1/n
	spread func(from, to int)
}

func newInjector[T engine.Float](j *injection, o *measure.Objective[T], seed uint64) *injector[T] {
	if j == nil {
		return nil
	}
	i := &injector[T]{injection: *j, o: o, seed: seed}
	s := o.Session()
	i.noise = s.NewVector(len(s.Params()))
	i.gauss = newGauss(s)
	if j.kind == noiseDiagonal {
		i.moment = s.NewVector(len(i.noise))
		i.spread = func(from, to int) {
			grad, n := s.Grad(), float64(i.n)
			for k := from; k < to; k++ {
				g := float64(grad[k])
				v := max(0, float64(i.moment[k])-g*g) * n / (n - 1)
				i.noise[k] = T(math.Sqrt(i.share*v) * float64(i.noise[k]))
			}
		}
	}
	return i
}

// draw makes the noise for the objective's last Gradient, of n samples and with the
// given noise of its own. It reports whether there is any.
func (i *injector[T]) draw(step, n int, own measure.GradientNoise) bool {
	stream := rng.New(rng.Injections, i.seed, uint64(step))
	i.n, i.share = n, 1/i.batch-1/float64(n)
	if i.kind != noiseGaussian && (n < 2 || i.share <= 0) {
		return false
	}
	switch i.kind {
	case noiseSigma:
		if cap(i.z) < n {
			i.z = make([]float64, n)
		}
		i.z = i.z[:n]
		rng.Normals(i.z, stream, 0)
		mean := 0.0
		for _, z := range i.z {
			mean += z / float64(n)
		}
		scale := math.Sqrt(i.share / float64(n-1))
		for k := range i.z {
			i.z[k] = scale * (i.z[k] - mean)
		}
		return i.o.CombineSamples(i.noise, i.z)
	case noiseDiagonal:
		if !i.o.SecondMoment(i.moment) {
			return false
		}
		i.gauss.fill(i.noise, stream)
		i.o.Session().Split(len(i.noise), 1, i.spread)
	case noiseIsotropic:
		trace, ok := own.VarTrace()
		if !ok {
			return false
		}
		i.gauss.fill(i.noise, stream)
		i.o.Session().Scale(math.Sqrt(i.share*trace/float64(len(i.noise))), i.noise)
	case noiseGaussian:
		i.gauss.fill(i.noise, stream)
		i.o.Session().Scale(i.size, i.noise)
	}
	return true
}

// gauss fills vectors with standard normal numbers on a session's threads.
type gauss[T engine.Float] struct {
	s      *engine.Session[T]
	dst    []T
	stream rng.Stream
	piece  func(from, to int)
}

func newGauss[T engine.Float](s *engine.Session[T]) *gauss[T] {
	g := &gauss[T]{s: s}
	g.piece = func(from, to int) { rng.Normals(g.dst[from:to], g.stream, uint64(from)) }
	return g
}

// normalCost is how many moves of an element a normal number costs, about.
const normalCost = 32

// fill makes dst the vector of normal numbers of the stream (see rng.Normals).
func (g *gauss[T]) fill(dst []T, stream rng.Stream) {
	g.dst, g.stream = dst, stream
	g.s.Split(len(dst), normalCost, g.piece)
	g.dst = nil
}
