package program

// Phase is a group of instructions that run together; see the package comment.
type Phase uint8

// The phases in the order of execution.
const (
	Forward Phase = iota
	Gradient
	Noise
	Curvature
	HessianProduct
	Samples
	NumPhases
)

var phaseNames = [...]string{"forward", "gradient", "noise", "curvature", "product", "samples"}

// String returns the phase's name.
func (p Phase) String() string { return phaseNames[p] }

// Parameter is one learnable array of the model.
type Parameter struct {
	Name   string
	Shape  []int
	Offset int // first element in the flat parameter vector θ
	Size   int

	// Norms is the buffer that receives ‖gᵢ‖² of this parameter in the Noise
	// phase, or None where the graph uses the parameter in a way for which
	// no rule exists: then gradients are to be taken one sample at a time.
	Norms BufferID

	// Factors says how the gradients of single samples are had without a
	// backward pass for each; nil where Norms is None.
	Factors *Factors
}

// Program is a compiled model. It is immutable once made and may be shared
// by any number of backends and goroutines.
type Program struct {
	Buffers []Buffer
	Phases  [NumPhases][]Instr

	Params    []Parameter
	NumParams int // P, the length of the flat vectors

	Inputs        []BufferID // the caller's arrays, in the order given to the compiler
	Loss, Correct BufferID   // scalars; Correct is None where no logits are known
	Logits        BufferID   // n×classes, kept after a run; None where not known

	// BatchCoupled is set where some sample's loss depends on other samples
	// of the batch; per-sample gradients then do not exist.
	BatchCoupled bool
}

// Buffer returns the buffer named by id.
func (p *Program) Buffer(id BufferID) *Buffer { return &p.Buffers[id] }

// Factored reports whether the gradients of single samples are known, as
// factors, for every parameter.
func (p *Program) Factored() bool {
	for _, q := range p.Params {
		if q.Factors == nil {
			return false
		}
	}
	return !p.BatchCoupled
}

// HasProduct reports whether the program can compute Hessian-vector products.
func (p *Program) HasProduct() bool { return len(p.Phases[HessianProduct]) > 0 }
