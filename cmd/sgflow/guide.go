package main

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"

	"sgflow/engine/nearest"
	"sgflow/engine/record"
	"sgflow/engine/request"
)

// guideFiles are the chapters of the guide, in Markdown, and their figures.
//
//go:embed guide
var guideFiles embed.FS

const guideDir = "guide"

// guideCommand is `sgflow guide`.
type guideCommand struct {
	Chapter string `arg:"" optional:"" help:"Chapter by its name or number, or all; without, the chapters are listed."`
	Out     string `placeholder:"DIR" help:"Write the chapters as Markdown, with their figures, to this folder."`
}

// Help returns the text below the summary in --help.
func (guideCommand) Help() string {
	return `For a reader who has heard that "SGD's noise helps": from mini-batch gradients to the
stochastic differential equation, the noise scale, flat minima and schedules. Every
number and figure comes from a command in the text.

Examples:

  sgflow guide
  sgflow guide gradients | less
  sgflow guide --out guide`
}

// chapter is a chapter of the guide.
type chapter struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
	Title  string `json:"title"`
	Text   string `json:"text,omitempty"` // Markdown

	file string
}

// chapterFile matches the names of chapters' files.
var chapterFile = regexp.MustCompile(`^(\d)-([a-z-]+)\.md$`)

// chapters returns the chapters in order.
func chapters() ([]chapter, error) {
	entries, err := guideFiles.ReadDir(guideDir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("guide: %w", err)
	}
	var list []chapter
	for _, entry := range entries {
		m := chapterFile.FindStringSubmatch(entry.Name())
		if m == nil {
			continue
		}
		text, err := guideFiles.ReadFile(path.Join(guideDir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("guide: %w", err)
		}
		title, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
		list = append(list, chapter{Number: int(m[1][0] - '0'), Name: m[2], Title: title, Text: string(text), file: entry.Name()})
	}
	return list, nil
}

// Run runs the command.
func (c *guideCommand) Run(a *app) error {
	list, err := chapters()
	if err != nil {
		return err
	}
	chosen, err := chooseChapters(list, c.Chapter)
	if err != nil {
		return err
	}
	if c.Out != "" {
		if err := writeGuide(c.Out, chosen); err != nil {
			return err
		}
	}
	switch {
	case a.json:
		if c.Chapter == "" {
			for i := range chosen {
				chosen[i].Text = ""
			}
		}
		return a.print(map[string]any{"chapters": chosen, "out": c.Out})
	case c.Out != "":
		return a.write(fmt.Sprintf("%d chapters and their figures are in %s\n", len(chosen), c.Out))
	case c.Chapter == "":
		return a.write(guideContents(chosen))
	}
	for i, ch := range chosen {
		if i > 0 {
			ch.Text = "\n" + ch.Text
		}
		if err := a.write(ch.Text); err != nil {
			return err
		}
	}
	return nil
}

// chooseChapters returns the chapters that a name, a number, all or nothing stands for.
func chooseChapters(list []chapter, name string) ([]chapter, error) {
	if name == "" || name == "all" {
		return list, nil
	}
	names := []string{"all"}
	for _, ch := range list {
		if name == ch.Name || name == fmt.Sprint(ch.Number) {
			return []chapter{ch}, nil
		}
		names = append(names, ch.Name)
	}
	return nil, request.Wrap(fmt.Errorf("guide: there is no chapter %q: did you mean %s? There are %s", name, nearest.Name(name, names), strings.Join(names, ", ")))
}

// guideContents lists the chapters.
func guideContents(list []chapter) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, ch := range list {
		fmt.Fprintf(w, "%d  %s\t%s\n", ch.Number, ch.Name, ch.Title)
	}
	_ = w.Flush() // a strings.Builder takes every write
	b.WriteString("\nRead one with `sgflow guide NAME`; `sgflow guide --out DIR` writes all with their figures.\n")
	return b.String()
}

// writeGuide writes chapters and the figures to the folder dir.
func writeGuide(dir string, list []chapter) error {
	const figures = "figures"
	if err := os.MkdirAll(filepath.Join(dir, figures), 0o777); err != nil {
		return &request.Error{Err: fmt.Errorf("--out: %w", err)}
	}
	files := map[string]string{}
	for _, ch := range list {
		files[ch.file] = path.Join(guideDir, ch.file)
	}
	entries, err := fs.ReadDir(guideFiles, path.Join(guideDir, figures))
	if err != nil {
		return fmt.Errorf("guide: %w", err)
	}
	for _, entry := range entries {
		files[filepath.Join(figures, entry.Name())] = path.Join(guideDir, figures, entry.Name())
	}
	for to, from := range files {
		content, err := guideFiles.ReadFile(from)
		if err != nil {
			return fmt.Errorf("guide: %w", err)
		}
		err = record.WriteFileAtomic(filepath.Join(dir, to), func(w io.Writer) error {
			_, err := w.Write(content)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
