package report

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"sgflow/engine/record"
	"sgflow/engine/sweep/store"
)

// browser is a page in Chromium and what went wrong in it.
type browser struct {
	ctx context.Context
	mu  sync.Mutex
	bad []string // console messages, exceptions, requests
}

// start starts Chromium, for as long as the test runs, or skips the test where there
// is none.
func start(t *testing.T) context.Context {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium, Debian's package of that name")
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(chromium), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true))
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// open shows a file in a new tab, in a colour scheme and a width.
func open(t *testing.T, chromium context.Context, path, scheme string, width int64) *browser {
	t.Helper()
	ctx, cancel := chromedp.NewContext(chromium)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	b := &browser{ctx: ctx}
	if err := chromedp.Listen(ctx, b.heard); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate("file://"+path)); err != nil {
		t.Fatal(err)
	}
	// Two frames: sizes are observed after the first.
	evaluate[bool](t, b, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
	return b
}

// heard notes what no page should cause.
func (b *browser) heard(event any) {
	text := ""
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		text = fmt.Sprintf("console %s", e.Type)
		for _, arg := range e.Args {
			text += " " + string(arg.Value) + arg.Description
		}
	case *runtime.EventExceptionThrown:
		text = fmt.Sprintf("exception %+v", e.ExceptionDetails)
	case *cdplog.EventEntryAdded:
		text = "log " + e.Entry.Text
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, "file://") && !strings.HasPrefix(u, "data:") {
			text = "request for " + u
		}
	}
	if text != "" {
		b.mu.Lock()
		b.bad = append(b.bad, text)
		b.mu.Unlock()
	}
}

// clean fails the test where anything was noted.
func (b *browser) clean(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.bad {
		t.Error(text)
	}
}

// evaluate returns the value of an expression, awaited.
func evaluate[T any](t *testing.T, b *browser, expression string) T {
	t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// keep writes an artefact of the test.
func keep(t *testing.T, name string, data []byte) {
	t.Helper()
	path := filepath.Join(t.ArtifactDir(), name)
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	t.Log(path)
}

// inked counts, for each plot, the pixels of the plotting area that have a colour
// of a series: saturated ones, as axes, grid and text are grey.
const inked = `[...document.querySelectorAll(".chart")].map(figure => {
	const canvas = figure.querySelector("canvas"), copy = new OffscreenCanvas(canvas.width, canvas.height);
	const box = copy.getContext("2d", {willReadFrequently: true});
	box.drawImage(canvas, 0, 0);
	const d = box.getImageData(0, 0, canvas.width, canvas.height).data;
	let n = 0;
	for (let i = 0; i < d.length; i += 4) if (d[i+3] > 100 && Math.max(d[i], d[i+1], d[i+2]) - Math.min(d[i], d[i+1], d[i+2]) > 60) n++;
	return {name: figure.dataset.chart || "steps", pixels: n, width: canvas.clientWidth, room: figure.clientWidth};
})`

type drawn struct {
	Name                string
	Pixels, Width, Room int
}

func TestPageInChromium(t *testing.T) {
	chromium := start(t)
	dir := sharedSweep(t)
	path := writtenPage(t, mustReport(t, dir))
	t.Run("draws its plots", func(t *testing.T) { drawsItsPlots(t, chromium, path) })
	t.Run("prints light and unfolded", func(t *testing.T) { printsLightAndUnfolded(t, chromium, path) })
	t.Run("has the numbers of the store", func(t *testing.T) { hasTheNumbersOfTheStore(t, chromium, path, dir) })
	t.Run("sorts tables by their numbers", func(t *testing.T) { sortsTables(t, chromium, path) })
	t.Run("zooms and shows the nearest point", func(t *testing.T) { zooms(t, chromium, path) })
	t.Run("shows steps of chosen runs", func(t *testing.T) { showsSteps(t, chromium, path) })
	t.Run("shows several problems", func(t *testing.T) { showsSeveralProblems(t, chromium) })
	t.Run("escapes text of files", func(t *testing.T) { escapes(t, chromium) })
}

func drawsItsPlots(t *testing.T, chromium context.Context, path string) {
	for _, c := range []struct {
		name, scheme string
		width        int64
	}{{"light", "light", 1280}, {"dark", "dark", 1280}, {"narrow", "light", 390}} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, chromium, path, c.scheme, c.width)
			plots := evaluate[[]drawn](t, b, inked)
			if len(plots) < 15 {
				t.Errorf("%d plots, want 15 or more", len(plots))
			}
			for _, p := range plots {
				if p.Pixels < 150 {
					t.Errorf("%s: %d pixels of series: blank", p.Name, p.Pixels)
				}
				if p.Width > p.Room {
					t.Errorf("%s is %d px wide in %d", p.Name, p.Width, p.Room)
				}
			}
			if over := evaluate[int](t, b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				t.Errorf("the page is %d px wider than the window", over)
			}
			if got := evaluate[string](t, b, `document.documentElement.dataset.theme`); (got == "dark") != (c.scheme == "dark") {
				t.Errorf("theme %s where %s is preferred", got, c.scheme)
			}
			shot, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			if err != nil {
				t.Fatal(err)
			}
			keep(t, c.name+".png", shot)
			b.clean(t)
		})
	}
}

