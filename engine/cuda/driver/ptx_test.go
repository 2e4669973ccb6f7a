//go:build gpu && cgo && linux && amd64

package driver

import (
	"maps"
	"testing"
)

func TestParametersOfKernelsAreCountedInPTX(t *testing.T) {
	const ptx = `.version 7.8
.target sm_80
.func (.param .b32 r) helper(.param .b32 a)
{ ret; }
.visible .entry axpy(
	.param .f32 axpy_param_0,
	.param .u64 axpy_param_1,
	.param .align 8 .b8 axpy_param_2[16]
)
.maxntid 256, 1, 1
{
	ld.param.u64 %rd1, [axpy_param_1];
}
.visible .entry nothing()
{ ret; }`
	want := map[string]int{"axpy": 3, "nothing": 0}
	if got := ptxParameters([]byte(ptx)); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := ptxParameters([]byte("\x7fELF")); len(got) != 0 {
		t.Errorf("of machine code: %v", got)
	}
}
