//go:build gpu && cgo && linux && amd64

package kernels

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"slices"
	"sync"
)

//go:embed images
var images embed.FS

// Image is a form of the module of all kernels.
type Image struct {
	Name string // of the architecture that it is for: compute_NN is PTX, sm_NN machine code
	file string
}

// Images are the forms that a device of that compute capability (major·10 + minor)
// can use, the best first: machine code for it, which loads at once, then PTX,
// which the driver compiles and keeps.
func Images(capability int) []Image {
	var list []Image
	if capability/10 == 9 { // machine code is for all chips of a major version
		list = append(list, Image{"sm_90", "sm_90.cubin.gz"})
	}
	if capability >= 80 {
		list = append(list, Image{"compute_80", "compute_80.ptx.gz"})
	}
	return append(list, Image{"compute_75", "compute_75.ptx.gz"})
}

// unpacked holds the images that were asked for, by file: a process may make many
// machines.
var unpacked sync.Map

// Bytes is the image as the driver takes it. It is not to be written to.
func (i Image) Bytes() ([]byte, error) {
	if image, ok := unpacked.Load(i.file); ok {
		return image.([]byte), nil
	}
	packed, err := images.ReadFile("images/" + i.file)
	if err != nil {
		return nil, fmt.Errorf("kernels for %s: %w", i.Name, err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("kernels for %s: %w", i.Name, err)
	}
	image, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("kernels for %s: %w", i.Name, err)
	}
	image = slices.Clip(image) // what is appended goes elsewhere
	unpacked.Store(i.file, image)
	return image, nil
}
