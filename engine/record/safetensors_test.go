package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"
	"pgregory.net/rapid"
)

func encodeTensors(t interface{ Fatal(...any) }, tensors []Tensor, metadata map[string]string) []byte {
	var b bytes.Buffer
	if err := WriteSafetensors(&b, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readBytes(b []byte) ([]Tensor, map[string]string, error) {
	return ReadSafetensors(bytes.NewReader(b), int64(len(b)))
}

// file puts a header before data, as a safetensors file has it.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func TestSafetensorsBytesAreAsTheFormatSays(t *testing.T) {
	got := encodeTensors(t, []Tensor{
		NewTensor("w", []int{1, 2}, []float32{1, -2}),
		NewTensor("x", []int{}, []float64{0.5}),
	}, map[string]string{"b": "2", "a": "é\"\n"})
	header := `{"__metadata__":{"a":"é\"\n","b":"2"},"x":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]}}`
	header += strings.Repeat(" ", (8-len(header)%8)%8)
	want := append(file(header, 0), 0, 0, 0, 0, 0, 0, 0xe0, 0x3f, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0)
	if !bytes.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

// drawTensors draws tensors with distinct names and any bits.
func drawTensors(t *rapid.T) []Tensor {
	var tensors []Tensor
	for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9._/é"]{1,12}`), 0, 5, rapid.ID).Draw(t, "names") {
		shape := rapid.SliceOfN(rapid.IntRange(0, 5), 0, 4).Draw(t, "shape")
		n := 1
		for _, d := range shape {
			n *= d
		}
		if rapid.Bool().Draw(t, "float64") {
			data := make([]float64, n)
			for i := range data {
				data[i] = rapid.Float64().Draw(t, "x")
			}
			tensors = append(tensors, NewTensor(name, shape, data))
		} else {
			data := make([]float32, n)
			for i := range data {
				data[i] = rapid.Float32().Draw(t, "x")
			}
			tensors = append(tensors, NewTensor(name, shape, data))
		}
	}
	return tensors
}

// sorted orders tensors by name, for comparison.
func sorted(tensors []Tensor) []Tensor {
	return slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
}

func TestSafetensorsReadsWhatItWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tensors := drawTensors(t)
		metadata := rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(t, "metadata")
		b := encodeTensors(t, tensors, metadata)
		if again := encodeTensors(t, tensors, metadata); !bytes.Equal(b, again) {
			t.Fatal("two writes differ")
		}
		got, gotMetadata, err := readBytes(b)
		if err != nil || !reflect.DeepEqual(gotMetadata, metadata) {
			t.Fatalf("%v, metadata %q", err, gotMetadata)
		}
		if want := sorted(tensors); len(want) > 0 && !reflect.DeepEqual(sorted(got), want) {
			t.Fatalf("\n got %+v\nwant %+v", sorted(got), want)
		}
	})
}

func TestLargeTensorsSpanManyChunks(t *testing.T) {
	wide, narrow := make([]float64, 3*chunk/8+5), make([]float32, 3*chunk/4+5)
	for i := range wide {
		wide[i] = float64(i) + 0.5
	}
	for i := range narrow {
		narrow[i] = float32(i) + 0.25
	}
	got, _, err := readBytes(encodeTensors(t, []Tensor{
		NewTensor("wide", []int{len(wide)}, wide), NewTensor("narrow", []int{len(narrow)}, narrow)}, nil))
	if err != nil || !slices.Equal(Values[float64](got[0]), wide) || !slices.Equal(Values[float32](got[1]), narrow) {
		t.Errorf("the elements differ, %v", err)
	}
}

func TestAnotherLibraryReadsOurFiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tensors := drawTensors(t)
		st, err := safetensors.Deserialize(encodeTensors(t, tensors, map[string]string{"k": "v"}))
		if err != nil || st.Len() != len(tensors) {
			t.Fatalf("%d tensors, %v", st.Len(), err)
		}
		for _, want := range tensors {
			got, ok := st.Tensor(want.Name)
			if !ok || !slices.EqualFunc(got.Shape(), want.Shape, func(a uint64, b int) bool { return a == uint64(b) }) {
				t.Fatalf("%s: %v, shape %v", want.Name, ok, got.Shape())
			}
			for i, data := 0, got.Data(); i < want.Len(); i++ {
				switch got.DType() {
				case safetensors.F32:
					if bits := binary.LittleEndian.Uint32(data[4*i:]); bits != math.Float32bits(want.f32[i]) {
						t.Fatalf("%s[%d] has bits %x", want.Name, i, bits)
					}
				case safetensors.F64:
					if bits := binary.LittleEndian.Uint64(data[8*i:]); bits != math.Float64bits(want.f64[i]) {
						t.Fatalf("%s[%d] has bits %x", want.Name, i, bits)
					}
				}
			}
		}
	})
}

