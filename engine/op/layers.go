package op

import (
	"fmt"

	G "gorgonia.org/gorgonia"
)

// Dense returns x·wᵀ + b. x is n×in, w is out×in (PyTorch's orientation), b has
// out elements, or is nil for none; the result is n×out.
func Dense(x, w, b *G.Node) (*G.Node, error) {
	y, err := Apply(MatMul{TransB: true}, x, w)
	if err != nil {
		return nil, fmt.Errorf("dense layer: %w", err)
	}
	if b == nil {
		return y, nil
	}
	y, err = AddBias(y, b)
	if err != nil {
		return nil, fmt.Errorf("dense layer: %w", err)
	}
	return y, nil
}

// AddBias returns x + b with b repeated over every axis of x but axis 1, the
// features of an n×C matrix or the channels of a B×C×H×W tensor. b has C
// elements.
func AddBias(x, b *G.Node) (*G.Node, error) {
	if x == nil || b == nil {
		return nil, fmt.Errorf("op: bias: an input is nil")
	}
	shape, err := NewDims(x.Shape()...)
	if err != nil {
		return nil, err
	}
	if shape.N < 2 {
		return nil, fmt.Errorf("op: bias: x is %v, want n×C or B×C×H×W", x.Shape())
	}
	wide, err := Apply(Broadcast{Shape: shape, Axes: AllAxes(shape.N) &^ AxesOf(1)}, b)
	if err != nil {
		return nil, err
	}
	return Add.Of(x, wide)
}

// Conv2D returns the convolution of x with w plus b for each output channel.
// x is B×C×H×W, w is out×C×kH×kW, b has out elements or is nil for none. stride
// (at least 1) and pad (at least 0) are the same in both directions; use
// [Apply] with a [Conv] for others and for dilation.
func Conv2D(x, w, b *G.Node, stride, pad int) (*G.Node, error) {
	if err := wantRank4("convolution", "x", x); err != nil {
		return nil, err
	}
	if err := wantRank4("convolution", "w", w); err != nil {
		return nil, err
	}
	xs, ws := x.Shape(), w.Shape()
	if xs[1] != ws[1] {
		return nil, fmt.Errorf("op: convolution: x is %v with %d channels, w is %v for %d", xs, xs[1], ws, ws[1])
	}
	y, err := Apply(Conv{Geom: ConvGeom{
		Batch: xs[0], InC: xs[1], InH: xs[2], InW: xs[3], OutC: ws[0], KH: ws[2], KW: ws[3],
		StrideH: stride, StrideW: stride, PadH: pad, PadW: pad, DilH: 1, DilW: 1,
	}}, x, w)
	if err != nil || b == nil {
		return y, err
	}
	return AddBias(y, b)
}

// MaxPool2D returns the maximum over kernel×kernel windows of x (B×C×H×W)
// placed stride apart.
func MaxPool2D(x *G.Node, kernel, stride int) (*G.Node, error) {
	if err := wantRank4("max pooling", "x", x); err != nil {
		return nil, err
	}
	return Apply(MaxPool{Geom: squarePool(x, kernel, stride)}, x)
}

// AvgPool2D returns the mean over kernel×kernel windows of x (B×C×H×W) placed
// stride apart.
func AvgPool2D(x *G.Node, kernel, stride int) (*G.Node, error) {
	if err := wantRank4("average pooling", "x", x); err != nil {
		return nil, err
	}
	return Apply(AvgPool{Geom: squarePool(x, kernel, stride)}, x)
}

// GlobalAvgPool returns the mean of each plane of x (B×C×H×W), as B×C×1×1.
func GlobalAvgPool(x *G.Node) (*G.Node, error) {
	if err := wantRank4("global average pooling", "x", x); err != nil {
		return nil, err
	}
	g := squarePool(x, 1, 1)
	g.KH, g.KW = g.InH, g.InW
	return Apply(AvgPool{Geom: g}, x)
}

// Flatten copies x (B×…) into the matrix B×(product of the rest).
func Flatten(x *G.Node) (*G.Node, error) {
	if x == nil || len(x.Shape()) < 2 {
		return nil, fmt.Errorf("op: flatten: x needs a batch axis and at least one more")
	}
	s := x.Shape()
	return ReshapeTo(x, s[0], s.TotalSize()/s[0])
}

// ReshapeTo copies x into another shape with the same number of elements.
func ReshapeTo(x *G.Node, shape ...int) (*G.Node, error) {
	d, err := NewDims(shape...)
	if err != nil {
		return nil, err
	}
	return Apply(Reshape{Shape: d}, x)
}

func squarePool(x *G.Node, kernel, stride int) PoolGeom {
	s := x.Shape()
	return PoolGeom{Batch: s[0], C: s[1], InH: s[2], InW: s[3], KH: kernel, KW: kernel, StrideH: stride, StrideW: stride}
}

func wantRank4(layer, input string, n *G.Node) error {
	if n == nil {
		return fmt.Errorf("op: %s: %s is nil", layer, input)
	}
	if s := n.Shape(); len(s) != 4 {
		return fmt.Errorf("op: %s: %s is %v, want four axes (B×C×H×W for x, out×in×kH×kW for w)", layer, input, s)
	}
	return nil
}
