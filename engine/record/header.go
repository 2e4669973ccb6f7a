package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// entry is a tensor as the header of a safetensors file has it. Its bytes are
// those from begin to end after the header, count elements that fill shape.
type entry struct {
	name       string
	dtype      dtype
	shape      []int
	count      int
	begin, end int64
}

// parseHeader reads the JSON of a header and checks every entry by itself.
// encoding/json alone would let a name come twice, so objects are read key by
// key.
func parseHeader(text []byte) ([]entry, map[string]string, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, nil, errors.New("the header does not begin with {: not a safetensors file")
	}
	if !utf8.Valid(text) {
		return nil, nil, errors.New("the header is not UTF-8: not a safetensors file")
	}
	h := headerReader{json.NewDecoder(bytes.NewReader(text))}
	h.UseNumber()
	var entries []entry
	metadata := map[string]string{}
	err := h.object(func(name string) error {
		if name == metadataKey {
			return h.object(func(key string) error {
				var err error
				metadata[key], err = h.text()
				return err
			})
		}
		e, err := h.entry(name)
		if err != nil {
			return fmt.Errorf("tensor %.80q: %w", name, err)
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	if _, err := h.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("header: there is more after its object")
	}
	return entries, metadata, nil
}

// headerReader reads the few forms of JSON that a header has.
type headerReader struct{ *json.Decoder }

// object reads an object, calling member to read the value of every key. A
// key that comes twice is an error.
func (h headerReader) object(member func(key string) error) error {
	if err := h.open('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for h.More() {
		token, err := h.token()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok {
			return fmt.Errorf("%v where a name should be", token)
		}
		if seen[key] {
			return fmt.Errorf("%.80q comes twice", key)
		}
		seen[key] = true
		if err := member(key); err != nil {
			return err
		}
	}
	_, err := h.token()
	return err
}

// entry reads the value of a tensor.
func (h headerReader) entry(name string) (entry, error) {
	e := entry{name: name}
	var offsets []int
	var hasShape bool
	err := h.object(func(key string) (err error) {
		switch key {
		case "dtype":
			var text string
			text, err = h.text()
			e.dtype = dtype(text)
		case "shape":
			e.shape, err = h.integers()
			hasShape = true
		case "data_offsets":
			offsets, err = h.integers()
		default:
			err = fmt.Errorf("%.80q is none of dtype, shape and data_offsets", key)
		}
		return err
	})
	if err != nil {
		return entry{}, err
	}
	if !hasShape {
		return entry{}, errors.New("it has no shape")
	}
	size := e.dtype.size()
	if size == 0 {
		return entry{}, fmt.Errorf("dtype %.20q is not supported: F64, F32, F16 and BF16 are", string(e.dtype))
	}
	count, ok := elements(e.shape)
	if !ok {
		return entry{}, fmt.Errorf("shape %.80s is no array's: a negative side, or too many elements", fmt.Sprint(e.shape))
	}
	if len(offsets) != 2 || offsets[0] < 0 || offsets[1] < offsets[0] {
		return entry{}, fmt.Errorf("data_offsets %.80s are no [begin,end]", fmt.Sprint(offsets))
	}
	if offsets[1]-offsets[0] != count*size {
		return entry{}, fmt.Errorf("%d bytes by its data_offsets, %d by its shape and dtype", offsets[1]-offsets[0], count*size)
	}
	e.count, e.begin, e.end = count, int64(offsets[0]), int64(offsets[1])
	return e, nil
}

// text reads a string.
func (h headerReader) text() (string, error) {
	token, err := h.token()
	if err != nil {
		return "", err
	}
	text, ok := token.(string)
	if !ok {
		return "", fmt.Errorf("%v where a string should be", token)
	}
	return text, nil
}

// integers reads an array of whole numbers.
func (h headerReader) integers() ([]int, error) {
	if err := h.open('['); err != nil {
		return nil, err
	}
	list := []int{}
	for h.More() {
		token, err := h.token()
		if err != nil {
			return nil, err
		}
		number, ok := token.(json.Number)
		if !ok {
			return nil, fmt.Errorf("%v where a number should be", token)
		}
		n, err := strconv.Atoi(number.String())
		if err != nil {
			return nil, fmt.Errorf("%.40s is no whole number of this machine's size", number)
		}
		list = append(list, n)
	}
	_, err := h.token()
	return list, err
}

// open reads the start of an object or an array.
func (h headerReader) open(delim json.Delim) error {
	token, err := h.token()
	if err != nil {
		return err
	}
	if token != delim {
		return fmt.Errorf("%.40q where %v should begin", fmt.Sprint(token), delim)
	}
	return nil
}

// token is Token with the end of the header as an error of its own.
func (h headerReader) token() (json.Token, error) {
	token, err := h.Token()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it ends in the middle")
	}
	return token, err
}