func printsLightAndUnfolded(t *testing.T, chromium context.Context, path string) {
	b := open(t, chromium, path, "dark", 1280)
	evaluate[bool](t, b, `dispatchEvent(new Event("beforeprint"))`)
	if got := evaluate[string](t, b, `document.documentElement.dataset.theme`); got != "light" {
		t.Errorf("theme %s on paper", got)
	}
	if closed := evaluate[int](t, b, `document.querySelectorAll("details:not([open])").length`); closed > 0 {
		t.Errorf("%d explanations are folded on paper", closed)
	}
	evaluate[bool](t, b, `dispatchEvent(new Event("afterprint"))`)
	if got := evaluate[string](t, b, `document.documentElement.dataset.theme`); got != "dark" {
		t.Errorf("theme %s after printing", got)
	}
	pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF(chromedp.PDFPreferCSSPageSize()))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(pdf), "%PDF") || len(pdf) < 50_000 {
		t.Errorf("a PDF of %d bytes", len(pdf))
	}
	keep(t, "print.pdf", pdf)
	b.clean(t)
}

// cells are the numbers of a table, by row and column title.
const cells = `[...document.querySelector(%q).tBodies[0].rows].map(row => Object.fromEntries(
	[...row.cells].map((cell, k) => [row.closest("table").tHead.rows[0].cells[k].textContent, cell.dataset.v === undefined ? cell.textContent : cell.dataset.v])))`

