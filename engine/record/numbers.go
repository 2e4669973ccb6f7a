package record

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Number is a number with its name, a key of the log.
type Number struct {
	Name string
	X    float64
}

// Numbers is a JSON object of finite numbers by name, in the order of the
// slice.
type Numbers []Number

// Get returns the number of that name, absent where there is none.
func (v Numbers) Get(name string) Opt {
	for i := range v {
		if v[i].Name == name {
			return Some(v[i].X)
		}
	}
	return Opt{}
}

// Set gives the number of that name the value x; a new name is added at the
// end.
func (v *Numbers) Set(name string, x float64) {
	for i := range *v {
		if (*v)[i].Name == name {
			(*v)[i].X = x
			return
		}
	}
	*v = append(*v, Number{name, x})
}

// MarshalJSON writes the object. A number that is not finite is an error.
func (v Numbers) MarshalJSON() ([]byte, error) {
	e := lineEncoder{buf: []byte{'{'}}
	e.values(v)
	return append(e.buf, '}'), e.err
}

// UnmarshalJSON reads an object of numbers and keeps its order.
func (v *Numbers) UnmarshalJSON(text []byte) error {
	*v = nil
	return eachMember(text, func(name string, d *json.Decoder) error {
		var x Opt
		if err := d.Decode(&x); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		*v = append(*v, Number{name, x.value})
		return nil
	})
}

// eachMember calls f for each member of a JSON object, in their order; f is to
// decode the value.
func eachMember(text []byte, f func(name string, d *json.Decoder) error) error {
	d := json.NewDecoder(bytes.NewReader(text))
	open, err := d.Token()
	if err != nil {
		return err
	}
	if open != json.Delim('{') {
		return fmt.Errorf("record: %v, not an object", open)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if err := f(name.(string), d); err != nil { // a key of an object is a string
			return err
		}
	}
	return nil
}
