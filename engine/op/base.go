package op

import (
	"fmt"
	"hash"
	"hash/fnv"
	"slices"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// operator is what each op of this package provides; do and the rest of the
// plumbing are written once against it.
type operator interface {
	G.SDOp
	// eval computes the op. The shapes of in have passed InferShape and out
	// is zeroed and has the inferred size; out never shares memory with in.
	eval(in []operand, out []float64) error
}

// operand is one input of eval: its elements in row-major order. A scalar has
// an empty shape and one element.
type operand struct {
	data  []float64
	shape tensor.Shape
}

// traits supplies what every op here tells Gorgonia's executor: the result is
// always freshly allocated and no input is overwritten.
type traits struct{}

// ReturnsPtr returns false: results never alias inputs.
func (traits) ReturnsPtr() bool { return false }

// CallsExtern returns false: the reference evaluation is plain Go.
func (traits) CallsExtern() bool { return false }

// OverwritesInput returns -1: no input is overwritten.
func (traits) OverwritesInput() int { return -1 }

// element is the type variable that stands for the element type in op types.
const element = hm.TypeVariable('a')

// tensorType is the type of a tensor of the given rank; a scalar for rank 0.
func tensorType(rank int) hm.Type {
	if rank == 0 {
		return element
	}
	return G.TensorType{Dims: rank, Of: element}
}

func writeHash(o fmt.Stringer, h hash.Hash) { fmt.Fprint(h, o.String()) }

func hashcode(o fmt.Stringer) uint32 {
	h := fnv.New32a()
	writeHash(o, h)
	return h.Sum32()
}

// inputShapes checks the number of inputs and returns their shapes.
func inputShapes(o G.Op, ds []G.DimSizer) ([]tensor.Shape, error) {
	if len(ds) != o.Arity() {
		return nil, fmt.Errorf("op: %v: %d inputs, want %d", o, len(ds), o.Arity())
	}
	shapes := make([]tensor.Shape, len(ds))
	for i, d := range ds {
		s, ok := d.(tensor.Shape)
		if !ok {
			return nil, fmt.Errorf("op: %v: input %d has no shape (%T); give it a tensor or a scalar", o, i, d)
		}
		shapes[i] = s
	}
	return shapes, nil
}

// wantShape reports an input whose shape is not the one that the op's fields say.
func wantShape(o G.Op, input string, got, want tensor.Shape) error {
	if slices.Equal(got, want) {
		return nil
	}
	return fmt.Errorf("op: %v: %s is %v, want %v", o, input, got, want)
}

// do evaluates o on values of one dtype.
func do(o operator, in []G.Value) (G.Value, error) {
	ds := make([]G.DimSizer, len(in))
	for i, v := range in {
		if v == nil {
			return nil, fmt.Errorf("op: %v: input %d has no value", o, i)
		}
		ds[i] = v.Shape()
	}
	shape, err := o.InferShape(ds...)
	if err != nil {
		return nil, err
	}
	dtype := in[0].Dtype()
	operands := make([]operand, len(in))
	for i, v := range in {
		if v.Dtype() != dtype {
			return nil, fmt.Errorf("op: %v: input %d is %v, input 0 is %v", o, i, v.Dtype(), dtype)
		}
		data, err := elements(v)
		if err != nil {
			return nil, fmt.Errorf("op: %v: input %d: %w", o, i, err)
		}
		if len(data) != v.Shape().TotalSize() {
			return nil, fmt.Errorf("op: %v: input %d holds %d elements, its shape is %v", o, i, len(data), v.Shape())
		}
		operands[i] = operand{data: data, shape: v.Shape()}
	}
	out := make([]float64, shape.TotalSize())
	if err := o.eval(operands, out); err != nil {
		return nil, fmt.Errorf("op: %v: %w", o, err)
	}
	return value(dtype, shape, out), nil
}

// elements returns the elements of v in row-major order as float64. The slice
// may be v's own memory: it is only read.
func elements(v G.Value) ([]float64, error) {
	if t, ok := v.(*tensor.Dense); ok && (t.RequiresIterator() || t.DataOrder().IsColMajor()) {
		return nil, fmt.Errorf("the tensor %v is a view or column-major; materialize it first", t.Shape())
	}
	switch d := v.Data().(type) {
	case []float64:
		return d, nil
	case float64:
		return []float64{d}, nil
	case []float32:
		return convert[float64](d), nil
	case float32:
		return []float64{float64(d)}, nil
	}
	return nil, fmt.Errorf("dtype %v is not supported; use float32 or float64", v.Dtype())
}

// value wraps the result of an evaluation, rounding to dtype.
func value(dtype tensor.Dtype, shape tensor.Shape, out []float64) G.Value {
	single := dtype == tensor.Float32
	switch {
	case shape.IsScalar() && single:
		return G.NewF32(float32(out[0]))
	case shape.IsScalar():
		return G.NewF64(out[0])
	case single:
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(convert[float32](out)))
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(out))
}

// convert copies s element by element into another precision.
func convert[To, From float32 | float64](s []From) []To {
	out := make([]To, len(s))
	for i, v := range s {
		out[i] = To(v)
	}
	return out
}
