package record

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// event is what a reader of an event file sees.
type event struct {
	wall    float64
	step    int64
	version string
	tags    []string
	values  []float32
}

// crc32c is CRC-32C bit by bit, from its polynomial.
func crc32c(b []byte) uint32 {
	crc := ^uint32(0)
	for _, x := range b {
		crc ^= uint32(x)
		for range 8 {
			crc = crc>>1 ^ 0x82f63b78*(crc&1)
		}
	}
	return ^crc
}

func TestCRCIsTheStandardOne(t *testing.T) {
	if got := crc32c([]byte("123456789")); got != 0xe3069283 {
		t.Fatalf("the check value is %#x", got)
	}
}

// field is a protobuf field: a number, or bytes.
type field struct {
	number uint64
	value  uint64
	bytes  []byte
}

// fields parses a protobuf message by the encoding's definition.
func fields(t *testing.T, b []byte) []field {
	t.Helper()
	var list []field
	varint := func() uint64 {
		x, n := binary.Uvarint(b)
		if n <= 0 {
			t.Fatalf("no varint at %q", b)
		}
		b = b[n:]
		return x
	}
	for len(b) > 0 {
		key := varint()
		f := field{number: key >> 3}
		switch key & 7 {
		case 0:
			f.value = varint()
		case 1:
			f.value, b = binary.LittleEndian.Uint64(b), b[8:]
		case 2:
			n := varint()
			f.bytes, b = b[:n], b[n:]
		case 5:
			f.value, b = uint64(binary.LittleEndian.Uint32(b)), b[4:]
		default:
			t.Fatalf("wire type %d", key&7)
		}
		list = append(list, f)
	}
	return list
}

// parseEvents reads an event file by the definitions of TFRecord and of
// TensorFlow's event.proto and summary.proto.
func parseEvents(t *testing.T, b []byte) []event {
	t.Helper()
	masked := func(b []byte) uint32 {
		crc := crc32c(b)
		return crc>>15 + crc<<17 + 0xa282ead8
	}
	var events []event
	for len(b) > 0 {
		n := binary.LittleEndian.Uint64(b)
		if crc := binary.LittleEndian.Uint32(b[8:]); crc != masked(b[:8]) {
			t.Fatalf("the length's CRC is %#x, want %#x", crc, masked(b[:8]))
		}
		content := b[12 : 12+n]
		if crc := binary.LittleEndian.Uint32(b[12+n:]); crc != masked(content) {
			t.Fatalf("the content's CRC is %#x, want %#x", crc, masked(content))
		}
		b = b[16+n:]
		var e event
		for _, f := range fields(t, content) {
			switch f.number {
			case 1:
				e.wall = math.Float64frombits(f.value)
			case 2:
				e.step = int64(f.value)
			case 3:
				e.version = string(f.bytes)
			case 5:
				for _, value := range fields(t, f.bytes) {
					parts := fields(t, value.bytes)
					if value.number != 1 || len(parts) != 2 || parts[0].number != 1 || parts[1].number != 2 {
						t.Fatalf("the value is %+v", parts)
					}
					e.tags = append(e.tags, string(parts[0].bytes))
					e.values = append(e.values, math.Float32frombits(uint32(parts[1].value)))
				}
			default:
				t.Fatalf("field %d", f.number)
			}
		}
		events = append(events, e)
	}
	return events
}

func TestEventsHoldTheScalarsOfTheLog(t *testing.T) {
	f := mustCreate(t, t.TempDir())
	if err := f.Step(fullStep(), wall); err != nil {
		t.Fatal(err)
	}
	if err := f.Step(&Step{Step: 1 << 40, Loss: 3, Flatness: Numbers{{"hv", 2}}}, wall.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := f.Epoch(&Epoch{Epoch: 1, Step: 8, TestAccuracy: Some(0.5), Seconds: 2}, wall); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(f.Dir(), "events.out.tfevents.1700000000.sgflow"))
	if err != nil {
		t.Fatal(err)
	}
	want := []event{
		{wall: 1700000000.25, version: "brain.Event:2"},
		{wall: 1700000000.25, step: 7, tags: []string{
			"lr", "loss", "accuracy",
			"noise/grad_norm_sq", "noise/grad_var_trace", "noise/grad_norm_sq_unbiased", "noise/noise_scale", "noise/noise_scale_ema", "noise/fisher_trace", "noise/grad_cosine",
			"flatness/lambda_max", "flatness/lambda_max_residual", "flatness/trace", "flatness/trace_stderr", "flatness/batch_sharpness", "flatness/hv",
			"ms/step", "ms/noise", "ms/flatness",
			"layers/fc2.weight/grad_norm_sq", "layers/fc2.weight/grad_var_trace", "layers/fc1.bias/grad_norm_sq",
		}, values: []float32{0.1, 2.31, 0.109375, 1.5, 20, 1.1875, 16.842105263157894, 17, 21, -0.25, 12, 1e-9, 90, 3, 11.5, 3, 0.5, 0.125, 1e21, 1, 2, 0}},
		{wall: 1700000001.25, step: 1 << 40, tags: []string{"lr", "loss", "flatness/hv"}, values: []float32{0, 3, 2}},
		{wall: 1700000000.25, step: 8, tags: []string{"epoch/test_accuracy", "epoch/seconds"}, values: []float32{0.5, 2}},
	}
	got := parseEvents(t, b)
	same := func(a, b event) bool {
		return a.wall == b.wall && a.step == b.step && a.version == b.version && slices.Equal(a.tags, b.tags) && slices.Equal(a.values, b.values)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func TestCutEventsKeepsWholeRecordsOfEarlierSteps(t *testing.T) {
	f := mustCreate(t, t.TempDir())
	logSteps(t, f, 0, 4)
	path := f.events.path
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ends := []int{} // where each record ends: version, steps 0 to 3
	for at := 0; at < len(b); {
		at += 16 + int(binary.LittleEndian.Uint64(b[at:]))
		ends = append(ends, at)
	}
	cut := func(step int, content []byte) int {
		size, err := eventsBefore(bytes.NewReader(content), int64(len(content)), step)
		if err != nil {
			t.Fatal(err)
		}
		return int(size)
	}
	for step := range 6 {
		if got, want := cut(step, b), ends[min(step, 4)]; got != want {
			t.Errorf("cut at step %d to %d bytes, want %d", step, got, want)
		}
	}
	for i := range b {
		whole := 0 // end of the last record that byte i is not in
		for _, end := range ends {
			if end <= i {
				whole = end
			}
		}
		bad := slices.Clone(b)
		bad[i] ^= 4
		if got := cut(9, bad); got != whole {
			t.Fatalf("byte %d damaged: cut to %d bytes, want %d", i, got, whole)
		}
		if got := cut(9, b[:i]); got != whole {
			t.Fatalf("%d bytes left: cut to %d bytes, want %d", i, got, whole)
		}
	}
	if err := cutEvents(path, 2); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, b[:ends[2]]) {
		t.Errorf("the file has %d bytes, want %d, %v", len(got), ends[2], err)
	}
}
