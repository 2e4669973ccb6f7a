package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func readBytes(b []byte) (*idxFile, error) { return readIDX(bytes.NewReader(b), int64(len(b))) }

func TestIDXReadsEveryType(t *testing.T) {
	for _, c := range []struct {
		name     string
		typ      idxType
		elements any
		want     []float32
	}{
		{"int8", idxInt8, []int8{-128, -1, 0, 127}, []float32{-128, -1, 0, 127}},
		{"int16", idxInt16, []int16{-32768, -2, 300, 32767}, []float32{-32768, -2, 300, 32767}},
		{"int32", idxInt32, []int32{-70000, -3, 0, 1 << 24}, []float32{-70000, -3, 0, 1 << 24}},
		{"float32", idxFloat32, []float32{-0.5, 1e-30, 3.25, 1e30}, []float32{-0.5, 1e-30, 3.25, 1e30}},
		{"float64", idxFloat64, []float64{-0.5, 0.1, 3.25, 1e30}, []float32{-0.5, 0.1, 3.25, 1e30}},
	} {
		f, err := readBytes(idxBytes(c.typ, []int{2, 1, 2}, c.elements))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		s, err := f.images()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if s.Pixels != nil || !slices.Equal(s.Values, c.want) {
			t.Errorf("%s: values %v, want %v", c.name, s.Values, c.want)
		}
	}
}

func TestIDXShapesBecomeSamplesChannelsRowsColumns(t *testing.T) {
	for _, c := range []struct{ dims, want []int }{
		{[]int{5, 12}, []int{5, 1, 1, 12}},
		{[]int{5, 3, 4}, []int{5, 1, 3, 4}},
		{[]int{5, 2, 3, 2}, []int{5, 2, 3, 2}},
	} {
		f, err := readBytes(idxBytes(idxUint8, c.dims, ramp(60)))
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.images()
		if err != nil {
			t.Fatal(err)
		}
		if got := []int{s.N, s.C, s.H, s.W}; !slices.Equal(got, c.want) || !bytes.Equal(s.Pixels, ramp(60)) {
			t.Errorf("%v became %v, want %v", c.dims, got, c.want)
		}
	}
}

func TestIDXIsTheSameRawAndCompressed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dims := rapid.SliceOfN(rapid.IntRange(1, 9), 1, 4).Draw(t, "dims")
		n := 1
		for _, d := range dims {
			n *= d
		}
		raw := idxBytes(idxUint8, dims, rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "elements"))
		sum := sha256.Sum256(raw)
		packed := gzipped(raw)
		for name, read := range map[string]func() (*idxFile, error){
			"raw":                   func() (*idxFile, error) { return readBytes(raw) },
			"gzip":                  func() (*idxFile, error) { return readBytes(packed) },
			"raw of unknown size":   func() (*idxFile, error) { return readIDX(bytes.NewReader(raw), unknownSize) },
			"gzip of unknown size":  func() (*idxFile, error) { return readIDX(bytes.NewReader(packed), unknownSize) },
			"gzip in one-byte bits": func() (*idxFile, error) { return readIDX(oneByte{bytes.NewReader(packed)}, int64(len(packed))) },
		} {
			f, err := read()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !slices.Equal(f.dims, dims) || !bytes.Equal(f.raw, raw[4+4*len(dims):]) || f.sha256 != hex.EncodeToString(sum[:]) {
				t.Fatalf("%s: other content", name)
			}
		}
	})
}

// A megabyte of zeros shrinks a thousandfold, so room is made again and again.
func TestIDXGrowsWithAStreamThatExpandsFar(t *testing.T) {
	raw := idxBytes(idxUint8, []int{1024, 32, 32}, make([]byte, 1<<20))
	raw[len(raw)-1] = 9
	packed := gzipped(raw)
	if 5*len(packed) > 1<<16 {
		t.Fatalf("%d bytes: the first room would do", len(packed))
	}
	f, err := readBytes(packed)
	if err != nil || !bytes.Equal(f.raw, raw[16:]) || cap(f.raw) != 1<<20 {
		t.Errorf("%d bytes in a buffer of %d: %v", len(f.raw), cap(f.raw), err)
	}
	_, err = readBytes(gzipped(raw[:200_000]))
	wantError(t, err, "truncated", "1048592 bytes", "only 200000 came")
}

