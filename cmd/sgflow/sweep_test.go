package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"sgflow/engine/sweep/queue"
	"sgflow/engine/sweep/store"
	"sgflow/engine/train"
)

// smallSweep returns the flags of a sweep of four runs on small data in a new
// folder, and the folder.
func smallSweep(t testing.TB) (flags []string, out string) {
	t.Helper()
	t.Setenv(asProgram, "1") // of the workers
	out = filepath.Join(t.TempDir(), "sweep")
	return []string{"--data", smallData(t), "--model", "mlp:36-8-4", "--batch", "16,32", "--momentum", "0.9", "--lr", "0.05",
		"--seeds", "2", "--epochs", "2", "--measure-every", "5", "--workers", "2", "--out", out}, out
}

// mustSweep runs `sgflow sweep` and fails the test if that fails.
func mustSweep(t testing.TB, flags []string, more ...string) (stdout, stderr string) {
	t.Helper()
	code, stdout, stderr := sgflow(append(append([]string{"sweep"}, flags...), more...)...)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	return stdout, stderr
}

// lines reads text as a JSON object a line.
func lines(t testing.TB, text string) (list []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		list = append(list, parseObject(t, line))
	}
	return list
}

func TestSweepPrintsARowARun(t *testing.T) {
	flags, out := smallSweep(t)
	stdout, stderr := mustSweep(t, flags, "--json")
	rows := lines(t, stdout)
	if len(rows) != 4 {
		t.Fatalf("%d rows: %s%s", len(rows), stdout, stderr)
	}
	for i, row := range rows {
		for _, key := range []string{"model", "data", "batch", "lr", "momentum", "seed", "steps", "train_loss", "test_accuracy", "noise_scale",
			"grad_var_trace", "lambda_max", "trace", "temperature", "run"} {
			if _, ok := row[key]; !ok && key != "noise_scale" { // absent where the gradient drowns in noise
				t.Errorf("row %d lacks %s: %v", i, key, row)
			}
		}
		batch := []float64{16, 16, 32, 32}[i]
		if row["batch"] != batch || row["seed"] != float64(i%2) || row["steps"] != 2*320/batch ||
			math.Abs(row["temperature"].(float64)-0.05/(batch*(1-0.9))) > 1e-15 {
			t.Errorf("row %d is %v", i, row)
		}
		for _, name := range []string{"run.json", "steps.jsonl", "epochs.jsonl"} {
			if _, err := os.Stat(filepath.Join(store.RunFolder(out, row["run"].(string)), name)); err != nil {
				t.Error(err)
			}
		}
	}
	// The same command repeats nothing, with flags or without.
	for _, again := range [][]string{flags, {"--out", out}} {
		if text, stderr := mustSweep(t, again, "--json"); text != stdout || !strings.Contains(stderr, "4 of them done before") {
			t.Errorf("again:\n%swant\n%s%s", text, stdout, stderr)
		}
	}
	for _, dir := range []string{"queue", "work"} {
		if _, err := os.Stat(filepath.Join(out, dir)); err == nil {
			t.Errorf("%s is left over", dir)
		}
	}
}

