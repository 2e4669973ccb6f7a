package models

import (
	"fmt"
	"slices"
	"strings"

	"sgflow/engine/op"
)

// Kind is what a layer does.
type Kind uint8

// The kinds of layers.
const (
	KindConv          Kind = iota // convolution with bias
	KindMaxPool                   // maximum over windows
	KindAvgPool                   // mean over windows
	KindGlobalAvgPool             // mean of each channel
	KindDense                     // fully connected, with bias; flattens its input
	KindActivation                // elementwise function
)

// Layer is one layer of a [Spec]. Make one by [Conv], [MaxPool], [AvgPool],
// [GlobalAvgPool], [Dense], [ReLU], [Tanh], [Sigmoid] or [GELU].
type Layer struct {
	Kind   Kind
	Out    int     // channels of a convolution, outputs of a dense layer
	Kernel int     // side of the square kernel or window
	Stride int     // distance between windows
	Pad    int     // zeros around the input of a convolution
	Fn     op.Func // the function of an activation
}

// Option changes a layer from its default.
type Option func(*Layer)

// Stride sets the distance between windows of a convolution (default 1) or a
// pooling layer (default the window's side).
func Stride(n int) Option { return func(l *Layer) { l.Stride = n } }

// Pad sets how many zeros surround the input of a convolution (default 0).
func Pad(n int) Option { return func(l *Layer) { l.Pad = n } }

func (l Layer) with(opts []Option) Layer {
	for _, o := range opts {
		o(&l)
	}
	return l
}

// Conv is a 2-D convolution with out channels, a square kernel, and a bias for
// each channel.
func Conv(out, kernel int, opts ...Option) Layer {
	return Layer{Kind: KindConv, Out: out, Kernel: kernel, Stride: 1}.with(opts)
}

// MaxPool is the maximum over square windows.
func MaxPool(kernel int, opts ...Option) Layer {
	return Layer{Kind: KindMaxPool, Kernel: kernel, Stride: kernel}.with(opts)
}

// AvgPool is the mean over square windows.
func AvgPool(kernel int, opts ...Option) Layer {
	return Layer{Kind: KindAvgPool, Kernel: kernel, Stride: kernel}.with(opts)
}

// GlobalAvgPool is the mean of each channel.
func GlobalAvgPool() Layer { return Layer{Kind: KindGlobalAvgPool} }

// Dense is a fully connected layer with a bias. It flattens its input.
func Dense(out int) Layer { return Layer{Kind: KindDense, Out: out} }

// ReLU is max(x, 0).
func ReLU() Layer { return activation(op.ReLU) }

// Tanh is tanh x.
func Tanh() Layer { return activation(op.Tanh) }

// Sigmoid is 1/(1 + e⁻ˣ).
func Sigmoid() Layer { return activation(op.Sigmoid) }

// GELU is the exact x·Φ(x).
func GELU() Layer { return activation(op.GELU) }

func activation(f op.Func) Layer { return Layer{Kind: KindActivation, Fn: f} }

// activations are the elementwise functions that a network may have.
var activations = []op.Func{op.ReLU, op.Tanh, op.Sigmoid, op.GELU}

// maxNumber bounds every number in a spec and maxLayers their count, far above
// any network this engine trains and far below where sizes overflow.
const (
	maxNumber = 1 << 20
	maxLayers = 1000
)

// check reports a layer that is wrong whatever its input.
func (l Layer) check() error {
	type bound struct {
		name      string
		value, lo int
	}
	var bounds []bound
	switch l.Kind {
	case KindConv:
		bounds = []bound{{"number of channels", l.Out, 1}, {"kernel", l.Kernel, 1}, {"stride", l.Stride, 1}, {"padding", l.Pad, 0}}
	case KindMaxPool, KindAvgPool:
		if l.Pad != 0 {
			return fmt.Errorf("pooling takes no padding; pad the convolution before it")
		}
		bounds = []bound{{"window", l.Kernel, 1}, {"stride", l.Stride, 1}}
	case KindDense:
		bounds = []bound{{"number of outputs", l.Out, 1}}
	case KindGlobalAvgPool:
	case KindActivation:
		if !slices.Contains(activations, l.Fn) {
			return fmt.Errorf("%v is not an activation; use one of %v", l.Fn, activations)
		}
	default:
		return fmt.Errorf("unknown kind of layer %d", l.Kind)
	}
	for _, b := range bounds {
		if b.value < b.lo || b.value > maxNumber {
			return fmt.Errorf("the %s is %d, want %d to %d", b.name, b.value, b.lo, maxNumber)
		}
	}
	return nil
}

