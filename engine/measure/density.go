package measure

import "math"

// Density is a density of eigenvalues, each broadened to a Gaussian,
//
//	φ(t) = (1/K) Σ_k Σᵢ τ_ki N(t; θ_ki, σ²)
//
// over the nodes θ and weights τ of K probes (Ghorbani et al. 2019). It
// integrates to 1, so that a single eigenvalue among P is a peak of height
// 1/(P·σ·√2π). Values are means of φ over the cells of a uniform grid, not
// values at points: no grid is too coarse to show a peak or to keep its mass.
type Density struct {
	Sigma float64 `json:"sigma"`
	// Grid has the middles of the cells. They reach five σ beyond the nodes.
	Grid   []float64 `json:"grid"`
	Values []float64 `json:"density"`
	// Stderr is the standard error of Values over the probes, absent for one.
	Stderr []float64 `json:"density_stderr,omitempty"`
}

// tail is how many σ the grid reaches beyond the outermost nodes: all but 3e-7
// of their mass.
const tail = 5

// NewDensity returns the density of the quadratures, at least one with at least
// one node, on a grid of the given number of cells. sigma must be above 0.
func NewDensity(quadratures []Quadrature, sigma float64, points int) Density {
	from, to := math.Inf(1), math.Inf(-1)
	for _, q := range quadratures {
		from = min(from, q.Nodes[0])
		to = max(to, q.Nodes[len(q.Nodes)-1])
	}
	from -= tail * sigma
	to += tail * sigma
	width := (to - from) / float64(points)
	d := Density{Sigma: sigma, Grid: make([]float64, points), Values: make([]float64, points)}
	if len(quadratures) > 1 {
		d.Stderr = make([]float64, points)
	}
	probes := make([]float64, len(quadratures))
	for j := range d.Grid {
		t := from + (float64(j)+0.5)*width
		for k, q := range quadratures {
			probes[k] = q.Sum(func(theta float64) float64 {
				return normalMass((t-width/2-theta)/sigma, (t+width/2-theta)/sigma)
			}) / width
		}
		value, stderr, ok := mean(probes)
		d.Grid[j], d.Values[j] = t, value
		if ok {
			d.Stderr[j] = stderr
		}
	}
	return d
}

// normalMass returns the probability that a standard normal number lies
// between a and b, a ≤ b, to full relative precision in the tails too.
func normalMass(a, b float64) float64 {
	switch {
	case a > 0:
		return (math.Erfc(a/math.Sqrt2) - math.Erfc(b/math.Sqrt2)) / 2
	case b < 0:
		return normalMass(-b, -a)
	}
	return (math.Erf(b/math.Sqrt2) - math.Erf(a/math.Sqrt2)) / 2
}