// oneByte gives a single byte at a time.
type oneByte struct{ r *bytes.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

func TestIDXSaysWhatIsWrong(t *testing.T) {
	good := idxBytes(idxUint8, []int{3, 2, 2}, ramp(12))
	packed := gzipped(good)
	flipped := slices.Clone(packed)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	for _, c := range []struct {
		name  string
		bytes []byte
		want  []string
	}{
		{"empty file", nil, []string{"empty"}},
		{"one byte", good[:1], []string{"truncated", "header"}},
		{"half a header", good[:9], []string{"truncated", "header"}},
		{"no elements", good[:16], []string{"truncated", "3×2×2", "28 bytes", "has 16"}},
		{"one byte short", good[:27], []string{"truncated", "has 27"}},
		{"one byte more", append(slices.Clone(good), 7), []string{"1 trailing bytes", "28"}},
		{"text", []byte("<!DOCTYPE html><html>"), []string{"not an IDX file", "3c 21"}},
		{"unknown type", []byte{0, 0, 10, 1, 0, 0, 0, 1, 5}, []string{"not an IDX file"}},
		{"no dimensions", []byte{0, 0, 8, 0, 5}, []string{"not an IDX file"}},
		{"five dimensions", idxBytes(idxUint8, []int{1, 1, 1, 1, 1}, ramp(1)), []string{"not an IDX file"}},
		{"no samples", idxBytes(idxUint8, []int{0, 28, 28}, ramp(0)), []string{"empty", "0×28×28"}},
		{"absurd shape", idxBytes(idxFloat64, []int{1<<31 - 1, 1<<31 - 1, 1<<31 - 1}, ramp(8)), []string{"corrupt"}},
		{"gzip of nothing", gzipped(nil), []string{"truncated"}},
		{"gzip cut off", packed[:len(packed)-9], []string{"truncated", "gzip"}},
		{"gzip cut in its header", packed[:5], []string{"truncated"}},
		{"gzip with a wrong checksum", flipped, []string{"corrupt", "checksum"}},
		{"gzip of too little", gzipped(good[:20]), []string{"truncated", "only 20 came"}},
		{"gzip of too much", gzipped(append(slices.Clone(good), 7)), []string{"trailing bytes"}},
		{"gzip and then something", append(slices.Clone(packed), "something more"...), []string{"corrupt"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readBytes(c.bytes)
			wantError(t, err, c.want...)
		})
	}
}

func TestIDXContentIsRefusedWhereItMakesNoSense(t *testing.T) {
	nan, inf := math.NaN(), float32(math.Inf(-1))
	images := func(b []byte) error {
		f, err := readBytes(b)
		if err != nil {
			return err
		}
		_, err = f.images()
		return err
	}
	labels := func(b []byte) error {
		f, err := readBytes(b)
		if err != nil {
			return err
		}
		_, err = f.labels()
		return err
	}
	wantError(t, images(idxBytes(idxUint8, []int{3}, ramp(3))), "1 (3)", "labels?")
	wantError(t, images(idxBytes(idxFloat64, []int{2, 1, 2}, []float64{0, 1, 2, nan})), "sample 1, channel 0, row 0, column 1", "NaN")
	wantError(t, images(idxBytes(idxFloat32, []int{2, 2, 1, 1}, []float32{0, inf, 2, 3})), "sample 0, channel 1, row 0, column 0", "-Inf")
	wantError(t, images(idxBytes(idxFloat64, []int{1, 1}, []float64{1e39})), "not a finite float32")
	wantError(t, labels(idxBytes(idxUint8, []int{3, 1, 1}, ramp(3))), "1 dimension", "3×1×1", "images?")
	wantError(t, labels(idxBytes(idxFloat32, []int{1}, []float32{1})), "integers")
	wantError(t, labels(idxBytes(idxInt8, []int{3}, []int8{0, 5, -1})), "label -1 at index 2")
	wantError(t, labels(idxBytes(idxInt32, []int{2}, []int32{7, 1 << 30})), "label 1073741824 at index 1")
}

func TestIDXLabelsOfEveryIntegerTypeAreRead(t *testing.T) {
	for typ, elements := range map[idxType]any{
		idxUint8: []uint8{0, 9, 3}, idxInt8: []int8{0, 9, 3}, idxInt16: []int16{0, 9, 3}, idxInt32: []int32{0, 9, 3},
	} {
		f, err := readBytes(idxBytes(typ, []int{3}, elements))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.labels(); err != nil || !slices.Equal(got, []int32{0, 9, 3}) {
			t.Errorf("type %02x: %v, %v", byte(typ), got, err)
		}
	}
}

// A header may promise 1 GB; what is reserved for it follows the bytes that are
// there. The reader's own buffers and gzip's window are below 256 KiB.
func TestIDXReservesNoMoreThanTheInputWarrants(t *testing.T) {
	lie := idxBytes(idxUint8, []int{20000, 224, 224}, ramp(100))
	for name, read := range map[string]func() (*idxFile, error){
		"raw":                 func() (*idxFile, error) { return readBytes(lie) },
		"raw of unknown size": func() (*idxFile, error) { return readIDX(bytes.NewReader(lie), unknownSize) },
		"gzip":                func() (*idxFile, error) { return readBytes(gzipped(lie)) },
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := read()
		runtime.ReadMemStats(&after)
		wantError(t, err, "truncated")
		// gzipped itself takes most of a MB for the compressor.
		if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
			t.Errorf("%s: %d bytes were reserved for an input of %d", name, got, len(lie))
		}
	}
}