func TestWeReadAnotherLibrarysFiles(t *testing.T) {
	bytesOf := func(values ...any) []byte {
		var b bytes.Buffer
		for _, v := range values {
			if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
				t.Fatal(err)
			}
		}
		return b.Bytes()
	}
	views := map[string]safetensors.TensorView{}
	for name, v := range map[string]struct {
		dtype safetensors.DType
		shape []uint64
		data  []byte
	}{
		"double": {safetensors.F64, []uint64{2}, bytesOf(1.5, -2.25)},
		"single": {safetensors.F32, []uint64{1, 3}, bytesOf(float32(3), float32(4), float32(5))},
		// binary16: sign, 5 bits of exponent, 10 of fraction
		"half": {safetensors.F16, []uint64{7}, bytesOf(uint16(0x3c00), uint16(0xc100), uint16(0x0001), uint16(0x8000), uint16(0x7bff), uint16(0x7c00), uint16(0x03ff))},
		// the upper half of a float32
		"brain": {safetensors.BF16, []uint64{2}, bytesOf(uint16(0x3fc0), uint16(0xc000))},
		"none":  {safetensors.F32, []uint64{0, 4}, nil},
	} {
		view, err := safetensors.NewTensorView(v.dtype, v.shape, v.data)
		if err != nil {
			t.Fatal(err)
		}
		views[name] = view
	}
	b, err := safetensors.Serialize(views, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	tensors, metadata, err := readBytes(b)
	if err != nil || metadata["format"] != "pt" || len(tensors) != 5 {
		t.Fatalf("%v, %v, %v", tensors, metadata, err)
	}
	for _, tensor := range tensors {
		want := map[string][]float64{
			"double": {1.5, -2.25},
			"single": {3, 4, 5},
			"half":   {1, -2.5, math.Ldexp(1, -24), math.Copysign(0, -1), 65504, math.Inf(1), math.Ldexp(1023, -24)},
			"brain":  {1.5, -2},
			"none":   {},
		}[tensor.Name]
		if got := Values[float64](tensor); !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", tensor.Name, got, want)
		}
	}
}

// Every finite half is the number its fields spell out, by the definition of
// binary16.
func TestHalvesAreConvertedExactly(t *testing.T) {
	for h := range 1 << 16 {
		sign, exponent, fraction := 1-2*float64(h>>15), h>>10&31, float64(h&1023)
		got := float64(halfToFloat32(uint16(h)))
		switch {
		case exponent == 31 && fraction != 0:
			if !math.IsNaN(got) {
				t.Errorf("%#04x is %v, want NaN", h, got)
			}
			continue
		case exponent == 31:
			fraction = math.Inf(1)
		case exponent == 0:
			fraction = math.Ldexp(fraction, -24)
		default:
			fraction = math.Ldexp(1024+fraction, exponent-25)
		}
		if got != sign*fraction {
			t.Errorf("%#04x is %v, want %v", h, got, sign*fraction)
		}
	}
}

// badFiles are files that no reader may accept, by what the error says.
var badFiles = []struct {
	want string
	file []byte
}{
	{"0 bytes are too few", nil},
	{"7 bytes are too few", make([]byte, 7)},
	{"the header has 100 bytes by its length, the file 2", append([]byte{100, 0, 0, 0, 0, 0, 0, 0}, "{}"...)},
	{"the header has 18446744073709551615 bytes", append(bytes.Repeat([]byte{255}, 8), "{}"...)},
	{"the header has 9223372036854775807 bytes", append(append(bytes.Repeat([]byte{255}, 7), 127), "{}"...)},
	{"does not begin with {", file(``, 0)},
	{"does not begin with {", file(` {}`, 0)},
	{"does not begin with {", file(`[]`, 0)},
	{"not UTF-8", file("{\"\xff\":1}", 0)},
	{"ends in the middle", file(`{`, 0)},
	{"ends in the middle", file(`{"a":{"dtype":"F32"`, 0)},
	{"more after its object", file(`{} {}`, 0)},
	{"more after its object", file(`{}x`, 0)},
	{`"a" comes twice`, file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8)},
	{`"shape" comes twice`, file(`{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}`, 4)},
	{`"k" comes twice`, file(`{"__metadata__":{"k":"1","k":"2"}}`, 0)},
	{`where a string should be`, file(`{"__metadata__":{"k":1}}`, 0)},
	{`where { should begin`, file(`{"__metadata__":null}`, 0)},
	{`tensor "a": "[" where { should begin`, file(`{"a":[]}`, 0)},
	{`tensor "a": "sparse" is none of`, file(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"sparse":true}}`, 0)},
	{`tensor "a": dtype "I64" is not supported: F64, F32, F16 and BF16 are`, file(`{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}`, 8)},
	{`dtype "" is not supported`, file(`{"a":{"shape":[1],"data_offsets":[0,4]}}`, 4)},
	{`it has no shape`, file(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4)},
	{`no [begin,end]`, file(`{"a":{"dtype":"F32","shape":[1]}}`, 4)},
	{`no [begin,end]`, file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}`, 4)},
	{`data_offsets [4 0] are no [begin,end]`, file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4)},
	{`no [begin,end]`, file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, 4)},
	{`a negative side`, file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4)},
	{`too many elements`, file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0)},
	{`too many elements`, file(`{"a":{"dtype":"F16","shape":[9223372036854775807],"data_offsets":[0,4]}}`, 4)},
	{`no whole number`, file(`{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`, 4)},
	{`no whole number`, file(`{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}`, 4)},
	{`where a number should be`, file(`{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}`, 4)},
	{`8 bytes by its data_offsets, 4 by its shape`, file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}`, 8)},
	{`tensor "a": it ends at byte 400 of 4: the file is cut short`, file(`{"a":{"dtype":"F32","shape":[100],"data_offsets":[0,400]}}`, 4)},
	{`tensor "b": its bytes 4 to 8 overlap`, file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8)},
	{`tensor "b": bytes 4 to 8 before it belong to no tensor`, file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}`, 12)},
	{`tensor "a": bytes 0 to 4 before it belong to no tensor`, file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8)},
	{`3 bytes after the last tensor belong to none`, file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 7)},
	{`1 bytes after the last tensor belong to none`, file(`{}`, 1)},
}

