package program

import (
	"fmt"
	"strings"
)

func (p *Program) name(id BufferID) string {
	b := &p.Buffers[id]
	if b.Name != "" && b.Role != Temporary {
		switch b.Role {
		case Grad:
			return "∇" + b.Name
		case Vector:
			return "v." + b.Name
		case Product:
			return "Hv." + b.Name
		case SampleNorms:
			return "norms." + b.Name
		case SampleRows:
			return "rows." + b.Name
		}
		return b.Name
	}
	return fmt.Sprintf("t%d", id)
}

// String returns a readable listing: one instruction a line, grouped by phase.
func (p *Program) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "program: %d parameters in %d arrays, %d buffers\n", p.NumParams, len(p.Params), len(p.Buffers))
	for ph, list := range p.Phases {
		if len(list) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s:\n", Phase(ph))
		for k, in := range list {
			var out []string
			for _, w := range Writes(in) {
				out = append(out, fmt.Sprintf("%s[%s]", p.name(w), p.Buffers[w].shapeString()))
			}
			assign := "="
			if accumulates(in) {
				assign = "+="
			}
			fmt.Fprintf(&b, "  %3d  %-34s %-2s %-12s %s\n", k, strings.Join(out, ", "), assign, in.mnemonic(), in.args(p))
		}
	}
	header := "per-sample gradients:\n"
	for _, q := range p.Params {
		if q.Factors != nil {
			fmt.Fprintf(&b, "%s       %-34s =  %s\n", header, q.Name, q.Factors.format(p))
			header = ""
		}
	}
	return b.String()
}

// accumulates reports whether in adds to its result's old content.
func accumulates(in Instr) bool {
	switch i := in.(type) {
	case *MatMul:
		return i.Accumulate
	case *Conv:
		return i.Accumulate
	case *SumBias:
		return i.Accumulate
	case *DenseNorms, *BiasNorms:
		return true
	}
	return false
}

func (e Epilogue) args(p *Program) string {
	s := ""
	if e.Bias != None {
		s += " + " + p.name(e.Bias)
	}
	if e.Func != Identity {
		s += " → " + e.Func.String()
	}
	if e.Mask != None {
		s += fmt.Sprintf(" ⊙ %s'(%s)", e.MaskFunc, p.name(e.Mask))
	}
	return s
}

func (i *MatMul) mnemonic() string      { return "matmul" }
func (i *Conv) mnemonic() string        { return convNames[i.Dir] }
func (i *MaxPool) mnemonic() string     { return "maxpool" }
func (i *PoolScatter) mnemonic() string { return "pool_scatter" }
func (i *PoolGather) mnemonic() string  { return "pool_gather" }
func (i *AvgPool) mnemonic() string     { return "avgpool" }
func (i *Unary) mnemonic() string       { return i.Func.String() + strings.Repeat("'", i.Order) }
func (i *Binary) mnemonic() string      { return i.Kind.String() }
func (i *Scale) mnemonic() string       { return "scale" }
func (i *Copy) mnemonic() string        { return "copy" }
func (i *Fill) mnemonic() string        { return "fill" }
func (i *AddBias) mnemonic() string     { return "add_bias" }
func (i *SumBias) mnemonic() string     { return "sum_bias" }
func (i *Reduce) mnemonic() string {
	if i.Broadcast {
		return "broadcast"
	}
	return "sum"
}
func (i *Result) mnemonic() string    { return "result" }
func (i *Transpose) mnemonic() string { return "transpose" }
func (i *Softmax) mnemonic() string {
	if i.Log {
		return "log_softmax"
	}
	return "softmax"
}
func (i *Loss) mnemonic() string       { return lossNames[i.Kind] }
func (i *LossGrad) mnemonic() string   { return lossNames[i.Kind] + "_grad" }
func (i *LossHess) mnemonic() string   { return lossNames[i.Kind] + "_hess" }
func (i *Correct) mnemonic() string    { return "correct" }
func (i *DenseNorms) mnemonic() string { return "dense_norms" }
func (i *BiasNorms) mnemonic() string  { return "bias_norms" }