func hasTheNumbersOfTheStore(t *testing.T, chromium context.Context, path, dir string) {
	b := open(t, chromium, path, "light", 1280)
	rows := map[string]map[string]string{}
	for _, row := range evaluate[[]map[string]string](t, b, fmt.Sprintf(cells, "#s1-runs")) {
		rows[row["run"]] = row
	}
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	runs, err := s.Runs(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(runs) {
		t.Fatalf("%d rows for %d runs", len(rows), len(runs))
	}
	for _, r := range runs {
		windows, err := s.Windows(context.Background(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]record.Opt{
			"batch": record.Some(float64(r.Config.Batch)), "rate": record.Some(r.Config.LR), "seed": record.Some(float64(r.Config.Seed)),
			"steps": record.Some(float64(r.Summary.Steps)), "test acc. %": r.Summary.TestAccuracy, "test loss": r.Summary.TestLoss, "train loss": r.Summary.TrainLoss,
			"tr Σ": windows[2].Value("grad_var_trace"), "|G|²": windows[2].Value("grad_norm_sq_unbiased"), "λmax": windows[2].Value("lambda_max"),
			"tr H": windows[2].Value("trace"), "sharpness": windows[2].Value("batch_sharpness"),
			"noise scale start": windows[0].Value("noise_scale"), "noise scale middle": windows[1].Value("noise_scale"), "noise scale end": windows[2].Value("noise_scale"),
		}
		for name, o := range want {
			x, ok := o.Get()
			got, err := strconv.ParseFloat(rows[r.ID][name], 64)
			if !ok || err != nil || got != x {
				t.Errorf("run %s: %s is %q in the page, %v in the store", r.ID, name, rows[r.ID][name], o)
			}
		}
	}
	b.clean(t)
}

func sortsTables(t *testing.T, chromium context.Context, path string) {
	b := open(t, chromium, path, "light", 1280)
	const click = `(() => { const heads = [...document.querySelectorAll("#s1-runs thead th")];
		const k = heads.findIndex(h => h.textContent === "steps"); heads[k].querySelector("button").click();
		return [...document.querySelector("#s1-runs").tBodies[0].rows].map(r => +r.cells[k].dataset.v); })()`
	for _, sign := range []float64{1, -1} {
		list := evaluate[[]float64](t, b, click)
		for i := 1; i < len(list); i++ {
			if sign*(list[i]-list[i-1]) < 0 {
				t.Fatalf("click for direction %g: %g after %g", sign, list[i], list[i-1])
			}
		}
	}
	b.clean(t)
}

func zooms(t *testing.T, chromium context.Context, path string) {
	b := open(t, chromium, path, "light", 1280)
	type box struct{ X, Y, Width, Height float64 }
	area := evaluate[box](t, b, `(() => { const e = document.querySelector("[data-chart=s1-tradeoff]"); e.scrollIntoView({block: "center"});
		const r = e.querySelector(".u-over").getBoundingClientRect(); return {X: r.x, Y: r.y, Width: r.width, Height: r.height}; })()`)
	tip := ""
	for i := range 40 { // along the diagonal, on which the curve lies somewhere
		share := (float64(i) + 0.5) / 40
		if err := chromedp.Do(b.ctx, chromedp.MouseEvent("mouseMoved", area.X+share*area.Width, area.Y+share*area.Height)); err != nil {
			t.Fatal(err)
		}
		if tip = evaluate[string](t, b, `(() => { const e = document.querySelector("[data-chart=s1-tradeoff] .tip"); return e.hidden ? "" : e.textContent; })()`); strings.Contains(tip, "steps to the target") {
			break
		}
	}
	if !strings.Contains(tip, "steps to the target") {
		t.Errorf("no tip along the diagonal, last %q", tip)
	}
	const span = `(() => { const p = document.querySelector("[data-chart=s1-tradeoff] .u-over").getBoundingClientRect(); return p.width; })()`
	if w := evaluate[float64](t, b, span); math.Abs(w-area.Width) > 1 {
		t.Errorf("the plot went from %g to %g px while pointing at it", area.Width, w)
	}
	before := evaluate[string](t, b, `document.querySelector("[data-chart=s1-tradeoff] canvas").toDataURL()`)
	if err := chromedp.Do(b.ctx, chromedp.DragAndDropXY(area.X+0.2*area.Width, area.Y+0.2*area.Height, area.X+0.6*area.Width, area.Y+0.7*area.Height)); err != nil {
		t.Fatal(err)
	}
	shot := `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(document.querySelector("[data-chart=s1-tradeoff] canvas").toDataURL()))))`
	zoomed := evaluate[string](t, b, shot)
	if zoomed == before {
		t.Error("dragging does not zoom")
	}
	evaluate[bool](t, b, `([...document.querySelectorAll("[data-chart=s1-tradeoff] .tools button")].find(e => e.textContent === "reset").click(), true)`)
	if evaluate[string](t, b, shot) != before {
		t.Error("reset does not show the whole again")
	}
	evaluate[bool](t, b, `([...document.querySelectorAll("[data-chart=s1-tradeoff] .tools button")].find(e => e.textContent === "log x").click(), true)`)
	if evaluate[string](t, b, shot) == before {
		t.Error("log x changes nothing")
	}
	b.clean(t)
}

func showsSteps(t *testing.T, chromium context.Context, path string) {
	b := open(t, chromium, path, "light", 1280)
	const entries = `[...document.querySelectorAll(".explorer .legend button")].map(e => e.textContent)`
	choose := func(name, value string) []string {
		return evaluate[[]string](t, b, fmt.Sprintf(`(() => { const e = document.querySelector(".explorer .%s"); e.value = %q;
			e.dispatchEvent(new Event("change")); return %s; })()`, name, value, entries))
	}
	if got := choose("filter", "64"); len(got) != len(madeRates)*len(madeSeeds) || !strings.HasPrefix(got[0], "batch 64, rate 0.05, seed 1") {
		t.Errorf("runs of batch 64: %q", got)
	}
	for _, quantity := range []string{"noise_scale", "lambda_max", "accuracy"} {
		choose("quantity", quantity)
		for _, p := range evaluate[[]drawn](t, b, inked) {
			if p.Name == "steps" && p.Pixels < 150 {
				t.Errorf("%s: %d pixels of series: blank", quantity, p.Pixels)
			}
		}
	}
	b.clean(t)
}

func showsSeveralProblems(t *testing.T, chromium context.Context) {
	dir := t.TempDir()
	for _, model := range []string{"mlp:784-10", "mlp:784-16-10"} {
		for _, batch := range []int{16, 64} {
			c := madeConfig(batch, 0.2, 1)
			c.Model = model
			steps := madeSteps(&c)
			for i := range steps {
				steps[i].Noise.Set("grad_var_trace", math.MaxFloat64) // more than can be drawn
			}
			summary := madeSummary(&c, len(steps))
			madeRun(t, filepath.Join(dir, fmt.Sprintf("%s-%d", strings.ReplaceAll(model, ":", "-"), batch)), &c, steps, &summary)
		}
	}
	b := open(t, chromium, writtenPage(t, mustReport(t, dir)), "light", 1280)
	titles := evaluate[[]string](t, b, `[...document.querySelectorAll(".problem .where")].map(e => e.textContent)`)
	if len(titles) != 2 || titles[0] == titles[1] {
		t.Errorf("problems %q", titles)
	}
	if n := evaluate[int](t, b, `document.querySelectorAll(".chart").length - document.querySelectorAll(".chart canvas").length`); n != 0 {
		t.Errorf("%d charts have no plot", n)
	}
	b.clean(t)
}

// What files say may hold markup; it must stay text.
func escapes(t *testing.T, chromium context.Context) {
	dir := t.TempDir()
	const evil = `</script><script>alert(1)</script><img src=x onerror=alert(2)>"'` + "`|*"
	for seed := range uint64(2) {
		c := madeConfig(64, 0.1, seed)
		c.Model, c.Data = evil, evil
		steps := madeSteps(&c)
		summary := madeSummary(&c, len(steps))
		steps[0].Noise = append(steps[0].Noise, record.Number{Name: evil, X: 1})
		folder := filepath.Join(dir, fmt.Sprintf("<b>%d", seed))
		madeRun(t, folder, &c, steps, &summary)
	}
	r := mustReport(t, dir)
	b := open(t, chromium, writtenPage(t, r), "light", 1280)
	if n := evaluate[int](t, b, `document.querySelectorAll("img, b.evil, script").length`); n != 2 { // the data and the script
		t.Errorf("%d elements that are images or scripts, want 2", n)
	}
	if text := evaluate[string](t, b, `document.querySelector(".where").textContent`); !strings.Contains(text, evil) {
		t.Errorf("the title is %q", text)
	}
	b.clean(t)
	var md strings.Builder
	if err := r.WriteMarkdown(&md); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(md.String(), "<script") || strings.Contains(md.String(), "<img") {
		t.Error("markup in the Markdown")
	}
	if text, err := json.Marshal(r.JSON("x")); err != nil || strings.Contains(string(text), "<script") {
		t.Errorf("JSON: %v", err)
	}
}
