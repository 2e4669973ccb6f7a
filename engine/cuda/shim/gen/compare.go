package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

var (
	constant  = regexp.MustCompile(`(?m)^\t(CU\w+) = (\d+),`)
	structure = regexp.MustCompile(`(?s)typedef struct \{\n(.*?)\} (\w+);`)
	member    = regexp.MustCompile(`[* ](\w+)(?:\[\d+\])?[,;]`)
)

// comparison returns C that compiles with a cuda.h that declares what header and
// constants do: the same values, structures with members at the same places, and
// functions of the same types.
func comparison(header, constants []byte) []byte {
	var b bytes.Buffer
	b.WriteString("#include <cuda.h>\n#include <stddef.h>\n")
	for _, m := range constant.FindAllSubmatch(constants, -1) {
		fmt.Fprintf(&b, "_Static_assert(%s == %s, \"%s\");\n", m[1], m[2], m[1])
	}
	for _, m := range structure.FindAllSubmatch(header, -1) {
		name := string(m[2])
		fmt.Fprintf(&b, "typedef struct {\n%s} our_%s;\n_Static_assert(sizeof(our_%[2]s) == sizeof(%[2]s), \"%[2]s\");\n", m[1], name)
		for _, f := range member.FindAllSubmatch(m[1], -1) {
			fmt.Fprintf(&b, "_Static_assert(offsetof(our_%[1]s, %[2]s) == offsetof(%[1]s, %[2]s), \"%[1]s.%[2]s\");\n", name, f[1])
		}
	}
	for _, m := range declaration.FindAllSubmatch(header, -1) {
		name, arguments := string(m[1]), string(m[2])
		fmt.Fprintf(&b, "CUresult (*our_%s)(%s) = %s;\n", name, strings.TrimSpace(arguments), name)
	}
	return b.Bytes()
}
