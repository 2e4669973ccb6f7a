package program

import "fmt"

// Factors is the gradient of one sample's loss with respect to one parameter,
// factored. With n the batch size, aᵢ and bᵢ row i of the buffers A and B, and
// gᵢ as a matrix of A's width rows and B's width columns,
//
//	gᵢ = n·aᵢ⊗bᵢ
//
// for the weight of a dense layer, whose gradient is AᵀB. Where B is None, rows
// of A are the gradients themselves, gᵢ = n·aᵢ: of a bias, and of a
// convolution's weight, whose rows the Samples phase makes. The factor n undoes
// the 1/n of the mean loss that the rows hold. (Goodfellow 2015,
// arXiv:1510.01799, section 2.)
//
// The buffers hold the rows from the end of the Gradient phase (of the Samples
// phase, for buffers of role SampleRows) until the next run.
type Factors struct {
	A, B BufferID
}

// format returns the factorisation for listings, "n·t5ᵢ⊗xᵢ".
func (f *Factors) format(p *Program) string {
	if f.B == None {
		return fmt.Sprintf("n·%sᵢ", p.name(f.A))
	}
	return fmt.Sprintf("n·%sᵢ⊗%sᵢ", p.name(f.A), p.name(f.B))
}

// ConvSamples computes the terms of a ConvWeight one by one:
//
//	Out[i] = dwᵢ, the gradient of sample i's Σ y⊙dy in w
//
// A is x (n×InC×InH×InW), B is dy (n×OutC×OutH×OutW) and Out is
// n×OutC×InC×KH×KW.
type ConvSamples struct {
	Geom      ConvGeom
	Out, A, B BufferID
}

// BiasSamples computes the terms of a SumBias one by one: Out[i,c] = Σ over
// Inner of X[i,c,·]. X is n×Channels×Inner and Out n×Channels.
type BiasSamples struct {
	Out, X          BufferID
	Channels, Inner int
}

func (i *ConvSamples) operands() (writes, reads []BufferID) { return some(i.Out), some(i.A, i.B) }
func (i *BiasSamples) operands() (writes, reads []BufferID) { return some(i.Out), some(i.X) }

func (i *ConvSamples) mnemonic() string { return "conv_samples" }
func (i *BiasSamples) mnemonic() string { return "bias_samples" }

func (i *ConvSamples) args(p *Program) string {
	return fmt.Sprintf("%s, %s  (%s)", p.name(i.A), p.name(i.B), i.Geom)
}

func (i *BiasSamples) args(p *Program) string {
	return fmt.Sprintf("%s  (n×%d×%d)", p.name(i.X), i.Channels, i.Inner)
}
