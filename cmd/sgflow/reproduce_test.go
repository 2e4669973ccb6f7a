package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sgflow/engine/reproduce"
)

func TestReproduceListsItsExperiments(t *testing.T) {
	code, stdout, stderr := sgflow("reproduce", "list")
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, e := range reproduce.Experiments {
		if !strings.Contains(stdout, e.Name+"\n") {
			t.Errorf("%s is not listed", e.Name)
		}
	}
	code, stdout, _ = sgflow("reproduce", "list", "--json")
	if n := strings.Count(stdout, "\n"); code != exitDone || n != len(reproduce.Experiments) {
		t.Errorf("exit %d, %d lines for %d experiments", code, n, len(reproduce.Experiments))
	}
	if first := parseObject(t, strings.SplitAfter(stdout, "\n")[0]); first["name"] != reproduce.Experiments[0].Name || first["claim"] == nil || first["source"] == nil {
		t.Errorf("%v", first)
	}
}

func TestReproduceRefusesWrongRequests(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"flatness-disputed", "--out", file}, "--out: mkdir"},
		{[]string{"flatness-disputd"}, "did you mean flatness-disputed?"},
		{[]string{"list", "flatness-disputed"}, "list goes alone"},
		{[]string{"flatness-disputed", "--seeds", "1"}, "--seeds 1"},
		{[]string{"flatness-disputed", "--threads", "-1"}, "--threads -1"},
		{nil, "expected \"<name> ...\""},
	} {
		code, stdout, stderr := sgflow(append([]string{"reproduce", "--out", t.TempDir()}, c.args...)...)
		if code != exitRequest || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit %d, %q, want %q", c.args, code, stderr, c.want)
		}
	}
}

// The rescaled network is the quickest experiment.
func TestReproducePrintsAndWritesWhatItFound(t *testing.T) {
	out := t.TempDir()
	code, stdout, stderr := sgflow("reproduce", "flatness-disputed", "--quick", "--seeds", "2", "--out", out)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	page := filepath.Join(out, "flatness-disputed", "index.html")
	for _, want := range []string{"CONFIRMED", "arXiv:1703.04933", "setting", "differs", "verdict", "quick, seeds 0, 1", page} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the text lacks %q:\n%s", want, stdout)
		}
	}
	if _, err := os.Stat(page); err != nil {
		t.Error(err)
	}
	numbers := func(threads string) string {
		code, stdout, stderr := sgflow("reproduce", "flatness-disputed", "--quick", "--seeds", "2", "--seed", "1", "--threads", threads, "--out", out, "--json")
		if code != exitDone {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		got := parseObject(t, stdout)
		if got["verdict"] != "confirmed" || got["page"] != page {
			t.Errorf("%v", got)
		}
		delete(got, "seconds")
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if one, two := numbers("1"), numbers("2"); one != two {
		t.Errorf("one thread: %s\ntwo: %s", one, two)
	}
}

// interrupting is a writer that stops what writes to it.
type interrupting struct {
	text strings.Builder
	stop context.CancelFunc
}

func (w *interrupting) Write(p []byte) (int, error) {
	w.stop()
	return w.text.Write(p)
}

func TestReproduceKeepsWhatWasFinishedBeforeAnInterrupt(t *testing.T) {
	out := t.TempDir()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stdout := &interrupting{stop: stop} // the first result is out, and the second experiment not begun
	var stderr strings.Builder
	code := run(ctx, []string{"reproduce", "flatness-disputed", "edge-of-stability", "--quick", "--seeds", "2", "--out", out, "--json"}, stdout, &stderr)
	if code != exitInterrupted || strings.Count(stdout.text.String(), "\n") != 1 {
		t.Errorf("exit %d, %q, %q", code, stdout.text.String(), stderr.String())
	}
	for _, name := range []string{"index.html", filepath.Join("flatness-disputed", "index.html")} {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(out, "edge-of-stability")); err == nil {
		t.Error("an unfinished experiment has a folder")
	}
}
