package lower

import (
	"fmt"

	"sgflow/engine/op"
)

// infer finds out whether axis 0 of v is the batch, from its op and its
// arguments, and whether v mixes samples.
func (g *graph) infer(v *value) error {
	batchedArg := false
	for _, a := range v.args {
		v.data = v.data || a.data
		v.coupled = v.coupled || a.coupled
		batchedArg = batchedArg || a.batched
	}
	var err error
	switch o := v.op.(type) {
	case inputLeaf, paramLeaf, vectorLeaf, constLeaf:
		return nil
	case fill:
		v.batched = o.batched
	case op.MatMul:
		err = g.inferMatMul(v, o)
	case op.Conv:
		err = g.inferConv(v, o)
	case op.Sum:
		v.batched = v.args[0].batched && !o.Axes.Has(0)
	case op.Broadcast:
		v.batched = v.args[0].batched || o.Axes.Has(0) && len(v.shape) > 0 && v.shape[0] == g.batch
	case op.Reshape:
		x := v.args[0]
		v.batched = x.batched
		if x.batched && (len(v.shape) == 0 || v.shape[0] != g.batch) {
			err = fmt.Errorf("reshape of a batch from %v to %v mixes samples; keep the batch as the first axis", x.shape, v.shape)
		}
	case op.Transpose:
		if v.args[0].batched {
			err = fmt.Errorf("transpose moves the batch from the first axis; only products may read a transposed batch")
		}
	case op.Loss:
		v.batched = o.Order > 0
		if !v.args[0].batched {
			err = fmt.Errorf("the loss needs logits with the batch as the first axis")
		}
	case op.Binary:
		v.batched = batchedArg
		if len(v.shape) > 0 && v.args[0].batched != v.args[1].batched {
			err = fmt.Errorf("one operand of %v is a batch and the other is not: a dimension of %v equals the batch size; build the graph with a batch size that no other dimension equals", o, v.shape)
		}
	default:
		// Elementwise, pooling, softmax: as the arguments.
		v.batched = batchedArg
	}
	if err != nil {
		return fmt.Errorf("lower: node %q: %w", v.node, err)
	}
	if v.batched {
		for _, a := range v.args {
			// A batched value that reads an unbatched one computed from the
			// data reads what other samples contributed to it.
			if a.data && !a.batched {
				v.coupled = true
			}
		}
	}
	return nil
}

func (g *graph) inferMatMul(v *value, o op.MatMul) error {
	a, b := v.args[0], v.args[1]
	switch {
	case !a.batched && !b.batched:
		v.batched = false
	case a.batched && !o.TransA && !b.batched:
		v.batched = true
	case a.batched && o.TransA && b.batched && !o.TransB:
		v.batched = false // contracted over the batch
	default:
		return fmt.Errorf("product of %v and %v puts the batch where it is neither the rows of the result nor summed over", a.shape, b.shape)
	}
	return nil
}

func (g *graph) inferConv(v *value, o op.Conv) error {
	a, b := v.args[0], v.args[1]
	if o.Dir == op.ConvWeight {
		if !a.batched || !b.batched {
			return fmt.Errorf("a convolution's weight gradient needs two batches")
		}
		v.batched = false
		return nil
	}
	if !a.batched || b.batched {
		return fmt.Errorf("a convolution needs a batch and a filter")
	}
	v.batched = true
	return nil
}