// FuzzReadIDX looks for inputs that crash the reader or make it hold more than
// they warrant: deflate can't expand by more than 1032.
func FuzzReadIDX(f *testing.F) {
	good := idxBytes(idxUint8, []int{3, 2, 2}, ramp(12))
	f.Add(good)
	f.Add(gzipped(good))
	f.Add(good[:20])
	f.Add(idxBytes(idxInt32, []int{2}, []int32{7, -1}))
	f.Add(idxBytes(idxFloat64, []int{2, 1, 1, 1}, []float64{0.5, math.Inf(1)}))
	f.Add(idxBytes(idxUint8, []int{60000, 28, 28}, ramp(9)))
	f.Fuzz(func(t *testing.T, b []byte) {
		idx, err := readBytes(b)
		if err != nil {
			return
		}
		if len(idx.raw) > 1032*len(b) || cap(idx.raw) > max(1<<16, 2*len(idx.raw), 5*len(b)) {
			t.Errorf("%d bytes gave %d elements in a buffer of %d", len(b), len(idx.raw), cap(idx.raw))
		}
		n := idx.typ.size()
		for _, d := range idx.dims {
			n *= d
		}
		if n != len(idx.raw) {
			t.Errorf("shape %s holds %d bytes, %d were read", idx.shape(), n, len(idx.raw))
		}
		if s, err := idx.images(); err == nil && len(s.Pixels)+len(s.Values) != s.N*s.Size() {
			t.Errorf("%d×%d×%d×%d images have %d pixels and %d values", s.N, s.C, s.H, s.W, len(s.Pixels), len(s.Values))
		}
		if labels, err := idx.labels(); err == nil && len(labels) != idx.dims[0] {
			t.Errorf("%d labels of %d", len(labels), idx.dims[0])
		}
	})
}
