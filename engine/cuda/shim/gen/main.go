// Command gen writes the parts of the shim that follow from include/cuda.h: the
// names of the driver's functions and a trampoline for each. It also writes the
// empty archive that satisfies cu's -lcuda.
//
// It is run by go generate in the folder of the shim. With -compare it prints C that
// compiles with NVIDIA's cuda.h if that declares the same constants, structures and
// functions.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"regexp"
)

const (
	header    = "include/cuda.h"
	constants = "include/cuda_constants.h"
)

// elsewhere are names that cu refers to with NVIDIA's headers: of CUDA 12, and of 11.
var elsewhere = []string{"cuGraphAddKernelNode_v2", "cuStreamWaitValue32", "cuStreamWriteValue32"}

// declaration matches the declaration of a driver function.
var declaration = regexp.MustCompile(`(?m)^CUresult (cu\w+)\((.*)\);`)

func main() {
	log.SetFlags(0)
	compare := flag.Bool("compare", false, "print a comparison with NVIDIA's header instead")
	flag.Parse()
	text := read(header)
	if *compare {
		os.Stdout.Write(comparison(text, read(constants)))
		return
	}
	var names []string
	for _, m := range declaration.FindAllSubmatch(text, -1) {
		// cuInit is the shim's own: see shim.c.
		if name := string(m[1]); name != "cuInit" {
			names = append(names, name)
		}
	}
	names = append(names, elsewhere...)
	write("names.h", nameTable(names))
	write("trampolines_linux_amd64.S", trampolines(names))
	if err := os.MkdirAll("stub", 0o755); err != nil {
		log.Fatal(err)
	}
	write("stub/libcuda.a", []byte("!<arch>\n"))
}

func read(path string) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return text
}

func write(path string, content []byte) {
	if err := os.WriteFile(path, content, 0o644); err != nil {
		log.Fatal(err)
	}
}

// nameTable returns the C table of the functions' names.
func nameTable(names []string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated from %s by gen. DO NOT EDIT.\n\n#define SHIM_COUNT %d\n\n", header, len(names))
	b.WriteString("static const char *const shim_names[SHIM_COUNT] = {\n")
	for _, name := range names {
		fmt.Fprintf(&b, "\t%q,\n", name)
	}
	b.WriteString("};\n")
	return b.Bytes()
}

// trampolines returns the assembly of the functions: each puts its number into
// R11, which no argument is passed in, and jumps to where its slot points.
func trampolines(names []string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated from %s by gen. DO NOT EDIT.\n\n//go:build gpu\n\n", header)
	b.WriteString(".text\n\n.macro trampoline name number\n.globl \\name\n.hidden \\name\n.type \\name, @function\n\\name:\n\tmovl $\\number, %r11d\n\tjmp *(shim_slots + 8 * \\number)(%rip)\n.size \\name, . - \\name\n.endm\n\n")
	for i, name := range names {
		fmt.Fprintf(&b, "trampoline %s %d\n", name, i)
	}
	b.WriteString("\n// Slots of functions that the driver lacks point here.\n.globl shim_absent\n.hidden shim_absent\n.type shim_absent, @function\nshim_absent:\n\tmovl %r11d, %edi\n\tjmp shim_report_absent\n.size shim_absent, . - shim_absent\n")
	b.WriteString("\n.section .note.GNU-stack,\"\",@progbits\n")
	return b.Bytes()
}