func TestSweepLsShowExport(t *testing.T) {
	flags, out := smallSweep(t)
	stdout, _ := mustSweep(t, flags, "--json")
	want := lines(t, stdout)
	code, listed, stderr := sgflow("sweep", "ls", out, "--json")
	if code != exitDone || listed != stdout {
		t.Errorf("ls: exit %d: %s%s", code, listed, stderr)
	}
	if code, text, stderr := sgflow("sweep", "ls", out); code != exitDone || strings.Count(text, "\n") != 5 || !strings.Contains(text, "test accuracy") {
		t.Errorf("ls: exit %d: %s%s", code, text, stderr)
	}
	id := want[0]["run"].(string)
	if code, text, stderr := sgflow("sweep", "show", out, id[:6]); code != exitDone || !strings.Contains(text, "lambda_max") || !strings.Contains(text, "batch") {
		t.Errorf("show: exit %d: %s%s", code, text, stderr)
	}
	_, text, _ := sgflow("sweep", "show", out, id, "--json")
	shown := parseObject(t, text)
	windows := shown["windows"].(map[string]any)
	end := windows["end"].(map[string]any)
	if len(windows) != 3 || end["first"] != 36.0 || end["last"] != 39.0 || end["means"].(map[string]any)["lambda_max"] != want[0]["lambda_max"] {
		t.Errorf("windows %v", windows)
	}
	if code, text, stderr := sgflow("sweep", "show", out); code != exitDone || !strings.Contains(text, "4 done, 0 failed, 0 to do") {
		t.Errorf("show: exit %d: %s%s", code, text, stderr)
	}

	code, text, stderr = sgflow("sweep", "export", out, "--csv")
	if code != exitDone {
		t.Fatalf("export: exit %d: %s", code, stderr)
	}
	table, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(table) != 5 {
		t.Fatalf("%d lines, %v", len(table), err)
	}
	at := map[string]int{}
	for i, name := range table[0] {
		at[name] = i
	}
	file := filepath.Join(t.TempDir(), "runs.parquet")
	if code, _, stderr := sgflow("sweep", "export", out, "--parquet", "--to", file); code != exitDone {
		t.Fatalf("export: exit %d: %s", code, stderr)
	}
	parquets := readParquet(t, file)
	for i, row := range want {
		if table[i+1][at["run"]] != row["run"] || table[i+1][at["lambda_max.end"]] != fmt.Sprint(row["lambda_max"]) || table[i+1][at["batch"]] != fmt.Sprint(row["batch"]) {
			t.Errorf("line %d of the CSV is %v", i, table[i+1])
		}
		for k, name := range table[0] {
			if got := parquets[i][name]; got != table[i+1][k] {
				t.Errorf("row %d: %s is %q in Parquet, %q in CSV", i, name, got, table[i+1][k])
			}
		}
	}
}

