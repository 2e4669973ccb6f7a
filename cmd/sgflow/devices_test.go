package main

import (
	"strings"
	"testing"
)

func TestDevicesListsTheCPUAndWhatThereIsOfCUDA(t *testing.T) {
	_, stdout, _ := sgflow("devices", "--json")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	d := parseObject(t, lines[0])
	if d["device"] != "cpu" || d["cores"].(float64) < 1 || d["kernels"] == "" || d["model"] == "" {
		t.Errorf("devices: %v", d)
	}
	if len(lines) < 2 {
		t.Fatalf("nothing about CUDA:\n%s", stdout)
	}
	_, text, _ := sgflow("devices")
	for i, line := range lines[1:] {
		d := parseObject(t, line)
		name, _ := d["device"].(string)
		switch {
		case name == "cuda" && len(lines) == 2:
			if reason, _ := d["unavailable"].(string); reason == "" || !strings.Contains(text, "cuda: none: "+reason) {
				t.Errorf("no reason why there is no device: %s\n%s", line, text)
			}
		case name != "cuda:"+string(rune('0'+i)), d["model"] == nil, d["capability"] == nil, d["driver"] == nil, d["memory"].(float64) <= 0:
			t.Errorf("incomplete: %s", line)
		case !strings.Contains(text, name+": "+d["model"].(string)):
			t.Errorf("%s is not in the text:\n%s", name, text)
		}
	}
}
