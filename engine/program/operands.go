package program

// Reads returns the buffers in reads. A destination that is accumulated into
// is among them.
func Reads(in Instr) []BufferID {
	_, reads := in.operands()
	return reads
}

// Writes returns the buffers in writes, its result first.
func Writes(in Instr) []BufferID {
	writes, _ := in.operands()
	return writes
}

// some returns the ids that are not None.
func some(ids ...BufferID) []BufferID {
	r := make([]BufferID, 0, len(ids))
	for _, id := range ids {
		if id != None {
			r = append(r, id)
		}
	}
	return r
}

// where returns id if on, else None.
func where(on bool, id BufferID) BufferID {
	if on {
		return id
	}
	return None
}

func (i *MatMul) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.A, i.B, where(i.Accumulate, i.Out), i.Bias, i.Mask)
}

func (i *Conv) operands() (writes, reads []BufferID) {
	return some(i.Out, i.Norms), some(i.A, i.B, where(i.Accumulate, i.Out), i.Bias, i.Mask)
}

func (i *MaxPool) operands() (writes, reads []BufferID) {
	return some(i.Out, i.Index), some(i.X)
}

func (i *PoolScatter) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.X, i.Index, i.Mask)
}

func (i *PoolGather) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.X, i.Index)
}

func (i *AvgPool) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.X)
}

func (i *Unary) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.X, i.G)
}

func (i *Binary) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.A, i.B)
}

func (i *Scale) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.X)
}

func (i *Copy) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.X)
}

func (i *Fill) operands() (writes, reads []BufferID) {
	return some(i.Out), nil
}

func (i *AddBias) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.X, i.B)
}

func (i *SumBias) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.X, where(i.Accumulate, i.Out))
}

func (i *Reduce) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.X)
}

func (i *Result) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.X)
}

func (i *Transpose) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.X)
}

func (i *Softmax) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.X)
}

func (i *Loss) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.Z, i.Y)
}

func (i *LossGrad) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.Z, i.Y, i.G)
}

func (i *LossHess) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.Z, i.U, i.G)
}

func (i *Correct) operands() (writes, reads []BufferID) {
	return some(i.Out), some(i.Z, i.Y)
}

func (i *DenseNorms) operands() (writes, reads []BufferID) {
	return some(i.Norms), some(i.A, i.B, i.Norms)
}

func (i *BiasNorms) operands() (writes, reads []BufferID) {
	return some(i.Norms), some(i.X, i.Norms)
}