// readParquet returns the rows of a Parquet file, values as CSV has them.
func readParquet(t testing.TB, path string) (rows []map[string]string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := parquet.NewReader(f)
	defer r.Close()
	names := r.Schema().Columns()
	buffer := make([]parquet.Row, 10)
	for {
		n, err := r.ReadRows(buffer)
		for _, row := range buffer[:n] {
			values := map[string]string{}
			for _, v := range row {
				text := ""
				switch {
				case v.IsNull():
				case v.Kind() == parquet.Double:
					text = fmt.Sprint(v.Double())
				default:
					text = v.String()
				}
				values[names[v.Column()][0]] = text
			}
			rows = append(rows, values)
		}
		if err == io.EOF {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSweepFromAFile(t *testing.T) {
	t.Setenv(asProgram, "1")
	data, out := smallData(t), filepath.Join(t.TempDir(), "sweep")
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "grid.yaml")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	grid := write(fmt.Sprintf("data: %s\nmodel: [\"mlp:36-8-4,act=tanh\", \"mlp:36-6-4\"]\nbatch: 16..64*4\nlr: [0.05, 0.1]\nepochs: 1\nmeasure: none\nworkers: 1\n", data))
	stdout, _ := mustSweep(t, []string{"--config", grid, "--lr", "0.2", "--out", out}, "--json")
	rows := lines(t, stdout)
	if len(rows) != 4 || rows[0]["model"] != "mlp:36-8-4,act=tanh" || rows[0]["lr"] != 0.2 || rows[1]["batch"] != 64.0 {
		t.Errorf("rows %v", rows)
	}
	list := write(fmt.Sprintf("data: %s\nmodel: mlp:36-8-4\nsteps: 3\nmeasure: none\nworkers: 1\nruns:\n  - {batch: 8, lr: 0.5}\n  - {batch: 16}\n", data))
	stdout, _ = mustSweep(t, []string{"--config", list, "--out", out + "2"}, "--json")
	if rows = lines(t, stdout); len(rows) != 2 || rows[0]["lr"] != 0.5 || rows[1]["batch"] != 16.0 || rows[1]["steps"] != 3.0 {
		t.Errorf("rows %v", rows)
	}
	for text, want := range map[string]string{
		"bach: 8\n": "did you mean batch?", "batch: []\n": "has no values", "runs: 3\n": "a list of runs", "batch: {a: 1}\n": "is no value",
		"runs: [{bach: 8}]\n": "did you mean batch?", "batch: [8\n": "grid.yaml:",
	} {
		if code, _, stderr := sgflow("sweep", "--config", write(text), "--out", out+"3"); code != exitRequest || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit %d, want 2 with %q: %s", text, code, want, stderr)
		}
	}
}

func TestSweepsThatAreNoneAreRequestErrors(t *testing.T) {
	out := filepath.Join(t.TempDir(), "sweep")
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "nothing is asked for"},
		{[]string{"--name", "not-there"}, "nothing to go on with"},
		{[]string{"--batch", ""}, "has no values"},
		{[]string{"--batch", "64..8*2"}, "is empty"},
		{[]string{"--bacth", "64"}, `did you mean "--batch"`},
		{[]string{"--batch", "64", "--seeds", "-1"}, "--seeds -1"},
		{[]string{"--batch", "0,64"}, "--batch 0"},
		{[]string{"--batch", "64", "--model", "mlp:3-4"}, "784"},
		{[]string{"--batch", "64", "--data", "mnst"}, "did you mean mnist"},
		{[]string{"--batch", "64", "--until", "accuracy:1"}, "test-accuracy"},
		{[]string{"--batch", "64", "--name", "../x"}, "not a path"},
		{[]string{"--batch", "64", "--lease", "1ms"}, "--lease"},
		{[]string{"--batch", "64", "--workers", "0"}, "--workers 0"},
		{[]string{"--batch", "64", "--scale-lr", "cubic"}, "linear or sqrt"},
		{[]string{"ls", "not-there"}, `no sweep "not-there"`},
		{[]string{"export", "not-there"}, "--csv"},
	} {
		args := append([]string{"sweep"}, test.args...)
		if len(test.args) > 0 && strings.HasPrefix(test.args[0], "--") && test.args[0] != "--name" {
			args = append(args, "--out", out)
		}
		if len(test.args) > 2 && test.args[2] == "--name" {
			args = args[:len(args)-2]
		}
		if code, _, stderr := sgflow(args...); code != exitRequest || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit %d, want 2 with %q: %s", args, code, test.want, stderr)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a wrong request made the folder")
	}
}

func TestTargetThatIsNotReachedIsMarked(t *testing.T) {
	flags, out := smallSweep(t)
	stdout, _ := mustSweep(t, flags, "--until", "train-loss:1e-9", "--json")
	for _, row := range lines(t, stdout) {
		if row["reached"] != false {
			t.Errorf("row %v", row)
		}
	}
	if _, text, _ := sgflow("sweep", "ls", out); strings.Count(text, "target not reached") != 4 {
		t.Errorf("ls: %s", text)
	}
}

func TestFailedRunsEndTheSweepWith1(t *testing.T) {
	flags, out := smallSweep(t)
	code, stdout, stderr := sgflow(append(append([]string{"sweep"}, flags...), "--lr", "1e20", "--lr", "0.05", "--json")...)
	if code != exitFailed || !strings.Contains(stderr, "of 8 runs failed") || !strings.Contains(stderr, "diverged") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	failed := 0
	for _, row := range lines(t, stdout) {
		if row["status"] == "failed" {
			failed++
			if text, _ := row["error"].(string); !strings.Contains(text, "diverged") || strings.Contains(text, "kept in") || row["lr"] != 1e20 {
				t.Errorf("row %v", row)
			}
		}
	}
	if failed != 4 {
		t.Errorf("%d rows failed in %s", failed, out)
	}
}

