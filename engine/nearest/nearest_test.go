package nearest

import "testing"

func TestDistanceCountsEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 1}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"fashon", "fashion-mnist", 2},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestNameFindsTheMisspelledChoice(t *testing.T) {
	for word, want := range map[string]string{"cosin": "cosine", "LINEAR": "linear", "stp": "step"} {
		if got := Name(word, []string{"constant", "step", "cosine", "linear"}); got != want {
			t.Errorf("Name(%q) = %q, want %q", word, got, want)
		}
	}
	if got := Name("hutchpp", []string{"batch_sharpness", "trace_hutchpp", "trace"}); got != "trace_hutchpp" {
		t.Errorf("Name of a part is %q", got)
	}
	if got := Name("x", nil); got != "" {
		t.Errorf("Name of no choices = %q", got)
	}
}
