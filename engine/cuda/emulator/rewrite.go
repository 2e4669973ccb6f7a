package emulator

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// entryPrefix begins the names of kernels' entries for the table.
const entryPrefix = "sgflow_kernel_"

var (
	globalFunction = regexp.MustCompile(`__global__\s+(?:static\s+)?void\s+(\w+)\s*\(`)
	sharedVariable = regexp.MustCompile(`(\bextern\s+)?\b(?:static\s+)?__shared__\s+([^;]*);`)
	attribute      = regexp.MustCompile(`__attribute__\s*\(\((?:aligned\((\d+)\))?[^)]*\)\)`)
	firstVariable  = regexp.MustCompile(`(?s)^(.*[\s*&>])(\w+)\s*((?:\[[^\]]*\]\s*)*)$`)
	nextVariable   = regexp.MustCompile(`(?s)^\s*(\w+)\s*((?:\[[^\]]*\]\s*)*)$`)
)

// rewrite turns preprocessed CUDA C++ into C++: it makes kernels ordinary functions,
// whose names it returns, and shared variables references to the block's memory.
func rewrite(text []byte) ([]byte, []string, error) {
	var names []string
	for _, m := range globalFunction.FindAllSubmatch(text, -1) {
		names = append(names, string(m[1]))
	}
	var failed error
	text = sharedVariable.ReplaceAllFunc(text, func(declaration []byte) []byte {
		replaced, err := rewriteShared(string(declaration))
		if err != nil && failed == nil {
			failed = err
		}
		return []byte(replaced)
	})
	if failed != nil {
		return nil, nil, failed
	}
	text = bytes.ReplaceAll(text, []byte("__global__"), []byte("__attribute__((noinline))"))
	var entries strings.Builder
	for _, name := range names {
		fmt.Fprintf(&entries, "extern \"C\" const emulator::Kernel %[1]s%[2]s;\nconst emulator::Kernel %[1]s%[2]s = emulator::Call<%[2]s>::entry(%[2]q);\n",
			entryPrefix, name)
	}
	return append(append(text, '\n'), entries.String()...), names, nil
}

// rewriteShared rewrites the declaration of shared variables.
func rewriteShared(declaration string) (string, error) {
	m := sharedVariable.FindStringSubmatch(declaration)
	dynamic, rest := m[1] != "", m[2]
	alignment := ""
	if a := attribute.FindStringSubmatch(rest); a != nil {
		alignment = a[1]
		rest = attribute.ReplaceAllString(rest, "")
	}
	parts := splitTop(rest)
	first := firstVariable.FindStringSubmatch(parts[0])
	if first == nil {
		return "", fmt.Errorf("shared variable not understood: %s", declaration)
	}
	kind := strings.TrimSpace(first[1])
	if alignment == "" {
		alignment = "alignof(" + kind + ")"
	}
	if dynamic {
		return fmt.Sprintf("%[1]s *%[2]s = static_cast<%[1]s *>(emulator::dynamic_shared());", kind, first[2]), nil
	}
	var b strings.Builder
	for i, part := range parts {
		name, dims := first[2], first[3]
		if i > 0 {
			next := nextVariable.FindStringSubmatch(part)
			if next == nil {
				return "", fmt.Errorf("shared variable not understood: %s", declaration)
			}
			name, dims = next[1], next[2]
		}
		fmt.Fprintf(&b, "static const char sgflow_place_%[2]s = 0; %[1]s (&%[2]s)%[3]s = *static_cast<%[1]s (*)%[3]s>(emulator::shared(&sgflow_place_%[2]s, sizeof(%[1]s%[3]s), %[4]s)); ",
			kind, name, dims, alignment)
	}
	return b.String(), nil
}

// splitTop splits at the commas that are not within brackets.
func splitTop(s string) []string {
	var parts []string
	depth, start := 0, 0
	for i, r := range s {
		switch r {
		case '(', '[', '<', '{':
			depth++
		case ')', ']', '>', '}':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, s[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, s[start:])
}