func TestWorkersThatCannotWork(t *testing.T) {
	s, err := queue.Serve(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dir := t.TempDir()
	if code, _, stderr := sgflow("worker", "--nats", s.URL(), "--dir", dir, "--idle", "200ms"); code != exitDone {
		t.Errorf("a worker without work: exit %d: %s", code, stderr)
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitRequest, "--nats is missing"},
		{[]string{"--nats", s.URL(), "--device", "tpu"}, exitRequest, "tpu"},
		{[]string{"--nats", s.URL(), "--nats-creds", "missing.creds"}, exitRequest, "missing.creds"},
		{[]string{"--nats", s.URL(), "--nats-tls-cert", os.Args[0]}, exitRequest, "go together"},
		{[]string{"--nats", "nats://127.0.0.1:1"}, exitFailed, "no queue there"},
		{[]string{"--nats", strings.Replace(s.URL(), "nats://", "nats://x", 1)}, exitFailed, "no queue there"},
	} {
		if code, _, stderr := sgflow(append([]string{"worker", "--dir", dir}, test.args...)...); code != test.code || !strings.Contains(stderr, test.want) {
			t.Errorf("%q: exit %d, want %d with %q: %s", test.args, code, test.code, test.want, stderr)
		}
	}
}

func TestWorkerOfAnotherVersionIsRefused(t *testing.T) {
	s, err := queue.Serve(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	q, err := queue.Connect(ctx, queue.Options{URL: s.URL(), Build: queue.NewBuild("sgflow v0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	const sweep = "0123456789abcdef"
	if err := q.Open(ctx, sweep, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := q.Submit(ctx, []queue.Job{{Sweep: sweep, Run: sweep, Config: train.Default()}}); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := sgflow("worker", "--nats", s.URL(), "--dir", t.TempDir(), "--idle", "1m")
	if code != exitRequest || !strings.Contains(stderr, `they need "sgflow v0.0.1", this is "sgflow `) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// boardOf is a board on a terminal of 100 by 10, with a clock that can be set.
func boardOf(clock *time.Time) (*board, *strings.Builder) {
	var text strings.Builder
	b := newBoard(&text, nil, "sweeps/x")
	b.width, b.height = func() int { return 100 }, func() int { return 10 }
	b.now = func() time.Time { return *clock }
	b.began = *clock
	b.total, b.all = 2, 10
	b.cost, b.titles = map[string]float64{"a": 4, "b": 6}, map[string]string{"a": "mlp, batch 8", "b": "mlp, batch 16"}
	return b, &text
}

func TestBoardShowsWorkersAndTimeLeft(t *testing.T) {
	clock := time.Unix(1000, 0)
	b, text := boardOf(&clock)
	clock = clock.Add(10 * time.Second)
	b.Progressed(&queue.Progress{Worker: "local-1", Run: "a", Step: 50, Steps: 100, Loss: 0.5})
	for _, part := range []string{"0 of 2 runs done", "20%", "about 40.0s left", "local-1", "50%", "mlp, batch 8, loss 0.500"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("the table lacks %q:\n%s", part, text)
		}
	}
	for _, line := range strings.Split(text.String(), "\n") {
		if n := len([]rune(line)); n > 99 {
			t.Errorf("a line of %d columns: %q", n, line)
		}
	}
}

// A clock that is set back shows no nonsense.
func TestBoardSurvivesAClockThatJumps(t *testing.T) {
	clock := time.Unix(1_000_000, 0)
	b, text := boardOf(&clock)
	for _, jump := range []time.Duration{-time.Hour, 48 * time.Hour, -365 * 24 * time.Hour} {
		clock = clock.Add(jump)
		b.line("x")
		b.Progressed(&queue.Progress{Worker: "local-1", Run: "a", Step: 50, Steps: 100})
	}
	if strings.Contains(text.String(), "-") && strings.Contains(strings.ReplaceAll(text.String(), "local-1", ""), "-") {
		t.Errorf("a negative time:\n%s", text)
	}
}
