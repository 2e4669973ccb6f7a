package train

import (
	"fmt"
	"reflect"
)

// Names lists the settings of a configuration (a Config or a ProbeConfig, or a
// pointer to one) in their order, by the names they have on the command line
// and in files.
func Names(config any) []string {
	var names []string
	for _, f := range settings(config) {
		names = append(names, f.Tag.Get("json"))
	}
	return names
}

// Values returns the settings of a configuration as text, as flags take them,
// by their names.
func Values(config any) map[string]string {
	values := map[string]string{}
	for _, f := range settings(config) {
		v := reflect.Indirect(reflect.ValueOf(config)).FieldByIndex(f.Index)
		values[f.Tag.Get("json")] = fmt.Sprint(v.Interface())
	}
	return values
}

// settings returns the fields of a configuration that are settings: those with
// a JSON name, embedded ones included.
func settings(config any) []reflect.StructField {
	t := reflect.TypeOf(config)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var list []reflect.StructField
	for _, f := range reflect.VisibleFields(t) {
		if f.Tag.Get("json") != "" {
			list = append(list, f)
		}
	}
	return list
}
