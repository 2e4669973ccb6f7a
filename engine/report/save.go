package report

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"sgflow/engine/record"
)

// The files of a report.
const (
	PageFile     = "report.html"
	MarkdownFile = "report.md"
	FigureFolder = "figures"
)

// Save writes the page, the Markdown summary and the figures to the folder dir,
// each replaced as a whole.
func (r *Report) Save(ctx context.Context, dir string) error {
	figures := filepath.Join(dir, FigureFolder)
	if err := os.MkdirAll(figures, 0o777); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := record.WriteFileAtomic(filepath.Join(dir, PageFile), r.WritePage); err != nil {
		return err
	}
	if err := record.WriteFileAtomic(filepath.Join(dir, MarkdownFile), r.WriteMarkdown); err != nil {
		return err
	}
	for _, s := range r.Sections {
		for _, c := range s.Charts {
			if err := ctx.Err(); err != nil {
				return err
			}
			f, err := c.Draw(c.Title, s.Title)
			if err != nil {
				return err
			}
			if err := f.Save(filepath.Join(figures, c.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}
