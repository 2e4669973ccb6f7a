package program

import "fmt"

// Instr is one instruction. The concrete types below are all there are; a
// backend switches on them when it binds a Program to memory. What they read
// and write is in operands.go, how they print in listing.go.
type Instr interface {
	operands() (writes, reads []BufferID)
	mnemonic() string
	args(p *Program) string
}

// Func is an elementwise function.
type Func uint8

// The elementwise functions. Identity stands for "no activation".
const (
	Identity Func = iota
	ReLU
	Tanh
	Sigmoid
	GELU // x·Φ(x)
	Exp
	Log
	Square
	Sqrt
	Inverse
	Neg
)

var funcNames = [...]string{"identity", "relu", "tanh", "sigmoid", "gelu", "exp", "log", "square", "sqrt", "inverse", "neg"}

// String returns the function's name.
func (f Func) String() string { return funcNames[f] }

// FromOutput reports whether the derivatives of f can be had from y = f(x)
// alone, so that x need not be kept: true for ReLU, Tanh and Sigmoid.
func (f Func) FromOutput() bool { return f == ReLU || f == Tanh || f == Sigmoid }

// BinaryKind is the function of a Binary instruction.
type BinaryKind uint8

// The elementwise functions of two arguments.
const (
	Add BinaryKind = iota
	Sub
	Mul
	Div
)

var binaryNames = [...]string{"add", "sub", "mul", "div"}

// String returns the function's name.
func (k BinaryKind) String() string { return binaryNames[k] }

// Epilogue is what a product or convolution does to its result (old content
// included where it accumulates) before it is stored, in this order:
//
//	c += bias[column or channel]     where Bias is not None
//	c  = f(c)                        Func, where it is not Identity
//	c *= f'(·) from y = Mask         MaskFunc, where Mask is not None
//
// Func together with Mask does not occur.
type Epilogue struct {
	Bias     BufferID
	Func     Func
	Mask     BufferID // same shape as the result; holds outputs y of MaskFunc
	MaskFunc Func     // one for which FromOutput holds
}

// NoEpilogue stores the result as it is.
var NoEpilogue = Epilogue{Bias: None, Mask: None}

// MatMul computes
//
//	Out = op(A)·op(B)            Out is M×N, op(A) M×K, op(B) K×N
//
// or adds to Out if Accumulate is set, and applies the epilogue. op
// transposes where TransA or TransB is set. A is stored M×K (K×M if TransA),
// B K×N (N×K if TransB), all row-major and dense.
type MatMul struct {
	Out, A, B      BufferID
	M, N, K        Extent
	TransA, TransB bool
	Accumulate     bool
	Epilogue
}

// ConvDir selects one of the three functions of a convolution.
type ConvDir uint8

const (
	// ConvForward computes y from x and w.
	ConvForward ConvDir = iota
	// ConvInput computes dx from dy and w.
	ConvInput
	// ConvWeight computes dw from x and dy.
	ConvWeight
)

var convNames = [...]string{"conv", "conv_input", "conv_weight"}

// ConvGeom is the geometry of a convolution of one sample: x is
// InC×InH×InW, w OutC×InC×KH×KW, y OutC×OutH×OutW, and
//
//	y[o,p,q] = Σ_{c,r,s} x[c, p·StrideH + r·DilH − PadH, q·StrideW + s·DilW − PadW] · w[o,c,r,s]
type ConvGeom struct {
	InC, InH, InW    int
	OutC, OutH, OutW int
	KH, KW           int
	StrideH, StrideW int
	PadH, PadW       int
	DilH, DilW       int
}

// String returns the geometry for listings, "1×28×28 → 16×24×24, k5×5 s1 p0".
func (g ConvGeom) String() string {
	return fmt.Sprintf("%d×%d×%d → %d×%d×%d, k%d×%d s%d p%d",
		g.InC, g.InH, g.InW, g.OutC, g.OutH, g.OutW, g.KH, g.KW, g.StrideH, g.PadH)
}

// Conv is a convolution or one of its two adjoints. The operands are by
// direction:
//
//	ConvForward  A = x (n×InC×InH×InW)    B = w    Out = y
//	ConvInput    A = dy (n×OutC×OutH×OutW) B = w    Out = dx
//	ConvWeight   A = x                    B = dy   Out = dw = Σᵢ dwᵢ
//
// With Accumulate it adds to Out. For ConvWeight, where Norms is not None and
// the Noise phase is asked for, Norms[i] += n²·‖dwᵢ‖² is computed on the
// way: n² undoes the 1/n of the mean loss in dy.
type Conv struct {
	Dir        ConvDir
	Geom       ConvGeom
	Out, A, B  BufferID
	Accumulate bool
	Norms      BufferID
	Epilogue   // ConvForward and ConvInput only; Bias is one value a channel
}

// PoolGeom is the geometry of a pooling window over one sample of C×InH×InW;
// the result is C×OutH×OutW.
type PoolGeom struct {
	C, InH, InW      int
	OutH, OutW       int
	KH, KW           int
	StrideH, StrideW int
	PadH, PadW       int
}

// MaxPool computes Out[w] = max over window w of X and writes to Index[w]
// the position of the (first) maximum in its own input plane InH×InW.
type MaxPool struct {
	Geom          PoolGeom
	Out, Index, X BufferID
}

