package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sgflow/engine/analysis"
	"sgflow/engine/record"
	"sgflow/engine/sweep/store"
)

// runFolders writes run folders of the given batch sizes and two seeds into dir.
func runFolders(t testing.TB, dir string, batches ...int) []string {
	t.Helper()
	var list []string
	for _, batch := range batches {
		for seed := range uint64(2) {
			c := madeConfig(batch, 0.2, seed)
			steps := madeSteps(&c)
			summary := madeSummary(&c, len(steps))
			folder := filepath.Join(dir, fmt.Sprintf("b%d-s%d", batch, seed))
			madeRun(t, folder, &c, steps, &summary)
			list = append(list, folder)
		}
	}
	return list
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func mustLoad(t testing.TB, dirs ...string) *Loaded {
	t.Helper()
	l, err := Load(context.Background(), nil, dirs...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wantNote fails the test unless exactly one note holds the words.
func wantNote(t *testing.T, notes []string, words ...string) {
	t.Helper()
	found := 0
	for _, n := range notes {
		has := true
		for _, w := range words {
			has = has && strings.Contains(n, w)
		}
		if has {
			found++
		}
		if strings.Contains(n, "\n") {
			t.Errorf("a note of several lines: %q", n)
		}
	}
	if found != 1 {
		t.Errorf("%d notes with %q among %q", found, words, notes)
	}
}

func TestRunFoldersAreFoundOnceHoweverTheyAreGiven(t *testing.T) {
	dir := t.TempDir()
	folders := runFolders(t, filepath.Join(dir, "deep", "er"), 16, 64)
	l := mustLoad(t, append([]string{dir, filepath.Join(dir, "deep")}, folders...)...)
	if len(l.Runs) != 4 || len(l.Notes) != 0 {
		t.Errorf("%d runs, notes %q", len(l.Runs), l.Notes)
	}
}

func TestASweepAndItsRunFoldersGiveTheSameNumbers(t *testing.T) {
	dir := madeSweep(t)
	swept := mustLoad(t, dir)
	if err := os.Rename(filepath.Join(dir, "runs"), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	folders := map[string]*Run{}
	for _, r := range mustLoad(t, filepath.Join(dir, "moved")).Runs {
		folders[r.Name] = r
	}
	if len(swept.Runs) != len(madeBatches)*len(madeRates)*len(madeSeeds) || len(folders) != len(swept.Runs) {
		t.Fatalf("%d runs in the sweep, %d folders", len(swept.Runs), len(folders))
	}
	for _, r := range swept.Runs {
		other := folders[r.Name]
		if other == nil || other.Setting != r.Setting || other.Final != r.Final || len(other.Loss) != len(r.Loss) {
			t.Fatalf("%s differs: %+v", r.Name, other)
		}
		for phase := range r.Phases {
			for _, m := range r.Phases[phase].Means {
				if got := other.Phases[phase].Means.Get(m.Name); got != record.Some(m.X) {
					t.Errorf("%s, %s in phase %d: %v, in the store %g", r.Name, m.Name, phase, got, m.X)
				}
			}
		}
	}
}

func TestDamageIsSaidAndTheRestReported(t *testing.T) {
	dir := t.TempDir()
	folders := runFolders(t, dir, 16, 64, 256)
	write(t, filepath.Join(folders[0], "run.json"), `{"config": {`)
	write(t, filepath.Join(folders[1], "steps.jsonl"), "{\"step\":0}\nnot JSON\n{\"step\":2}\n")
	write(t, filepath.Join(folders[2], "epochs.jsonl"), "[]\n[]\n")
	if err := os.Remove(filepath.Join(folders[3], "steps.jsonl")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "empty", "run.json"), "")
	write(t, filepath.Join(dir, "null", "run.json"), "[1,2]")
	r := mustReport(t, dir)
	if len(r.Runs) != 5 {
		t.Errorf("%d runs, want 5", len(r.Runs))
	}
	wantNote(t, r.Notes, "b16-s0", "left out")
	wantNote(t, r.Notes, "b16-s1", "line 2", "without its steps")
	wantNote(t, r.Notes, "b64-s0", "without its epochs")
	wantNote(t, r.Notes, "empty", "left out")
	wantNote(t, r.Notes, "null", "left out")
	wantNote(t, r.Sections[0].Notes, "2 runs have no log of steps")
	everything(t, r)
}

func TestADamagedStoreIsReadFromItsRunFolders(t *testing.T) {
	dir := madeSweep(t)
	want := len(mustLoad(t, dir).Runs)
	for _, suffix := range []string{"-wal", "-shm"} {
		_ = os.Remove(filepath.Join(dir, store.File+suffix)) // not there after a clean end
	}
	write(t, filepath.Join(dir, store.File), strings.Repeat("no database ", 1000))
	r := mustReport(t, dir)
	if len(r.Runs) != want {
		t.Errorf("%d runs, want %d", len(r.Runs), want)
	}
	wantNote(t, r.Notes, "damaged", "run folders are read instead")
}

func TestFoldersWithoutRunsAreRefused(t *testing.T) {
	empty := t.TempDir()
	if _, err := Load(context.Background(), nil, empty); !errors.Is(err, ErrNoRuns) || !strings.Contains(err.Error(), empty) {
		t.Errorf("error %v", err)
	}
	if _, err := Load(context.Background(), nil, filepath.Join(empty, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	write(t, filepath.Join(empty, "run.json"), "{")
	l := mustLoad(t, empty)
	if _, err := New(l, nil); !errors.Is(err, ErrNoRuns) || !strings.Contains(err.Error(), "left out") {
		t.Errorf("error %v", err)
	}
}

func TestLoadingStopsWhenItIsAskedTo(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Load(ctx, nil, sharedSweep(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestMixedRunsAreGrouped(t *testing.T) {
	dir := t.TempDir()
	for i, model := range []string{"mlp", "mlp:784-512-256-10", "mlp:784-10"} { // the first two are one
		for seed := range uint64(2) {
			c := madeConfig(64, 0.2, seed+10*uint64(i))
			c.Model = model
			steps := madeSteps(&c)
			summary := madeSummary(&c, len(steps))
			madeRun(t, filepath.Join(dir, fmt.Sprintf("r%d-%d", i, seed)), &c, steps, &summary)
		}
	}
	r := mustReport(t, dir)
	if len(r.Sections) != 2 || len(r.Sections[0].Runs) != 4 || len(r.Sections[1].Runs) != 2 {
		t.Fatalf("%d sections", len(r.Sections))
	}
	if a, b := r.Sections[0].Title, r.Sections[1].Title; a == b || !strings.Contains(b, "mlp:784-10") {
		t.Errorf("titles %q and %q", a, b)
	}
	everything(t, r)
}

// A run that is under way, or died, is said and not counted.
func TestUnfinishedRunsAreSaid(t *testing.T) {
	dir := t.TempDir()
	runFolders(t, dir, 16, 64)
	c := madeConfig(16, 0.2, 9)
	madeRun(t, filepath.Join(dir, "died"), &c, madeSteps(&c)[:5], nil)
	r := mustReport(t, dir)
	wantNote(t, r.Sections[0].Notes, "died", "batch 16", "seed 9", "no result")
	if best := r.Sections[0].Ranking[0].Group.Setting.Batch; best != 64 {
		t.Errorf("batch %d is best, though one of its runs died", best)
	}
	everything(t, r)
}

// Runs without noise, without flatness, without test set, without steps, of one
// step: all make a report.
func TestReportsBearWhatWasNotMeasured(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(steps []record.Step, s *record.Summary) []record.Step
	}{
		{"nothing measured", func(steps []record.Step, s *record.Summary) []record.Step {
			for i := range steps {
				steps[i].Noise, steps[i].Flatness, steps[i].Accuracy = nil, nil, record.Opt{}
			}
			return steps
		}},
		{"no test set", func(steps []record.Step, s *record.Summary) []record.Step {
			s.TestLoss, s.TestAccuracy = record.Opt{}, record.Opt{}
			return steps
		}},
		{"no results at all", func(steps []record.Step, s *record.Summary) []record.Step {
			*s = record.Summary{Steps: s.Steps}
			return steps
		}},
		{"one step", func(steps []record.Step, s *record.Summary) []record.Step { return steps[:1] }},
		{"no steps", func(steps []record.Step, s *record.Summary) []record.Step { return nil }},
		{"negative signal and curvature", func(steps []record.Step, s *record.Summary) []record.Step {
			for i := range steps {
				steps[i].Noise.Set("grad_norm_sq_unbiased", -1)
				steps[i].Flatness.Set("lambda_max", -2)
				steps[i].Loss = 0
			}
			return steps
		}},
		{"huge and tiny", func(steps []record.Step, s *record.Summary) []record.Step {
			for i := range steps {
				steps[i].Noise.Set("grad_var_trace", math.MaxFloat64)
				steps[i].Noise.Set("grad_norm_sq_unbiased", math.SmallestNonzeroFloat64)
				steps[i].Flatness.Set("trace", 1e-300)
			}
			return steps
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, batch := range []int{16, 64, 256} {
				for seed := range uint64(2) {
					config := madeConfig(batch, 0.2, seed)
					steps := madeSteps(&config)
					summary := madeSummary(&config, len(steps))
					steps = c.edit(steps, &summary)
					madeRun(t, filepath.Join(dir, fmt.Sprintf("b%d-s%d", batch, seed)), &config, steps, &summary)
				}
			}
			everything(t, mustReport(t, dir))
		})
	}
}

// everything makes all outputs of a report and fails the test unless they are
// sound: valid JSON without NaN, figures that can be drawn.
func everything(t *testing.T, r *Report) {
	t.Helper()
	dir := t.TempDir()
	if err := r.Save(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r.JSON(dir)); err != nil {
		t.Error(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, PageFile))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), `<script type="application/json" id="data">`)
	data, _, found := strings.Cut(rest, "</script>")
	var v any
	if err := json.Unmarshal([]byte(data), &v); !found || err != nil {
		t.Errorf("the page's data: %v", err)
	}
	body, _, _ := strings.Cut(string(page), "<script")
	for _, name := range []string{PageFile, MarkdownFile} {
		text := body
		if name == MarkdownFile {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		for _, bad := range []string{"NaN", "Inf", "%!", "<nil>", "ZgotmplZ"} {
			if i := strings.Index(text, bad); i >= 0 {
				t.Errorf("%s has %s in %q", name, bad, text[max(0, i-60):min(len(text), i+40)])
			}
		}
	}
	for _, s := range r.Sections {
		if s.Answer.Text == "" {
			t.Error("no answer")
		}
	}
}

func TestTargetsCanBeAskedFor(t *testing.T) {
	l := mustLoad(t, sharedSweep(t))
	target, err := analysis.ParseTarget("train-loss:0.5")
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(l, &target)
	if err != nil {
		t.Fatal(err)
	}
	s := r.Sections[0]
	if s.Chosen || s.Target.Value != 0.5 || s.TradeOff == nil {
		t.Fatalf("%+v", s.Target)
	}
	// The curves reach 0.5 in half the steps of 0.1, or nearly: ln 4.6 / ln 23.
	want := stepsMin * math.Log(4.6) / math.Log(23)
	if got := s.TradeOff.StepsMin.Value; math.Abs(got/want-1) > 0.1 {
		t.Errorf("S_min %g, want about %g", got, want)
	}
}
