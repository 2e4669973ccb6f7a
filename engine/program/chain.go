package program

import "slices"

// Samplewise reports whether in makes each sample of its batched results from
// the same sample of its batched operands, by the work of which it mostly
// consists: convolutions, pools, sums over planes, elementwise functions, norms. Such
// instructions may run a few samples at a time, one after the other. Sums over
// the samples, like weight gradients, are complete when all samples are done.
func Samplewise(in Instr) bool {
	switch in := in.(type) {
	case *Conv, *MaxPool, *PoolScatter, *PoolGather, *AvgPool, *DenseNorms, *BiasNorms:
		return true
	case *Unary:
		return in.Size.Batch
	case *SumBias:
		return in.Inner > 1 && in.Outer == Extent{N: 1, Batch: true}
	}
	return false
}

// Chains numbers the chains of a list of instructions: chain[k] is that of
// list[k]. A chain is a run of consecutive Samplewise instructions of which none
// reads a sum that another makes, so that a backend may take a few samples
// through all of it before it starts with the next few. Every other instruction
// is a chain by itself. [Program.Plan] gives the buffers of a chain memory for
// which that holds too.
func (p *Program) Chains(list []Instr) (chain []int) {
	chain = make([]int, len(list))
	var sums []BufferID // made by the chain so far
	last := -1
	for k, in := range list {
		if k == 0 || !Samplewise(in) || !Samplewise(list[k-1]) || p.readsSum(in, sums) {
			last++
			sums = sums[:0]
		}
		chain[k] = last
		for _, id := range Writes(in) {
			if !p.Buffers[id].Batched {
				sums = append(sums, id)
			}
		}
	}
	return chain
}

// readsSum reports whether in reads one of sums for more than to add to it.
func (p *Program) readsSum(in Instr, sums []BufferID) bool {
	writes := Writes(in)
	for _, id := range Reads(in) {
		if slices.Contains(sums, id) && !slices.Contains(writes, id) {
			return true
		}
	}
	return false
}
