//go:build gpu && cgo && linux && amd64

package driver

import (
	"regexp"
	"strings"
)

var ptxEntry = regexp.MustCompile(`\.entry\s+(\w+)\s*\(([^)]*)\)`)

// ptxParameters returns how many parameters each kernel of PTX has; nothing of an
// image that is none.
func ptxParameters(image []byte) map[string]int {
	parameters := map[string]int{}
	for _, m := range ptxEntry.FindAllSubmatch(image, -1) {
		parameters[string(m[1])] = strings.Count(string(m[2]), ".param")
	}
	return parameters
}
