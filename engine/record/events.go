package record

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// An event file is a row of TFRecords, each
//
//	uint64 length, uint32 masked CRC-32C of the length's bytes,
//	the bytes, uint32 masked CRC-32C of the bytes
//
// in little-endian order, whose bytes are an Event message of TensorFlow's
// event.proto and summary.proto. These are the fields used here.
const (
	eventWallTime    = protowire.Number(1) // double, seconds
	eventStep        = protowire.Number(2) // int64
	eventFileVersion = protowire.Number(3) // string
	eventSummary     = protowire.Number(5) // Summary
	summaryValue     = protowire.Number(1) // Value, repeated
	valueTag         = protowire.Number(1) // string
	valueSimple      = protowire.Number(2) // float

	fileVersion = "brain.Event:2"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is TFRecord's: a CRC of data that holds CRCs is a weak one, so
// the stored one is rotated and moved.
func maskedCRC(b []byte) uint32 {
	crc := crc32.Checksum(b, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}

// eventEncoder builds event records in buffers that it keeps.
type eventEncoder struct {
	record, summary, value []byte
}

// version returns the record that starts a file.
func (e *eventEncoder) version(wall time.Time) []byte {
	e.begin(wall)
	e.record = protowire.AppendTag(e.record, eventFileVersion, protowire.BytesType)
	e.record = protowire.AppendString(e.record, fileVersion)
	return e.end()
}

// step returns the record of s. It is valid until the next record.
func (e *eventEncoder) step(s *Step, wall time.Time) []byte {
	e.begin(wall)
	e.summary = e.summary[:0]
	for _, s := range s.scalars() {
		e.scalar(s.value, s.tag)
	}
	for _, g := range s.groups() {
		e.values(g.values, "", g.name)
	}
	e.values(s.MS, "", "ms")
	for i := range s.Layers {
		e.values(s.Layers[i].Numbers, "layers/", s.Layers[i].Name)
	}
	e.at(s.Step)
	return e.end()
}

// epoch returns the record of ep. It is valid until the next record.
func (e *eventEncoder) epoch(ep *Epoch, wall time.Time) []byte {
	e.begin(wall)
	e.summary = e.summary[:0]
	for _, s := range ep.scalars() {
		e.scalar(s.value, s.tag)
	}
	e.at(ep.Step)
	return e.end()
}

// scalar adds a number, if it is there, under the tag that the parts make.
// TensorBoard's numbers are float32.
func (e *eventEncoder) scalar(value Opt, tag ...string) {
	if x, ok := value.Get(); ok {
		e.number(x, tag...)
	}
}

// values adds numbers under the tags that prefix, group, a slash and their
// names make.
func (e *eventEncoder) values(v Numbers, prefix, group string) {
	for i := range v {
		e.number(v[i].X, prefix, group, "/", v[i].Name)
	}
}

func (e *eventEncoder) number(x float64, tag ...string) {
	length := 0
	for _, part := range tag {
		length += len(part)
	}
	e.value = protowire.AppendTag(e.value[:0], valueTag, protowire.BytesType)
	e.value = protowire.AppendVarint(e.value, uint64(length))
	for _, part := range tag {
		e.value = append(e.value, part...)
	}
	e.value = protowire.AppendTag(e.value, valueSimple, protowire.Fixed32Type)
	e.value = protowire.AppendFixed32(e.value, math.Float32bits(float32(x)))
	e.summary = protowire.AppendTag(e.summary, summaryValue, protowire.BytesType)
	e.summary = protowire.AppendBytes(e.summary, e.value)
}

// recordHead and recordTail are the bytes of a TFRecord around its content.
const recordHead, recordTail = 12, 4

func (e *eventEncoder) begin(wall time.Time) {
	e.record = append(e.record[:0], make([]byte, recordHead)...)
	e.record = protowire.AppendTag(e.record, eventWallTime, protowire.Fixed64Type)
	seconds := float64(wall.UnixMicro()) / 1e6
	e.record = protowire.AppendFixed64(e.record, math.Float64bits(seconds))
}

// at adds the step and the summary.
func (e *eventEncoder) at(step int) {
	e.record = protowire.AppendTag(e.record, eventStep, protowire.VarintType)
	e.record = protowire.AppendVarint(e.record, uint64(step))
	e.record = protowire.AppendTag(e.record, eventSummary, protowire.BytesType)
	e.record = protowire.AppendBytes(e.record, e.summary)
}

func (e *eventEncoder) end() []byte {
	content := e.record[recordHead:]
	binary.LittleEndian.PutUint64(e.record, uint64(len(content)))
	binary.LittleEndian.PutUint32(e.record[8:], maskedCRC(e.record[:8]))
	e.record = binary.LittleEndian.AppendUint32(e.record, maskedCRC(content))
	return e.record
}

// cutEvents cuts the event file at its first event of the given step or a
// later one, or its first damaged record.
func cutEvents(path string, step int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	size, err := eventsBefore(bufio.NewReaderSize(f, 1<<16), info.Size(), step)
	f.Close()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Truncate(path, size)
}

// eventsBefore returns the length of the whole records at the start of r, a
// file of the given size, whose step is below step.
func eventsBefore(r io.Reader, size int64, step int) (int64, error) {
	var kept int64
	var head [recordHead]byte
	var content []byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return kept, cutShort(err)
		}
		length := binary.LittleEndian.Uint64(head[:])
		if binary.LittleEndian.Uint32(head[8:]) != maskedCRC(head[:8]) || length > uint64(size) {
			return kept, nil
		}
		need := int(length) + recordTail
		if cap(content) < need {
			content = make([]byte, need)
		}
		content = content[:need]
		if _, err := io.ReadFull(r, content); err != nil {
			return kept, cutShort(err)
		}
		crc := binary.LittleEndian.Uint32(content[length:])
		if crc != maskedCRC(content[:length]) || eventStepOf(content[:length]) >= int64(step) {
			return kept, nil
		}
		kept += int64(recordHead + need)
	}
}

// eventStepOf returns the step of an Event message, or -1 where it has none,
// as in the record that starts a file.
func eventStepOf(event []byte) int64 {
	step := int64(-1)
	for len(event) > 0 {
		number, kind, n := protowire.ConsumeTag(event)
		if n < 0 {
			return step
		}
		event = event[n:]
		if number == eventStep && kind == protowire.VarintType {
			value, n := protowire.ConsumeVarint(event)
			if n > 0 {
				step = int64(value)
			}
			return step
		}
		if n = protowire.ConsumeFieldValue(number, kind, event); n < 0 {
			return step
		}
		event = event[n:]
	}
	return step
}

// cutShort turns the end of the input into no error.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
