package record

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestLayersRoundTripThroughJSONInOrder(t *testing.T) {
	want := Layers{{Name: "fc2.weight", GradNormSq: Some(1.5)}, {Name: "fc1.bias", GradNormSq: Some(2), GradVarTrace: Some(3)}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if s := `{"fc2.weight":{"grad_norm_sq":1.5},"fc1.bias":{"grad_norm_sq":2,"grad_var_trace":3}}`; string(text) != s {
		t.Errorf("%s, want %s", text, s)
	}
	var got Layers
	if err := json.Unmarshal(text, &got); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v (error %v), want %v", got, err, want)
	}
}
