package reproduce

import (
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/data"
	"sgflow/engine/rng"
)

// smallName is the data set of smallLab.
const smallName = "small"

// smallLab returns a lab whose data set smallName has samples of 4×4 pixels in 3
// classes: 60 to train with and 30 to test.
func smallLab(t testing.TB, threads int) *Lab {
	t.Helper()
	l, err := NewLab(Config{Quick: true, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	source := rng.New(rng.Labels, 7, 0)
	split := func(n int) *data.Split {
		s := &data.Split{N: n, C: 1, H: 4, W: 4}
		for i := range n {
			label := int32(i % 3)
			s.Labels = append(s.Labels, label)
			for j := range 16 {
				x := uint8(source.Uint32n(120))
				if j/5 == int(label) {
					x += 130
				}
				s.Pixels = append(s.Pixels, x)
			}
		}
		return s
	}
	l.shared.sets[smallName] = &data.Set{Name: smallName, Train: split(60), Test: split(30), Classes: 3, Channels: 1, Height: 4, Width: 4}
	return l
}

// smallSetup returns a setup on all samples of smallLab.
func smallSetup(model string) Setup {
	c := NewSetup(model, 0, 3)
	c.Data = smallName
	return c
}

// open opens a network that the test closes.
func open[T float32 | float64](t testing.TB, l *Lab, c Setup) *Network[T] {
	t.Helper()
	n, err := Open[T](l, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// denseHessian returns the Hessian of the mean loss of all training samples, column
// by column.
func denseHessian(n *Network[float64]) *mat.SymDense {
	p := len(n.Session.Params())
	h := mat.NewSymDense(p, nil)
	n.Train.Gradient(n.All, false)
	e, column := make([]float64, p), make([]float64, p)
	for j := range p {
		e[j] = 1
		n.Train.Product(column, e)
		e[j] = 0
		for i := 0; i <= j; i++ {
			h.SetSym(i, j, column[i])
		}
	}
	return h
}

// sampleGradients returns the gradients of the training samples, centred, as rows.
func sampleGradients(n *Network[float64]) *mat.Dense {
	p := len(n.Session.Params())
	g := mat.NewDense(len(n.All), p, nil)
	mean := make([]float64, p)
	for i, sample := range n.All {
		n.Train.Gradient([]int32{sample}, false)
		g.SetRow(i, n.Train.Grad())
		for j, x := range n.Train.Grad() {
			mean[j] += x / float64(len(n.All))
		}
	}
	for i := range n.All {
		for j, m := range mean {
			g.Set(i, j, g.At(i, j)-m)
		}
	}
	return g
}
