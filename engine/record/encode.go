package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// lineEncoder builds one line of JSON in a buffer that it keeps, so that
// after the first line nothing is allocated. Keys come in the order they are
// added and numbers in the shortest form that reads back as the same float64:
// equal values give equal bytes. The first number that JSON cannot hold stays
// in err.
type lineEncoder struct {
	buf []byte
	err error
}

// step encodes s as a line. The result is valid until the next line.
func (e *lineEncoder) step(s *Step) ([]byte, error) {
	e.begin()
	e.integer("step", s.Step)
	e.integer("epoch", s.Epoch)
	e.integer("samples", s.Samples)
	top := s.scalars()
	e.numbers(top[:])
	for _, g := range s.groups() {
		e.group(g.name, g.values)
	}
	e.layers(s.Layers)
	e.group("ms", s.MS)
	e.group("bytes", s.Bytes)
	line, err := e.end()
	if err != nil {
		return nil, fmt.Errorf("step %d: %w", s.Step, err)
	}
	return line, nil
}

// epoch encodes ep as a line. The result is valid until the next line.
func (e *lineEncoder) epoch(ep *Epoch) ([]byte, error) {
	e.begin()
	e.integer("epoch", ep.Epoch)
	e.integer("step", ep.Step)
	numbers := ep.scalars()
	e.numbers(numbers[:])
	line, err := e.end()
	if err != nil {
		return nil, fmt.Errorf("epoch %d: %w", ep.Epoch, err)
	}
	return line, nil
}

func (e *lineEncoder) begin() { e.buf, e.err = append(e.buf[:0], '{'), nil }

func (e *lineEncoder) end() ([]byte, error) {
	e.buf = append(e.buf, '}', '\n')
	return e.buf, e.err
}

// key starts a member of the object at hand.
func (e *lineEncoder) key(name string) {
	if e.buf[len(e.buf)-1] != '{' {
		e.buf = append(e.buf, ',')
	}
	e.buf = appendString(e.buf, name)
	e.buf = append(e.buf, ':')
}

func (e *lineEncoder) integer(name string, x int) {
	e.key(name)
	e.buf = strconv.AppendInt(e.buf, int64(x), 10)
}

// numbers adds those of list that are there.
func (e *lineEncoder) numbers(list []scalar) {
	for _, s := range list {
		x, ok := s.value.Get()
		if !ok {
			continue
		}
		if !finite(x) && e.err == nil {
			e.err = fmt.Errorf("%s is %v: only finite numbers are logged", s.tag, x)
		}
		e.key(s.tag[strings.LastIndexByte(s.tag, '/')+1:])
		e.buf = appendFloat(e.buf, x)
	}
}

// values adds the numbers of v.
func (e *lineEncoder) values(v Numbers) {
	for i := range v {
		if !finite(v[i].X) && e.err == nil {
			e.err = fmt.Errorf("%s is %v: only finite numbers are logged", v[i].Name, v[i].X)
		}
		e.key(v[i].Name)
		e.buf = appendFloat(e.buf, v[i].X)
	}
}

// group adds v as an object, or nothing where it is empty.
func (e *lineEncoder) group(name string, v Numbers) {
	if len(v) == 0 {
		return
	}
	good := e.err == nil
	e.key(name)
	e.buf = append(e.buf, '{')
	e.values(v)
	e.buf = append(e.buf, '}')
	if good && e.err != nil {
		e.err = fmt.Errorf("%s/%w", name, e.err)
	}
}

func (e *lineEncoder) layers(layers Layers) {
	opened := false
	for i := range layers {
		if len(layers[i].Numbers) == 0 {
			continue
		}
		if !opened {
			e.key("layers")
			e.buf = append(e.buf, '{')
			opened = true
		}
		e.group(layers[i].Name, layers[i].Numbers)
	}
	if opened {
		e.buf = append(e.buf, '}')
	}
}

// appendFloat appends x in the shortest form that reads back as x, as
// encoding/json writes it: with an exponent only for the very small and large.
func appendFloat(buf []byte, x float64) []byte {
	format := byte('f')
	if abs := math.Abs(x); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	buf = strconv.AppendFloat(buf, x, format, -1, 64)
	if n := len(buf); format == 'e' && n >= 4 && buf[n-4] == 'e' && buf[n-3] == '-' && buf[n-2] == '0' {
		buf[n-2] = buf[n-1] // e-09 → e-9
		buf = buf[:n-1]
	}
	return buf
}

// appendString appends s as a JSON string. Names of parameters are plain
// ASCII and take the loop; anything else goes through encoding/json.
func appendString(buf []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			var quoted bytes.Buffer
			e := json.NewEncoder(&quoted)
			e.SetEscapeHTML(false)
			if err := e.Encode(s); err != nil {
				panic(err) // a string always has a JSON form
			}
			return append(buf, bytes.TrimSuffix(quoted.Bytes(), []byte{'\n'})...)
		}
	}
	buf = append(buf, '"')
	buf = append(buf, s...)
	return append(buf, '"')
}