// PoolScatter is the adjoint of taking the elements at Index:
// Out = 0; Out[Index[w]] += X[w], plane by plane. Out is n×C×InH×InW.
// Where Mask is not None, X[w] is first multiplied by MaskFunc'(·) taken
// from y = Mask[w] (Mask has X's shape).
type PoolScatter struct {
	Geom          PoolGeom
	Out, Index, X BufferID
	Mask          BufferID
	MaskFunc      Func
}

// PoolGather computes Out[w] = X[Index[w]], plane by plane. Out is n×C×OutH×OutW.
type PoolGather struct {
	Geom          PoolGeom
	Out, Index, X BufferID
}

// AvgPool computes the mean of every window (padding counts as zeros), or
// with Adjoint its transpose: every element of X (n×C×OutH×OutW) spread
// evenly over its window in Out (n×C×InH×InW).
type AvgPool struct {
	Geom    PoolGeom
	Out, X  BufferID
	Adjoint bool
}

// Unary computes Out = f⁽ᴼʳᵈᵉʳ⁾ elementwise, times G where G is not None.
// X holds the arguments x, or y = f(x) if FromOutput is set. Out may be X or G.
type Unary struct {
	Func       Func
	Order      int
	FromOutput bool
	Out, X, G  BufferID
	Size       Extent
}

// Binary computes Out = A ∘ B elementwise. Out may be A or B.
type Binary struct {
	Kind      BinaryKind
	Out, A, B BufferID
	Size      Extent
}

// Scale computes Out = Factor·X elementwise. Out may be X.
type Scale struct {
	Out, X BufferID
	Factor float64
	Size   Extent
}

// Copy computes Out = X.
type Copy struct {
	Out, X BufferID
	Size   Extent
}

// Fill sets every element of Out to Value.
type Fill struct {
	Out   BufferID
	Value float64
	Size  Extent
}

// AddBias computes Out = X + B, B being one value for each of Channels:
// X is Outer×Channels×Inner. Out may be X.
type AddBias struct {
	Out, X, B       BufferID
	Outer           Extent
	Channels, Inner int
	Func            Func // applied to the sum
}

// SumBias computes Out[c] = Σ over Outer and Inner of X, the adjoint of
// AddBias, or adds it if Accumulate is set.
type SumBias struct {
	Out, X          BufferID
	Outer           Extent
	Channels, Inner int
	Accumulate      bool
}

// Reduce sums X over the axes that are set, or with Broadcast repeats X along
// them. Dims are the extents of the larger array, axis 0 first; Mean divides
// by the number of elements summed (or repeated).
type Reduce struct {
	Out, X    BufferID
	Dims      []Extent
	Axes      []bool
	Broadcast bool
	Mean      bool
}

// Result stores the single element of X into the scalar Out.
type Result struct {
	Out, X BufferID
}

// Transpose computes Out = Xᵀ, X being Rows×Cols.
type Transpose struct {
	Out, X     BufferID
	Rows, Cols int
}

// Softmax computes the softmax of each row of X (Rows×Cols), or with Log its logarithm.
type Softmax struct {
	Out, X BufferID
	Rows   Extent
	Cols   int
	Log    bool
}

// LossKind is the loss of a Loss instruction.
type LossKind uint8

const (
	// CrossEntropy is −Σ_c y_c log softmax(z)_c, averaged over the batch.
	CrossEntropy LossKind = iota
	// MSE is ½‖z − y‖², averaged over the batch.
	MSE
)

var lossNames = [...]string{"cross_entropy", "mse"}

// Loss computes the mean loss of logits Z against targets Y (both
// n×Classes) into the scalar Out.
type Loss struct {
	Kind      LossKind
	Out, Z, Y BufferID
	Classes   int
}

// LossGrad computes Out = G·∂L/∂Z, the 1/n of the mean included. G is a
// scalar buffer of Real type, or None for 1.
type LossGrad struct {
	Kind         LossKind
	Out, Z, Y, G BufferID
	Classes      int
}

// LossHess computes Out = G·(∂²L/∂Z²)·U, the 1/n of the mean included.
type LossHess struct {
	Kind         LossKind
	Out, Z, U, G BufferID
	Classes      int
}

// Correct counts the rows whose largest logit (the first, on ties) is that
// of the largest target into the scalar Out.
type Correct struct {
	Out, Z, Y BufferID
	Classes   int
}

// DenseNorms adds to Norms[i] the squared norm of sample i's gradient of a
// dense weight: n²·‖aᵢ‖²·‖bᵢ‖², aᵢ and bᵢ being row i of A (n×ACols) and B
// (n×BCols). The factor n² undoes the 1/n of the mean loss in B.
// (Goodfellow 2015, arXiv:1510.01799, eq. 5.)
type DenseNorms struct {
	Norms, A, B  BufferID
	ACols, BCols int
}

// BiasNorms adds to Norms[i] the squared norm of sample i's gradient of a
// bias: n²·Σ_c (Σ_inner x[i,c,inner])², X being n×Channels×Inner.
type BiasNorms struct {
	Norms, X        BufferID
	Channels, Inner int
}