func (i *MatMul) args(p *Program) string {
	a, b := p.name(i.A), p.name(i.B)
	if i.TransA {
		a += "ᵀ"
	}
	if i.TransB {
		b += "ᵀ"
	}
	return fmt.Sprintf("%s·%s%s  (%s×%s×%s)", a, b, i.Epilogue.args(p), i.M, i.N, i.K)
}
func (i *Conv) args(p *Program) string {
	s := fmt.Sprintf("%s, %s%s  (%s)", p.name(i.A), p.name(i.B), i.Epilogue.args(p), i.Geom)
	if i.Norms != None {
		s += "  norms " + p.name(i.Norms)
	}
	return s
}
func (i *MaxPool) args(p *Program) string {
	return fmt.Sprintf("%s, index %s  (k%d s%d)", p.name(i.X), p.name(i.Index), i.Geom.KH, i.Geom.StrideH)
}
func (i *PoolScatter) args(p *Program) string {
	s := p.name(i.X)
	if i.Mask != None {
		s += fmt.Sprintf(" ⊙ %s'(%s)", i.MaskFunc, p.name(i.Mask))
	}
	return fmt.Sprintf("%s, index %s  (k%d s%d)", s, p.name(i.Index), i.Geom.KH, i.Geom.StrideH)
}
func (i *PoolGather) args(p *Program) string {
	return fmt.Sprintf("%s, index %s  (k%d s%d)", p.name(i.X), p.name(i.Index), i.Geom.KH, i.Geom.StrideH)
}
func (i *AvgPool) args(p *Program) string {
	s := ""
	if i.Adjoint {
		s = " adjoint"
	}
	return fmt.Sprintf("%s  (k%d×%d s%d%s)", p.name(i.X), i.Geom.KH, i.Geom.KW, i.Geom.StrideH, s)
}
func (i *Unary) args(p *Program) string {
	s := p.name(i.X)
	if i.FromOutput {
		s = "output " + s
	}
	if i.G != None {
		s += " ⊙ " + p.name(i.G)
	}
	return s
}
func (i *Binary) args(p *Program) string    { return p.name(i.A) + ", " + p.name(i.B) }
func (i *Scale) args(p *Program) string     { return fmt.Sprintf("%g · %s", i.Factor, p.name(i.X)) }
func (i *Copy) args(p *Program) string      { return p.name(i.X) }
func (i *Fill) args(*Program) string        { return fmt.Sprint(i.Value) }
func (i *Result) args(p *Program) string    { return p.name(i.X) }
func (i *Transpose) args(p *Program) string { return p.name(i.X) }
func (i *AddBias) args(p *Program) string {
	s := p.name(i.X) + " + " + p.name(i.B)
	if i.Func != Identity {
		s += " → " + i.Func.String()
	}
	return s
}
func (i *SumBias) args(p *Program) string {
	return fmt.Sprintf("%s  (%s×%d×%d)", p.name(i.X), i.Outer, i.Channels, i.Inner)
}
func (i *Reduce) args(p *Program) string {
	var dims []string
	for k, d := range i.Dims {
		s := d.String()
		if i.Axes[k] {
			s = "[" + s + "]"
		}
		dims = append(dims, s)
	}
	s := ""
	if i.Mean {
		s = " mean"
	}
	return fmt.Sprintf("%s  (%s%s)", p.name(i.X), strings.Join(dims, "×"), s)
}
func (i *Softmax) args(p *Program) string { return p.name(i.X) }
func (i *Loss) args(p *Program) string    { return p.name(i.Z) + ", " + p.name(i.Y) }
func (i *LossGrad) args(p *Program) string {
	s := p.name(i.Z) + ", " + p.name(i.Y)
	if i.G != None {
		s += " · " + p.name(i.G)
	}
	return s
}
func (i *LossHess) args(p *Program) string {
	s := p.name(i.Z) + ", " + p.name(i.U)
	if i.G != None {
		s += " · " + p.name(i.G)
	}
	return s
}
func (i *Correct) args(p *Program) string { return p.name(i.Z) + ", " + p.name(i.Y) }
func (i *DenseNorms) args(p *Program) string {
	return fmt.Sprintf("‖%s‖²·‖%s‖²  (rows of %d, %d)", p.name(i.A), p.name(i.B), i.ACols, i.BCols)
}
func (i *BiasNorms) args(p *Program) string {
	return fmt.Sprintf("%s  (n×%d×%d)", p.name(i.X), i.Channels, i.Inner)
}
