package record

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestLayersRoundTripThroughJSONInOrder(t *testing.T) {
	want := Layers{{"fc2.weight", Numbers{{"grad_norm_sq", 1.5}}}, {"fc1.bias", Numbers{{"grad_norm_sq", 2}, {"grad_var_trace", 3}}}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if s := `{"fc2.weight":{"grad_norm_sq":1.5},"fc1.bias":{"grad_norm_sq":2,"grad_var_trace":3}}`; string(text) != s {
		t.Errorf("%s, want %s", text, s)
	}
	var got Layers
	if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v (error %v), want %v", got, err, want)
	}
}
