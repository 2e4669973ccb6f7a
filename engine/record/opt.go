package record

import (
	"fmt"
	"math"
	"strconv"
)

// Opt is a number that may be absent. The zero value is absent; a number that
// was measured must be finite to be logged.
type Opt struct {
	value float64
	ok    bool
}

// Some returns x as a number that is there.
func Some(x float64) Opt { return Opt{x, true} }

// Get returns the number and whether it is there; an absent one is 0.
func (o Opt) Get() (float64, bool) { return o.value, o.ok }

// IsZero reports whether o is absent (the test of `json:",omitzero"`).
func (o Opt) IsZero() bool { return !o.ok }

// String returns the number, or "absent".
func (o Opt) String() string {
	if !o.ok {
		return "absent"
	}
	return strconv.FormatFloat(o.value, 'g', -1, 64)
}

// MarshalJSON returns the number. An absent or non-finite one is an error, as
// JSON has no word for it: give the field the option omitzero.
func (o Opt) MarshalJSON() ([]byte, error) {
	if !o.ok || !finite(o.value) {
		return nil, fmt.Errorf("record: %v is no JSON number", o)
	}
	return appendFloat(nil, o.value), nil
}

// UnmarshalJSON reads a number.
func (o *Opt) UnmarshalJSON(text []byte) error {
	x, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return fmt.Errorf("record: %.40q is not a number", text)
	}
	*o = Some(x)
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