func TestBadSafetensorsGetOneClearLine(t *testing.T) {
	for _, test := range badFiles {
		tensors, metadata, err := readBytes(test.file)
		if err == nil || tensors != nil || metadata != nil {
			t.Errorf("%q is accepted", test.file)
			continue
		}
		if text := err.Error(); !strings.HasPrefix(text, "record: read safetensors: ") || !strings.Contains(text, test.want) || strings.Contains(text, "\n") {
			t.Errorf("%q: %v, want one line with %q", test.file, err, test.want)
		}
	}
}

func TestTensorsMayBeStoredInAnyOrder(t *testing.T) {
	b := file(`{"late":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"empty":{"data_offsets":[4,4],"shape":[3,0],"dtype":"F32"},"early":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}  `, 8)
	b[len(b)-1], b[len(b)-5] = 0x40, 0x3f
	tensors, _, err := readBytes(b)
	if err != nil || len(tensors) != 3 || tensors[0].f32[0] != 2 || tensors[1].Len() != 0 || tensors[2].f32[0] != 0.5 {
		t.Errorf("%+v, %v", tensors, err)
	}
}

func TestAHeaderThatPromisesMuchAllocatesLittle(t *testing.T) {
	for _, b := range [][]byte{
		append([]byte{0, 0, 0, 0, 0, 1, 0, 0}, "{}"...),
		file(`{"a":{"dtype":"F64","shape":[137438953472],"data_offsets":[0,1099511627776]}}`, 8),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, _, err := readBytes(b); err == nil {
			t.Errorf("%q is accepted", b)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<16 {
			t.Errorf("%q: %d bytes allocated", b, n)
		}
	}
}

func TestWriteSafetensorsRefusesWhatCannotBeRead(t *testing.T) {
	good := NewTensor("a", []int{1}, []float32{1})
	for want, tensors := range map[string][]Tensor{
		`name "a" is empty, reserved, used twice or not`: {good, good},
		`name "\xff" is`:                             {NewTensor("\xff", []int{1}, []float32{1})},
		`name "" is empty`:                           {NewTensor("", []int{1}, []float32{1})},
		`name "__metadata__" is`:                     {NewTensor("__metadata__", []int{1}, []float32{1})},
		"shape [2] does not hold its 1 elements":     {NewTensor("a", []int{2}, []float32{1})},
		"shape [-1 -1] does not hold its 1 elements": {NewTensor("a", []int{-1, -1}, []float64{1})},
		"make it with NewTensor":                     {{Name: "a"}},
	} {
		var b bytes.Buffer
		if err := WriteSafetensors(&b, tensors, nil); err == nil || !strings.Contains(err.Error(), want) || b.Len() > 0 {
			t.Errorf("%v after %d bytes, want %q", err, b.Len(), want)
		}
	}
}

// A file that is accepted is written back to one with the same content, and
// none makes the reader crash or allocate far beyond the file's size.
func FuzzReadSafetensors(f *testing.F) {
	for _, test := range badFiles {
		f.Add(test.file)
	}
	f.Add(encodeTensors(f, []Tensor{NewTensor("w", []int{1, 2}, []float32{1, -2}), NewTensor("x", []int{}, []float64{0.5})}, map[string]string{"a": "b"}))
	f.Add(file(`{"a":{"dtype":"BF16","shape":[2],"data_offsets":[2,6]},"b":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}`, 6))
	f.Fuzz(func(t *testing.T, b []byte) {
		tensors, metadata, err := readBytes(b)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			return
		}
		total := 0
		for _, tensor := range tensors {
			total += tensor.Len()
		}
		if total > len(b)/2 {
			t.Errorf("%d elements from %d bytes", total, len(b))
		}
		var out bytes.Buffer
		if err := WriteSafetensors(&out, tensors, metadata); err != nil {
			if slices.ContainsFunc(tensors, func(t Tensor) bool { return t.Name == "" }) {
				return // read, but never written
			}
			t.Fatal(err)
		}
		again, _, err := readBytes(out.Bytes())
		if err != nil || fmt.Sprint(sorted(again)) != fmt.Sprint(sorted(tensors)) {
			t.Errorf("read %v, wrote and read %v, %v", tensors, again, err)
		}
	})
}
