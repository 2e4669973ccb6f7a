package models

import (
	"fmt"
	"strings"

	"sgflow/engine/op"
)

// Shape is the shape of one sample: C channels of H rows and W columns, or a
// vector of C features if H and W are 0.
type Shape struct{ C, H, W int }

// Size returns the number of elements.
func (s Shape) Size() int {
	if s.flat() {
		return s.C
	}
	return s.C * s.H * s.W
}

// String prints "16×24×24", or "128" for a vector.
func (s Shape) String() string {
	if s.flat() {
		return fmt.Sprint(s.C)
	}
	return fmt.Sprintf("%d×%d×%d", s.C, s.H, s.W)
}

func (s Shape) flat() bool { return s.H == 0 && s.W == 0 }

// maxSize bounds the elements of an activation and the parameters of a network:
// 2³⁰ float32 are 4 GiB.
const maxSize = 1 << 30

// LayerShape is a layer fitted to its input.
type LayerShape struct {
	Layer Layer
	// Name is "conv1", "fc2", … for layers with parameters, else the layer as
	// it stands in the spec.
	Name    string
	In, Out Shape
	// Params is the number of parameters, weights and biases.
	Params int
}

// Shapes fits the spec to samples of the given shape and a number of classes
// and returns every layer with its shapes. If it does not fit, the first line
// of the error says what is wrong, where and what to do, and the lines after it
// show the shape at each layer.
func (s Spec) Shapes(input Shape, classes int) ([]LayerShape, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if min(input.C, input.H, input.W) < 1 || max(input.C, input.H, input.W) > maxNumber || product(input.C, input.H, input.W) > maxSize {
		return nil, fmt.Errorf("models: the input shape is %d×%d×%d, want channels, height and width of at least 1 and at most %d elements", input.C, input.H, input.W, maxSize)
	}
	if classes < 1 || classes > maxNumber {
		return nil, fmt.Errorf("models: %d classes, want 1 to %d", classes, maxNumber)
	}
	if s.inputs != 0 {
		if err := s.checkEnds(input, classes); err != nil {
			return nil, err
		}
	}
	var out []LayerShape
	misfit := func(format string, args ...any) error {
		return s.misfit(input, classes, out, fmt.Sprintf(format, args...))
	}
	at, total := input, 0
	count := map[Kind]int{}
	for i, l := range s.layers {
		next, params, err := l.fit(at)
		if err != nil {
			return nil, misfit("layer %d (%v): %v", i+1, l, err)
		}
		total = min(total+params, maxSize+1)
		if next.Size() > maxSize || total > maxSize {
			return nil, misfit("layer %d (%v): more than %d elements or parameters; make the network smaller", i+1, l, maxSize)
		}
		name := l.String()
		if params > 0 {
			count[l.Kind]++
			name = fmt.Sprintf("%s%d", map[Kind]string{KindConv: "conv", KindDense: "fc"}[l.Kind], count[l.Kind])
		}
		out = append(out, LayerShape{Layer: l, Name: name, In: at, Out: next, Params: params})
		at = next
	}
	if at.Size() != classes {
		return nil, misfit("it ends with %v (%d outputs), the data has %d classes; end with fc%d", at, at.Size(), classes, classes)
	}
	return out, nil
}

// checkEnds reports an MLP whose first or last number is not the data's.
func (s Spec) checkEnds(input Shape, classes int) error {
	last := s.layers[len(s.layers)-1].Out
	var wrong []string
	if s.inputs != input.Size() {
		wrong = append(wrong, fmt.Sprintf("its first number is %d, a sample has %d·%d·%d = %d values", s.inputs, input.C, input.H, input.W, input.Size()))
	}
	if last != classes {
		wrong = append(wrong, fmt.Sprintf("its last number is %d, the data has %d classes", last, classes))
	}
	if len(wrong) == 0 {
		return nil
	}
	right := Spec{inputs: input.Size(), layers: s.Layers()}
	right.layers[len(right.layers)-1].Out = classes
	return fmt.Errorf("models: %.100v does not fit the data: %s; use %.100v", s, strings.Join(wrong, " and "), right)
}

// misfit is the error of a spec that does not fit, with the shapes so far.
func (s Spec) misfit(input Shape, classes int, fitted []LayerShape, why string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "models: the network does not fit %v samples of %d classes: %s", input, classes, why)
	row := func(name, shape string) { fmt.Fprintf(&b, "\n  %-20s %s", name, shape) }
	row("input", input.String())
	for _, l := range fitted {
		row(l.Layer.String(), l.Out.String())
	}
	if len(fitted) < len(s.layers) {
		row(s.layers[len(fitted)].String(), "does not fit")
	}
	return fmt.Errorf("%s", b.String())
}

// fit returns the output shape and the number of parameters for an input.
func (l Layer) fit(in Shape) (out Shape, params int, err error) {
	switch l.Kind {
	case KindDense:
		return Shape{C: l.Out}, min(product(in.Size(), l.Out)+l.Out, maxSize+1), nil
	case KindActivation:
		return in, 0, nil
	}
	if in.flat() {
		return out, 0, fmt.Errorf("it needs an image, a dense layer before it made a vector of %d; move it before the first fc", in.C)
	}
	switch l.Kind {
	case KindConv:
		h, w, err := l.windows(in)
		return Shape{l.Out, h, w}, min(product(l.Out, in.C, l.Kernel, l.Kernel)+l.Out, maxSize+1), err
	case KindGlobalAvgPool:
		return Shape{in.C, 1, 1}, 0, nil
	}
	h, w, err := l.windows(in)
	return Shape{in.C, h, w}, 0, err
}

// windows returns the rows and columns of windows that fit into in.
func (l Layer) windows(in Shape) (h, w int, err error) {
	g := op.PoolGeom{InH: in.H, InW: in.W, KH: l.Kernel, KW: l.Kernel, StrideH: l.Stride, StrideW: l.Stride, PadH: l.Pad, PadW: l.Pad}
	if g.OutH() < 1 || g.OutW() < 1 {
		padded := ""
		if l.Pad > 0 {
			padded = fmt.Sprintf(" padded by %d", l.Pad)
		}
		return 0, 0, fmt.Errorf("a %d×%d window is larger than its %d×%d input%s; use a smaller one or less pooling before it", l.Kernel, l.Kernel, in.H, in.W, padded)
	}
	return g.OutH(), g.OutW(), nil
}

// product multiplies positive numbers, stopping above maxSize.
func product(ns ...int) int {
	p := 1
	for _, n := range ns {
		if p *= n; p > maxSize {
			return maxSize + 1
		}
	}
	return p
}
