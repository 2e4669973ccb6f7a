package emulator

import (
	"strings"
	"testing"
)

// kernelOf is a module of one kernel with these lines.
func kernelOf(lines ...string) []byte {
	return []byte(".version 7.8\n.target sm_80\n.address_size 64\n\n.visible .entry k(\n.param .u64 k_param_0\n)\n{\n.reg .b32 %r<9>;\n.reg .b64 %rd<9>;\n" +
		".reg .f32 %f<9>;\n.shared .align 16 .b8 tile[32];\n" + strings.Join(lines, "\n") + "\nret;\n}\n")
}

func TestWhatIsNotKnownIsRefusedByItsLine(t *testing.T) {
	for line, want := range map[string]string{
		"tex.2d.v4.f32.s32 {%f1,%f2,%f3,%f4}, [t, {%r1,%r2}];": "does not know",
		"bar.sync 1;":                       "does not know",
		"brkpt;":                            "does not know",
		"bar.sync;":                         "does not know",
		"mov.u32 %r1, %smid;":               "does not know",
		"mov.u64 %rd1, nowhere;":            "does not know",
		"ld.param.u64 %rd1, [k_param_0+4];": "beyond the end of a variable",
		"st.shared.v4.f32 [tile+32], {%f1,%f2,%f3,%f4};":                                                             "beyond the end of a variable",
		"mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32 {%f1,%f2,%f3,%f4}, {%r1,%r2}, {%r3}, {%f1,%f2,%f3,%f4};": "does not know",
	} {
		_, err := translate(kernelOf(line), "test.ptx")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "test.ptx:13: ") {
			t.Errorf("%s: error %v", line, err)
		}
	}
}

func TestAKernelsUnitsHoldItOnce(t *testing.T) {
	code, err := translate(kernelOf("ld.param.u64 %rd1, [k_param_0];", "ld.global.f32 %f1, [%rd1+4]; // a comment; with a semicolon"), "test.ptx")
	if err != nil {
		t.Fatal(err)
	}
	units := code.units(3)
	if n := strings.Count(strings.Join(units, ""), "static void k(void **arguments)\n{"); n != 1 {
		t.Errorf("%d definitions in\n%s", n, strings.Join(units, "\n"))
	}
	if text := strings.Join(units, ""); !strings.Contains(text, "ptx::load<f32>(false, r_rd1 + s64(4), r_f1);") {
		t.Errorf("the load is not in\n%s", text)
	}
}
