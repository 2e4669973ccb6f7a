// Command gomlx is the worker of GoMLX's pure-Go backend in the comparison with
// other systems (see package protocol). Its threads are those that the process's
// affinity allows.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/simplego"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"

	"sgflow/bench/peers/protocol"
	"sgflow/engine/record"
)

func main() {
	out := os.Stdout
	os.Stdout = os.Stderr // what the library prints must not get between the answers
	if err := protocol.Serve(os.Stdin, out, prepare); err != nil {
		fmt.Fprintln(os.Stderr, "gomlx:", err)
		os.Exit(1)
	}
}

// steps trains with one compiled graph a step, parameters donated.
type steps struct {
	shared  *protocol.Shared
	backend backends.Backend
	exec    *graph.Exec
	params  []*tensors.Tensor
	pixels  []float32
	hots    []float32
	batch   int
	at      int
}

func prepare(r protocol.Request) (protocol.Steps, error) {
	if r.Model != "mlp" {
		return nil, errors.New("the pure-Go backend lacks Reverse, which the gradient of a convolution takes")
	}
	shared, err := protocol.OpenShared(r)
	if err != nil {
		return nil, err
	}
	s := &steps{
		shared: shared, batch: r.Batch,
		pixels: make([]float32, r.Batch*protocol.Pixels), hots: make([]float32, r.Batch*protocol.Classes),
	}
	for _, w := range shared.Weights {
		s.params = append(s.params, tensors.FromFlatDataAndDimensions(record.Values[float32](w), w.Shape...))
	}
	if s.backend, err = simplego.New(""); err != nil {
		return nil, err
	}
	s.exec, err = graph.NewExec(s.backend, func(in []*graph.Node) []*graph.Node { return step(r.Rate, in) })
	if err != nil {
		return nil, err
	}
	return s, nil
}

// step is the graph of a training step of the mlp preset. in holds the pixels, the labels' rows
// (1/batch where the label is) and the parameters; the results are the loss and
// the new parameters.
func step(rate float64, in []*graph.Node) []*graph.Node {
	x, y, p := in[0], in[1], in[2:]
	relu := func(h *graph.Node) *graph.Node { return graph.MaxScalar(h, float32(0)) }
	dense := func(h, w, b *graph.Node) *graph.Node {
		return graph.Add(graph.DotGeneral(h, []int{1}, nil, w, []int{1}, nil), graph.ExpandLeftToRank(b, 2))
	}
	z := dense(relu(dense(relu(dense(x, p[0], p[1])), p[2], p[3])), p[4], p[5])
	loss := graph.Neg(graph.ReduceAllSum(graph.Mul(graph.LogSoftmax(z), y)))
	out := []*graph.Node{loss}
	for k, g := range graph.Gradient(loss, p...) {
		out = append(out, graph.Sub(p[k], graph.MulScalar(g, rate)))
	}
	return out
}

func (s *steps) Step() (float64, error) {
	s.shared.Gather(s.at, s.pixels, s.hots)
	s.at++
	in := []any{
		tensors.FromFlatDataAndDimensions(s.pixels, s.batch, protocol.Pixels),
		tensors.FromFlatDataAndDimensions(s.hots, s.batch, protocol.Classes),
	}
	for _, p := range s.params {
		donated, err := graph.DonateTensorBuffer(p, s.backend, 0)
		if err != nil {
			return 0, err
		}
		in = append(in, donated)
	}
	out, err := s.exec.Exec(in...)
	if err != nil {
		return 0, err
	}
	s.params = out[1:]
	return float64(tensors.ToScalar[float32](out[0])), nil
}

func (s *steps) Close() {
	s.exec.Finalize()
	s.backend.Finalize()
}
