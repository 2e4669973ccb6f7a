package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// console is where progress goes: on a terminal one line is rewritten, anywhere
// else lines follow each other.
type console struct {
	w     io.Writer
	width func() int // columns of the terminal; 0 where w is none
	open  bool       // the cursor stands at the end of a status line
}

// newConsole returns the console that writes to w.
func newConsole(w io.Writer) *console {
	c := &console{w: w, width: func() int { return 0 }}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		c.width = func() int {
			columns, _, err := term.GetSize(int(f.Fd()))
			if err != nil || columns < 1 {
				return 80
			}
			return columns
		}
	}
	return c
}

// terminal reports whether there is one.
func (c *console) terminal() bool { return c.width() > 0 }

// status shows fields, two spaces between them, in place of the last status:
// the first of the forms that the terminal has room for, or of the last form
// as many fields as fit.
func (c *console) status(forms ...[]string) {
	width := c.width()
	if width == 0 {
		fmt.Fprintln(c.w, strings.Join(forms[0], gap))
		return
	}
	text := ""
	for _, fields := range forms {
		var fits bool
		if text, fits = fit(fields, width-1); fits { // a full last column would wrap
			break
		}
	}
	// Back to the first column, the text, and clear what is left of the old.
	fmt.Fprintf(c.w, "\r%s\x1b[K", text)
	c.open = true
}

// gap is between fields.
const gap = "  "

// fit joins the fields that fit into width columns, and reports whether those
// are all.
func fit(fields []string, width int) (text string, all bool) {
	for n := len(fields); n > 0; n-- {
		if text = strings.Join(fields[:n], gap); utf8.RuneCountInString(text) <= width {
			return text, n == len(fields)
		}
	}
	return "", false
}

// line prints a line of its own, in place of the status if there is one.
func (c *console) line(format string, args ...any) {
	if c.open {
		fmt.Fprint(c.w, "\r\x1b[K")
		c.open = false
	}
	fmt.Fprintf(c.w, format+"\n", args...)
}

// end leaves the status where it is and goes to a new line.
func (c *console) end() {
	if c.open {
		fmt.Fprintln(c.w)
		c.open = false
	}
}
