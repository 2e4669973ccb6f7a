package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDataListNamesTheSetsAndWhereTheyAre(t *testing.T) {
	t.Setenv("SGFLOW_DATA", t.TempDir())
	_, stdout, _ := sgflow("data", "list")
	for _, part := range []string{"mnist ", "embedded", "cifar10", "3×32×32", "sgflow data fetch kmnist"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("the list lacks %q:\n%s", part, stdout)
		}
	}
	_, stdout, _ = sgflow("data", "list", "--json")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 5 {
		t.Errorf("%d lines, want one a set", len(lines))
	}
	for _, line := range lines {
		var set struct {
			Name    string
			Train   int
			Classes int
		}
		if err := json.Unmarshal([]byte(line), &set); err != nil || set.Name == "" || set.Train == 0 || set.Classes == 0 {
			t.Errorf("%v: %s", err, line)
		}
	}
}

func TestDataInfoDescribesAFolder(t *testing.T) {
	code, stdout, _ := sgflow("data", "info", smallData(t))
	if code != exitDone || !strings.Contains(stdout, "320 training, 50 test") || !strings.Contains(stdout, "1×6×6") {
		t.Errorf("exit %d:\n%s", code, stdout)
	}
}

func TestDataVerifyTellsGoodFilesFromBad(t *testing.T) {
	code, stdout, _ := sgflow("data", "verify", "mnist", "--json")
	if v := parseObject(t, stdout); code != exitDone || v["ok"] != true {
		t.Errorf("exit %d: %v", code, v)
	}
	cache := t.TempDir()
	t.Setenv("SGFLOW_DATA", cache)
	dir := filepath.Join(cache, "kmnist")
	if err := os.Rename(smallData(t), dir); err != nil {
		t.Fatal(err)
	}
	labels := filepath.Join(dir, "t10k-labels-idx1-ubyte") // its published hash is that of the .gz
	if err := os.Rename(labels, labels+".gz"); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := sgflow("data", "verify", "kmnist")
	if code != exitFailed || !strings.Contains(stdout, "mismatch") || !strings.Contains(stderr, "not what was published") {
		t.Errorf("exit %d:\n%s%s", code, stdout, stderr)
	}
}

func TestFetchThatIsInterruptedKeepsWhatCame(t *testing.T) {
	t.Setenv("SGFLOW_DATA", t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write(make([]byte, 300000)) // the client may be gone
		_ = http.NewResponseController(w).Flush()
		cancel() // Ctrl-C, in the middle of a file
		<-r.Context().Done()
	}))
	defer server.Close()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"data", "fetch", "kmnist", "--mirror", server.URL}, &stdout, &stderr)
	if code != exitInterrupted || stdout.Len() != 0 {
		t.Errorf("exit %d, output %q:\n%s", code, &stdout, &stderr)
	}
	_, list, _ := sgflow("data", "list")
	if !strings.Contains(list, "sgflow data fetch kmnist") {
		t.Errorf("half a set counts as there:\n%s", list)
	}
}

func TestFetchThatFailsExitsWith1AndSaysWhere(t *testing.T) {
	t.Setenv("SGFLOW_DATA", t.TempDir())
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	code, stdout, stderr := sgflow("data", "fetch", "kmnist", "--mirror", server.URL)
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, server.URL+"/train-images-idx3-ubyte.gz") || !strings.Contains(stderr, "404") {
		t.Errorf("exit %d, output %q:\n%s", code, stdout, stderr)
	}
}
