package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"sgflow/engine/sweep"
	"sgflow/engine/sweep/queue"
	"sgflow/engine/sweep/store"
)

// board shows what a sweep does: on a terminal a table that is drawn again, a
// line a worker; anywhere else a line a run that has ended, and now and then
// one for all. It is a sweep.Watcher.
type board struct {
	w      io.Writer
	width  func() int // columns of the terminal; 0 where w is none
	height func() int // its rows
	now    func() time.Time

	plan         *sweep.Plan
	dir          string
	total        int
	done, failed int
	reused       int
	cost         map[string]float64 // of the runs, by id
	titles       map[string]string
	all, ended   float64 // cost: of what this call has to do, of what has ended
	workers      map[string]*queue.Progress
	began, shown time.Time
	drawn        int // lines that stand on the terminal
}

func newBoard(w io.Writer, plan *sweep.Plan, dir string) *board {
	b := &board{
		w: w, width: func() int { return 0 }, height: func() int { return 0 }, now: time.Now, plan: plan, dir: dir,
		cost: map[string]float64{}, titles: map[string]string{}, workers: map[string]*queue.Progress{},
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		size := func() (int, int) {
			columns, rows, err := term.GetSize(int(f.Fd()))
			if err != nil || columns < 1 || rows < 1 {
				return 80, 24
			}
			return columns, rows
		}
		b.width = func() int { columns, _ := size(); return columns }
		b.height = func() int { _, rows := size(); return rows }
	}
	b.began = b.now()
	return b
}

// Planned shows what there is to do.
func (b *board) Planned(runs []store.Run) {
	b.total = len(runs)
	for i := range runs {
		r := &runs[i]
		switch r.Status {
		case store.Done:
			b.reused++
		case store.Failed:
			b.failed++
		default:
			c := b.plan.Cost(&r.Config)
			b.cost[r.ID], b.titles[r.ID] = c, sweep.Title(&r.Config)
			b.all += c
		}
	}
	b.done = b.reused
	text := fmt.Sprintf("%d runs in %s", b.total, b.dir)
	if b.reused > 0 {
		text += fmt.Sprintf(", %d of them done before", b.reused)
	}
	b.line(text)
}

// Progressed shows how far a worker is.
func (b *board) Progressed(p *queue.Progress) {
	if w, ok := b.workers[p.Worker]; ok && p.Run == "" {
		w.Run = ""
	} else {
		now := *p
		b.workers[p.Worker] = &now
	}
	b.show(false)
}

// Finished shows a run that has ended.
func (b *board) Finished(r *store.Run) {
	b.ended += b.cost[r.ID]
	if r.Status == store.Failed {
		b.failed++
		again := "it would fail again"
		if !r.Final {
			again = fmt.Sprintf("after %d tries", r.Attempts)
		}
		b.line(fmt.Sprintf("failed: %s (run %s, %s): %s", sweep.Title(&r.Config), r.ID, again, r.Error))
	} else {
		b.done++
		if b.width() == 0 {
			text := fmt.Sprintf("%d/%d done: %s: %s in %s", b.done, b.total, sweep.Title(&r.Config), plural(r.Summary.Steps, "step"), clock(r.Summary.Seconds))
			if x, ok := r.Summary.TestAccuracy.Get(); ok {
				text += fmt.Sprintf(", test accuracy %.2f%%", 100*x)
			}
			if r.Summary.Reached != nil && !*r.Summary.Reached {
				text += ", target not reached"
			}
			b.line(text)
		}
	}
	b.show(true)
}

// plural prints a number of things.
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return grouped(n) + " " + thing
}

// Retrying shows a failure that is not the end.
func (b *board) Retrying(r *store.Run, pause time.Duration) {
	b.line(fmt.Sprintf("failed for the %d. time, tried again in %s: %s (run %s): %s", r.Attempts, pause, sweep.Title(&r.Config), r.ID, r.Error))
}

// Warned prints a warning.
func (b *board) Warned(text string) { b.line("warning: " + text) }

// line prints a line of its own, above the table.
func (b *board) line(text string) {
	b.erase()
	fmt.Fprintln(b.w, text)
	b.draw()
}

// show draws what has changed, not more often than is useful, but at once where
// a run has ended.
func (b *board) show(ended bool) {
	pause := 10 * time.Second
	if b.width() > 0 {
		pause = 100 * time.Millisecond
	}
	now := b.now()
	if now.Sub(b.shown) < pause && !(ended && b.width() > 0) {
		return
	}
	b.shown = now
	if b.width() == 0 {
		if !ended {
			fmt.Fprintln(b.w, b.state())
		}
		return
	}
	b.erase()
	b.draw()
}

// end leaves the table where it is.
func (b *board) end() { b.drawn = 0 }

// erase removes the table from the terminal.
func (b *board) erase() {
	if b.drawn > 0 {
		fmt.Fprintf(b.w, "\x1b[%dA\r\x1b[J", b.drawn)
		b.drawn = 0
	}
}

// draw draws the table, where there is a terminal.
func (b *board) draw() {
	width := b.width()
	if width == 0 || b.total == 0 {
		return
	}
	lines := append([]string{b.state()}, b.rows()...)
	if most := max(b.height()-2, 1); len(lines) > most {
		lines = append(lines[:most-1], fmt.Sprintf("… and %d more workers", len(lines)-most+1))
	}
	for _, line := range lines {
		if runes := []rune(line); len(runes) > width-1 {
			line = string(runes[:width-1])
		}
		fmt.Fprintln(b.w, line)
	}
	b.drawn = len(lines)
}

// state is the line for all.
func (b *board) state() string {
	share := 1.0
	if b.all > 0 {
		share = b.share()
	}
	text := fmt.Sprintf("%s %3.0f%%  %d of %d runs done", bar(share, 24), 100*share, b.done, b.total)
	if b.failed > 0 {
		text += fmt.Sprintf(", %d failed", b.failed)
	}
	spent := b.now().Sub(b.began).Seconds()
	text += "  " + clock(max(spent, 0))
	if share > 0 && share < 1 && spent > 0 {
		text += fmt.Sprintf(", about %s left", clock(spent*(1-share)/share))
	}
	return text
}

// share is how much of this call's work is done, by the estimated cost.
func (b *board) share() float64 {
	done := b.ended
	for _, p := range b.workers {
		if p.Run != "" && p.Steps > 0 {
			done += b.cost[p.Run] * float64(p.Step) / float64(p.Steps)
		}
	}
	return min(done/b.all, 1)
}

// rows are the lines of the workers.
func (b *board) rows() []string {
	var names []string
	for name := range b.workers {
		names = append(names, name)
	}
	slices.Sort(names)
	var rows []string
	for _, name := range names {
		p := b.workers[name]
		if p.Run == "" {
			rows = append(rows, fmt.Sprintf("%-12s waiting", name))
			continue
		}
		share := 0.0
		if p.Steps > 0 {
			share = min(float64(p.Step)/float64(p.Steps), 1)
		}
		rows = append(rows, fmt.Sprintf("%-12s %s %3.0f%%  %s, loss %.3f", name, bar(share, 12), 100*share, b.titles[p.Run], p.Loss))
	}
	return rows
}

// bar is a progress bar of so many columns.
func bar(share float64, columns int) string {
	full := int(share * float64(columns))
	return strings.Repeat("█", full) + strings.Repeat("░", columns-full)
}
