package measure

import "testing"

// What a quantity remembers is counted anew whenever it grows or is dropped.
func TestBytesFollowWhatIsRemembered(t *testing.T) {
	m := newMemory(func(n int) []float32 { return make([]float32, n) })
	for _, c := range []struct {
		what   string
		change func()
		want   int
	}{
		{"nothing", func() {}, 0},
		{"a vector of 5", func() { m.vector("a.v", 5) }, 20},
		{"the same again", func() { m.vector("a.v", 5) }, 20},
		{"a longer one", func() { m.vector("a.v", 7) }, 28},
		{"a number", func() { m.setNumber("a", 1) }, 36},
		{"another value of it", func() { m.setNumber("a", 2) }, 36},
		{"a list", func() { m.remember("a.list", []float64{1}) }, 44},
		{"a longer list", func() { m.remember("a.list", append(m.list("a.list"), 2)) }, 52},
		{"another quantity's", func() { m.setNumber("ab", 1) }, 52},
		{"without the vector", func() { m.forget("a.v") }, 24},
	} {
		c.change()
		if n := m.bytes("a"); n != c.want {
			t.Errorf("%s: %d bytes, want %d", c.what, n, c.want)
		}
	}
}
