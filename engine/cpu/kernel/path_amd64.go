package kernel

import "golang.org/x/sys/cpu"

func detect() Path {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA:
		return Portable
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasBMI2:
		return AVX512
	default:
		return AVX2
	}
}
