// Command gen writes the assembly of package kernel. Run it by go generate in
// that package's folder; its output is checked in.
//
// In it, isa.go names the instructions of one vector
// width and element type, table.go lists the kernels for package kernel, and the other files hold one family of kernels each. What the kernels compute is stated by the portable Go code
// and the comments of package kernel.
package main

import (
	"flag"
	"log"

	"github.com/mmcloughlin/avo/build"
)

func main() {
	path := flag.String("path", "", "avx2 or avx512")
	part := flag.String("part", "", "tiles, moves, vectors, maths, pools, table or pause")
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	flag.Parse()
	declare()
	if *part == "table" {
		if err := table(*path, flag.Arg(0)); err != nil {
			log.Fatal(err)
		}
		return
	}
	if *part == "pause" {
		pauses()
		build.Generate()
		return
	}
	for _, size := range []int{4, 8} {
		s, err := newISA(*path, size)
		if err != nil {
			log.Fatal(err)
		}
		switch *part {
		case "tiles":
			tiles(s)
			dots(s)
			if s.hasShifted() {
				shifteds(s)
			}
		case "moves":
			transpose(s)
			copyRows(s)
		case "vectors":
			vectors(s)
		case "maths":
			if size == 4 {
				maths(s)
			}
		case "pools":
			if size == 4 {
				pools(s)
			}
		default:
			log.Fatalf("unknown part %q", *part)
		}
	}
	build.Generate()
}
