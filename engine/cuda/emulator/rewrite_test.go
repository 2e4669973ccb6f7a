package emulator

import (
	"slices"
	"strings"
	"testing"
)

func TestKernelsAreFoundAndBecomeFunctions(t *testing.T) {
	text, names, err := rewrite([]byte("extern \"C\" __global__ void\n  axpy(float a) {}\n__global__ static void other() {}\nvoid none() {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"axpy", "other"}; !slices.Equal(names, want) {
		t.Errorf("kernels %v, want %v", names, want)
	}
	if strings.Contains(string(text), "__global__") || !strings.Contains(string(text), `emulator::Call<axpy>::entry("axpy")`) {
		t.Errorf("rewritten as:\n%s", text)
	}
}

func TestSharedVariablesBecomeReferencesToTheBlocksMemory(t *testing.T) {
	for declaration, want := range map[string][]string{
		"__shared__ float s[32];":                                      {"float (&s)[32] = *static_cast<float (*)[32]>", "sizeof(float[32]), alignof(float)"},
		"__shared__ int n;":                                            {"int (&n) = *static_cast<int (*)>", "sizeof(int)"},
		"static __shared__ bool last;":                                 {"bool (&last)"},
		"__shared__ int count, unused[2][3];":                          {"int (&count)", "int (&unused)[2][3]"},
		"__shared__ Pair<int, 2> p[N + 1], q;":                         {"Pair<int, 2> (&p)[N + 1]", "Pair<int, 2> (&q)"},
		"__shared__ __attribute__((aligned(16))) float s[A][B];":       {"float (&s)[A][B]", "sizeof(float[A][B]), 16)"},
		"extern __shared__ float dynamic[];":                           {"float *dynamic = static_cast<float *>(emulator::dynamic_shared());"},
		"extern __shared__ __attribute__((aligned(16))) char bytes[];": {"char *bytes ="},
	} {
		text, _, err := rewrite([]byte(declaration))
		if err != nil {
			t.Errorf("%s: %v", declaration, err)
		}
		for _, part := range want {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s: %q is not in %s", declaration, part, text)
			}
		}
	}
	if _, _, err := rewrite([]byte("__shared__ ;")); err == nil {
		t.Error("a declaration of nothing is no error")
	}
}
