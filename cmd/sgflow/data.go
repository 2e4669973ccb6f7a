package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sgflow/data"
	"sgflow/engine/nearest"
	"sgflow/engine/request"
)

// dataCommand is `sgflow data`.
type dataCommand struct {
	List   dataListCommand   `cmd:"" help:"List the data sets that have a name, and where they are."`
	Fetch  dataFetchCommand  `cmd:"" help:"Download a data set to the cache and check it."`
	Verify dataVerifyCommand `cmd:"" help:"Compare a data set's files with their published hashes."`
	Info   dataInfoCommand   `cmd:"" help:"Describe a data set."`
}

// Help returns the text below the summary in --help.
func (dataCommand) Help() string {
	return `Data sets are kept in the user's cache folder, or in $SGFLOW_DATA.

Examples:

  sgflow data list
  sgflow data fetch kmnist
  sgflow data info ./my-idx-files`
}

type dataListCommand struct{}

// Help returns the text below the summary in --help.
func (dataListCommand) Help() string { return "Example:\n\n  sgflow data list --json" }

// Run runs the command.
func (dataListCommand) Run(a *app) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range data.List() {
		if a.json {
			if err := a.print(s); err != nil {
				return err
			}
			continue
		}
		where := s.Where
		if where == "" {
			where = "not here: sgflow data fetch " + s.Name
		}
		fmt.Fprintf(w, "%s\t%s + %s\t%d classes\t%s\t%s\n", s.Name, grouped(s.Train), grouped(s.Test), s.Classes, shape(s), where)
	}
	_ = w.Flush() // a strings.Builder takes every write
	return a.write(b.String())
}

// shape prints channels, height and width.
func shape(s data.SetInfo) string { return fmt.Sprintf("%d×%d×%d", s.Channels, s.Height, s.Width) }

type dataFetchCommand struct {
	Name   string `arg:"" help:"Data set, one of those that list shows."`
	Mirror string `placeholder:"URL" help:"Download from this folder instead of the published ones."`
}

// Help returns the text below the summary in --help.
func (dataFetchCommand) Help() string {
	return `A download that was interrupted goes on where it ended.

Example:

  sgflow data fetch emnist-balanced`
}

// Run runs the command.
func (c dataFetchCommand) Run(a *app) error {
	if err := c.check(); err != nil {
		return &request.Error{Err: err}
	}
	p := &download{console: newConsole(a.stderr), now: time.Now}
	dir, err := data.Fetch(a.ctx, c.Name, data.FetchOptions{Mirror: c.Mirror, Progress: p.progress})
	p.console.end()
	if err != nil {
		return err
	}
	if a.json {
		return a.print(map[string]string{"name": c.Name, "folder": dir})
	}
	return a.write(fmt.Sprintf("%s is complete in %s\n", c.Name, dir))
}

// check finds what is wrong with the request before any work.
func (c dataFetchCommand) check() error {
	var names []string
	for _, s := range data.List() {
		names = append(names, s.Name)
	}
	if !slices.Contains(names, c.Name) {
		return fmt.Errorf("data fetch: no published data set is called %q: did you mean %s? There are %s",
			c.Name, nearest.Name(c.Name, names), strings.Join(names, ", "))
	}
	if c.Mirror != "" && !strings.HasPrefix(c.Mirror, "http://") && !strings.HasPrefix(c.Mirror, "https://") {
		return fmt.Errorf("--mirror %s: give an address that begins with http:// or https://", c.Mirror)
	}
	return nil
}

// download shows the progress of a fetch.
type download struct {
	console *console
	now     func() time.Time
	shown   time.Time
}

// progress shows how much of a file is here, not more often than is useful.
func (d *download) progress(file string, done, total int64) {
	pause := 5 * time.Second
	if d.console.terminal() {
		pause = 100 * time.Millisecond
	}
	now := d.now()
	if now.Sub(d.shown) < pause && done != total {
		return
	}
	d.shown = now
	fields := []string{file, fmt.Sprintf("%.1f MB", float64(done)/1e6)}
	if total > 0 {
		fields[1] = fmt.Sprintf("%.1f of %.1f MB", float64(done)/1e6, float64(total)/1e6)
		fields = append(fields, fmt.Sprintf("%.0f%%", 100*float64(done)/float64(total)))
	}
	d.console.status(fields)
	if done == total {
		d.console.end()
	}
}

type dataVerifyCommand struct {
	Name string `arg:"" help:"Data set, or a folder of IDX files."`
}

// Help returns the text below the summary in --help.
func (dataVerifyCommand) Help() string { return "Example:\n\n  sgflow data verify mnist" }

// Run runs the command.
func (c dataVerifyCommand) Run(a *app) error {
	v, err := data.Verify(c.Name)
	if err != nil {
		return &request.Error{Err: err}
	}
	if a.json {
		err = a.print(v)
	} else {
		err = a.write(verification(v))
	}
	if err == nil && !v.OK {
		err = fmt.Errorf("data verify: %s in %s is not what was published", v.Name, v.Where)
	}
	return err
}

// verification is the result for people.
func verification(v *data.Verification) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range v.Files {
		fmt.Fprintf(w, "%s\t%s", f.File, f.Status)
		if f.Status == data.Differs {
			fmt.Fprintf(w, ": %s is %s, published is %s", f.Algorithm, f.Found, f.Published)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // a strings.Builder takes every write
	if v.Problem != "" {
		fmt.Fprintln(&b, v.Problem)
	} else {
		fmt.Fprintf(&b, "%s loads (%s)\n", v.Name, v.Where)
	}
	return b.String()
}

type dataInfoCommand struct {
	Name string `arg:"" help:"Data set, or a folder of IDX files."`
}

// Help returns the text below the summary in --help.
func (dataInfoCommand) Help() string { return "Example:\n\n  sgflow data info fashion-mnist" }

// Run runs the command.
func (c dataInfoCommand) Run(a *app) error {
	info, err := data.Info(c.Name)
	if err != nil {
		return &request.Error{Err: err}
	}
	if a.json {
		return a.print(info)
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("name", info.Name)
	row("title", info.Title)
	row("samples", fmt.Sprintf("%s training, %s test", grouped(info.Train), grouped(info.Test)))
	row("shape", shape(info))
	row("classes", fmt.Sprint(info.Classes))
	row("names", strings.Join(info.ClassNames, ", "))
	row("licence", info.License)
	row("home", info.Home)
	row("where", info.Where)
	_ = w.Flush() // a strings.Builder takes every write
	return a.write(b.String())
}
