// Command gorgonia is the worker of Gorgonia's TapeMachine in the comparison
// with other systems (see package protocol). Built with the tag openblas and
// cgo, its products are OpenBLAS's, else gonum's.
package main

import (
	"fmt"
	"os"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/bench/peers/protocol"
	"sgflow/engine/record"
)

func main() {
	if err := protocol.Serve(os.Stdin, os.Stdout, prepare); err != nil {
		fmt.Fprintln(os.Stderr, "gorgonia:", err)
		os.Exit(1)
	}
}

// steps trains on a TapeMachine.
type steps struct {
	shared *protocol.Shared
	rate   float32

	vm           G.VM
	params       G.Nodes
	grads        G.Nodes
	loss         *G.Node
	x, y         *G.Node
	pixels, hots *tensor.Dense
	at           int
}

func prepare(r protocol.Request) (protocol.Steps, error) {
	shared, err := protocol.OpenShared(r)
	if err != nil {
		return nil, err
	}
	s := &steps{shared: shared, rate: float32(r.Rate)}
	weights := map[string]*tensor.Dense{}
	for _, t := range shared.Weights {
		weights[t.Name] = tensor.New(tensor.WithShape(t.Shape...), tensor.WithBacking(record.Values[float32](t)))
	}
	n, err := build(r.Model, r.Batch, weights)
	if err != nil {
		return nil, err
	}
	grads, err := G.Grad(n.loss, n.params...)
	if err != nil {
		return nil, err
	}
	s.x, s.y, s.loss, s.params, s.grads = n.x, n.y, n.loss, n.params, grads
	s.pixels = tensor.New(tensor.WithShape(n.x.Shape()...), tensor.Of(tensor.Float32))
	s.hots = tensor.New(tensor.WithShape(n.y.Shape()...), tensor.Of(tensor.Float32))
	// Only what loss and gradients need runs: without this the tape computes
	// the gradient of the input too.
	roots := append(G.Nodes{n.loss}, grads...)
	s.vm = G.NewTapeMachine(n.loss.Graph().SubgraphRoots(roots...))
	return s, nil
}

func (s *steps) Step() (float64, error) {
	s.shared.Gather(s.at, s.pixels.Data().([]float32), s.hots.Data().([]float32))
	if err := G.Let(s.x, s.pixels); err != nil {
		return 0, err
	}
	if err := G.Let(s.y, s.hots); err != nil {
		return 0, err
	}
	if err := s.vm.RunAll(); err != nil {
		return 0, err
	}
	for k, p := range s.params {
		theta := p.Value().Data().([]float32)
		for i, g := range s.grads[k].Value().Data().([]float32) {
			theta[i] -= s.rate * g
		}
	}
	loss := float64(s.loss.Value().Data().(float32))
	s.at++
	s.vm.Reset()
	return loss, nil
}

func (s *steps) Close() { s.vm.Close() }