// String returns the layer as it stands in a cnn spec: "conv16k5s2p1".
func (l Layer) String() string {
	stride := func(implied int) string {
		if l.Stride == implied {
			return ""
		}
		return fmt.Sprintf("s%d", l.Stride)
	}
	switch l.Kind {
	case KindConv:
		s := fmt.Sprintf("conv%dk%d%s", l.Out, l.Kernel, stride(1))
		if l.Pad != 0 {
			s += fmt.Sprintf("p%d", l.Pad)
		}
		return s
	case KindMaxPool:
		return fmt.Sprintf("maxpool%d%s", l.Kernel, stride(l.Kernel))
	case KindAvgPool:
		return fmt.Sprintf("avgpool%d%s", l.Kernel, stride(l.Kernel))
	case KindGlobalAvgPool:
		return "gap"
	case KindDense:
		return fmt.Sprintf("fc%d", l.Out)
	case KindActivation:
		return l.Fn.String()
	}
	return fmt.Sprintf("layer kind %d", l.Kind)
}

// Spec describes a network: a list of layers and, for an MLP, the number of
// inputs that it demands. It is immutable; the zero value is empty and fits
// nothing.
type Spec struct {
	inputs int // the first number of an mlp spec; 0 for the others
	layers []Layer
}

// Sequential is the network that applies the layers one after another.
// A wrong layer is reported when the spec is fitted to data.
func Sequential(layers ...Layer) Spec { return Spec{layers: slices.Clone(layers)} }

// MLP is the fully connected network with the given widths, the first being
// the number of inputs and the last the number of outputs, and the activation
// after every layer but the last. With fewer than two widths it is empty.
func MLP(act op.Func, widths ...int) Spec {
	if len(widths) < 2 {
		return Spec{}
	}
	s := Spec{inputs: widths[0]}
	for i, w := range widths[1:] {
		if i > 0 {
			s.layers = append(s.layers, activation(act))
		}
		s.layers = append(s.layers, Dense(w))
	}
	return s
}

// Layers returns a copy of the layers.
func (s Spec) Layers() []Layer { return slices.Clone(s.layers) }

// String returns the spec in the form that Parse reads, without what is
// default: Parse(s.String()) is s for every spec that fits some data.
func (s Spec) String() string {
	if s.inputs == 0 {
		parts := make([]string, len(s.layers))
		for i, l := range s.layers {
			parts[i] = l.String()
		}
		return "cnn:" + strings.Join(parts, ",")
	}
	text, act := fmt.Sprintf("mlp:%d", s.inputs), ""
	for _, l := range s.layers {
		if l.Kind == KindDense {
			text += fmt.Sprintf("-%d", l.Out)
		} else if l.Fn != op.ReLU {
			act = ",act=" + l.Fn.String()
		}
	}
	return text + act
}

// check reports what is wrong with the spec whatever the data.
func (s Spec) check() error {
	if len(s.layers) == 0 {
		return fmt.Errorf("models: the spec has no layers")
	}
	if len(s.layers) > maxLayers {
		return fmt.Errorf("models: the spec has %d layers, at most %d are supported", len(s.layers), maxLayers)
	}
	if s.inputs < 0 || s.inputs > maxNumber {
		return fmt.Errorf("models: the spec has %d inputs, want 1 to %d", s.inputs, maxNumber)
	}
	for i, l := range s.layers {
		if err := l.check(); err != nil {
			return fmt.Errorf("models: layer %d (%v): %w", i+1, l, err)
		}
	}
	return nil
}
