package bench

import "sgflow/engine/program"

// Work returns the multiply-adds that the products and convolutions in a phase
// of p take for a batch of n samples: M·N·K of each product, and
// n·OutC·OutH·OutW·InC·KH·KW of each convolution in any direction, padding
// included. Elementwise work is not counted.
func Work(p *program.Program, ph program.Phase, n int) int {
	total := 0
	for _, in := range p.Phases[ph] {
		switch i := in.(type) {
		case *program.MatMul:
			total += i.M.At(n) * i.N.At(n) * i.K.At(n)
		case *program.Conv:
			g := i.Geom
			total += n * g.OutC * g.OutH * g.OutW * g.InC * g.KH * g.KW
		}
	}
	return total
}

// stepWork returns the multiply-adds of a training step that takes the given
// number of Hessian-vector products.
func stepWork(p *program.Program, n, products int) int {
	total := Work(p, program.Forward, n) + Work(p, program.Gradient, n)
	if products > 0 {
		total += Work(p, program.Curvature, n) + products*Work(p, program.HessianProduct, n)
	}
	return total
}
