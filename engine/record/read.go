package record

import (
	"encoding/json"
	"fmt"
)

// ReadSteps reads a steps.jsonl. A last line that was cut short, as a killed
// run leaves it, is dropped; any other line that is no Step is an error that
// gives its number.
func ReadSteps(path string) ([]Step, error) { return readLines[Step](path) }

// EachStep calls visit with the lines of a steps.jsonl for which keep, given
// their number counted from 0, is true, without keeping any: visit may keep
// nothing of the step, which comes without its layers: most of a line is theirs.
// It treats a last line that was cut short, and any other that is no Step, as
// ReadSteps does.
func EachStep(path string, keep func(line int) bool, visit func(*Step) error) error {
	var s struct {
		Step
		Skipped struct{} `json:"layers"` // hides the Step's
	}
	err := eachLine(path, func(number int, line []byte, whole bool) error {
		if !keep(number - 1) {
			return nil
		}
		s.Step = Step{}
		if err := json.Unmarshal(line, &s); err != nil {
			if !whole {
				return nil
			}
			return fmt.Errorf("%s: line %d: %w", path, number, err)
		}
		return visit(&s.Step)
	})
	if err != nil {
		return fmt.Errorf("record: read: %w", err)
	}
	return nil
}

// ReadEpochs reads an epochs.jsonl as ReadSteps does a steps.jsonl.
func ReadEpochs(path string) ([]Epoch, error) { return readLines[Epoch](path) }

func readLines[T any](path string) ([]T, error) {
	var list []T
	err := eachLine(path, func(number int, line []byte, whole bool) error {
		var item T
		if err := json.Unmarshal(line, &item); err != nil {
			if !whole {
				return nil
			}
			return fmt.Errorf("%s: line %d: %w", path, number, err)
		}
		list = append(list, item)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("record: read: %w", err)
	}
	return list, nil
}

// MarshalJSON writes an object of layers by name, in the order of the slice.
func (l Layers) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for i, layer := range l {
		if i > 0 {
			text = append(text, ',')
		}
		value, err := layer.Numbers.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", layer.Name, err)
		}
		text = append(append(appendString(text, layer.Name), ':'), value...)
	}
	return append(text, '}'), nil
}

// UnmarshalJSON reads an object of layers and keeps its order.
func (l *Layers) UnmarshalJSON(text []byte) error {
	*l = nil
	return eachMember(text, func(name string, d *json.Decoder) error {
		layer := Layer{Name: name}
		if err := d.Decode(&layer.Numbers); err != nil {
			return err
		}
		*l = append(*l, layer)
		return nil
	})
}
