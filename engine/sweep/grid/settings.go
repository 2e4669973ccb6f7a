package grid

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sgflow/engine/nearest"
	"sgflow/engine/train"
	"sgflow/models"
)

// fixed are the settings that a sweep sets itself, and those whose files it does
// not keep.
var fixed = []string{"out", "threads", "trajectory", "trajectory-dim"}

// Settings lists the settings that a sweep can vary, in their order.
func Settings() []string {
	return slices.DeleteFunc(train.Names(train.Config{}), func(name string) bool { return slices.Contains(fixed, name) })
}

// field returns the field of c that is the setting of that name.
func field(c *train.Config, name string) (reflect.Value, error) {
	v := reflect.ValueOf(c).Elem()
	for _, f := range fields() {
		if f.Tag.Get("json") == name && !slices.Contains(fixed, name) {
			return v.FieldByIndex(f.Index), nil
		}
	}
	return v, fmt.Errorf("no training flag is called %q: did you mean %s?", name, nearest.Name(name, Settings()))
}

// Set gives the setting of that name the value that text says.
func Set(c *train.Config, name, text string) error {
	f, err := field(c, name)
	if err != nil {
		return err
	}
	switch f.Kind() {
	case reflect.String:
		f.SetString(text)
	case reflect.Bool:
		x, boolErr := strconv.ParseBool(text)
		f.SetBool(x)
		err = boolErr
	case reflect.Int:
		x, intErr := strconv.ParseInt(text, 10, strconv.IntSize)
		f.SetInt(x)
		err = intErr
	case reflect.Uint64:
		x, intErr := strconv.ParseUint(text, 10, 64)
		f.SetUint(x)
		err = intErr
	default:
		x, floatErr := strconv.ParseFloat(text, 64)
		f.SetFloat(x)
		err = floatErr
	}
	if err != nil {
		return fmt.Errorf("--%s %s: %q is no %s", name, text, text, kinds[f.Kind()])
	}
	return nil
}

// kinds name the types of settings for people.
var kinds = map[reflect.Kind]string{
	reflect.Bool: "true or false", reflect.Int: "whole number", reflect.Uint64: "whole number from 0", reflect.Float64: "number",
}

// Values returns the values that text, as a flag takes it, stands for: of a
// number's setting a list with ranges, of model a list of models, of any other
// a list, except measure and until, whose commas and colons are their own.
func Values(name, text string) ([]string, error) {
	c := train.Default()
	f, err := field(&c, name)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("--%s has no values: a grid without them is empty", name)
	}
	switch {
	case name == "measure":
		return []string{text}, nil
	case name == "model":
		return Models(text), nil
	case f.Kind() == reflect.String || f.Kind() == reflect.Bool:
		return strings.Split(text, ","), nil
	}
	values, err := Numbers(text, f.Kind() != reflect.Float64)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", name, err)
	}
	return values, nil
}

// Models cuts a list of models at those commas behind which one starts: a
// preset or a word with a colon. The others belong to specs.
func Models(list string) []string {
	var specs []string
	for i, word := range strings.Split(list, ",") {
		if i == 0 || strings.Contains(word, ":") || slices.Contains(models.Presets(), word) {
			specs = append(specs, word)
		} else {
			specs[len(specs)-1] += "," + word
		}
	}
	return specs
}
