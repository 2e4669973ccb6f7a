package program

import (
	"strings"
	"testing"
)

func TestExtentScalesWithTheBatch(t *testing.T) {
	for _, c := range []struct {
		e    Extent
		want int
		text string
	}{{Extent{N: 7}, 7, "7"}, {Extent{N: 7, Batch: true}, 35, "n·7"}, {Extent{N: 1, Batch: true}, 5, "n"}} {
		if c.e.At(5) != c.want || c.e.String() != c.text {
			t.Errorf("%v at 5 is %d, want %s and %d", c.e, c.e.At(5), c.text, c.want)
		}
	}
}

// chain is x → a → b → … → loss, elementwise, with the last read in another phase.
func chain() *Program {
	p := &Program{Buffers: []Buffer{
		{Name: "x", Role: Input, Batched: true, Shape: []int{10}},
		{Batched: true, Shape: []int{10}},
		{Batched: true, Shape: []int{10}},
		{Batched: true, Shape: []int{10}},
		{Name: "w", Role: Grad, Shape: []int{10}},
	}}
	size := Extent{N: 10, Batch: true}
	p.Phases[Forward] = []Instr{
		&Scale{Out: 1, X: 0, Factor: 2, Size: size},
		&Scale{Out: 2, X: 1, Factor: 2, Size: size},
		&Scale{Out: 3, X: 2, Factor: 2, Size: size},
	}
	p.Phases[Gradient] = []Instr{&SumBias{Out: 4, X: 3, Outer: Extent{N: 1, Batch: true}, Channels: 10, Inner: 1, Accumulate: true}}
	return p
}

func TestPlanReusesTheSpaceOfDeadBuffers(t *testing.T) {
	l := chain().Plan(8)
	if l.Offset[1] != l.Offset[3] {
		t.Errorf("buffers 1 and 3 are never alive together, but are at %d and %d", l.Offset[1], l.Offset[3])
	}
	if l.Offset[1] == l.Offset[2] || l.Offset[2] == l.Offset[3] {
		t.Error("an instruction's result overlaps its argument")
	}
	if l.Reals != 160 { // two buffers of 8×10
		t.Errorf("the arena has %d elements, want 160", l.Reals)
	}
	if l.Offset[0] != -1 || l.Offset[4] != -1 {
		t.Error("inputs and gradients are in the arena")
	}
}

func TestOperandsNameWhatIsReadAndWritten(t *testing.T) {
	in := &MatMul{Out: 1, A: 2, B: 3, Accumulate: true, Epilogue: Epilogue{Bias: 4, Mask: None}}
	if got := Reads(in); len(got) != 4 {
		t.Errorf("an accumulating product with a bias reads %v, want A, B, its result and the bias", got)
	}
	if got := Writes(in); len(got) != 1 || got[0] != 1 {
		t.Errorf("a product writes %v", got)
	}
}

func TestListingShowsPhasesAndAccumulation(t *testing.T) {
	s := chain().String()
	for _, want := range []string{"forward:", "gradient:", "scale", "2 · x", "∇w[10]", "+= sum_bias"} {
		if !strings.Contains(s, want) {
			t.Errorf("the listing lacks %q:\n%s", want, s)
		}
	}
}
