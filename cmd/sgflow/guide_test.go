package main

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"sgflow/engine/record"
)

// guideBlock is a command of the guide with the output that the text quotes for the
// commands of its block.
type guideBlock struct {
	commands [][]string // arguments
	output   []string   // lines
}

// fence matches blocks of code with their languages.
var fence = regexp.MustCompile("(?s)```([a-z]*)\n(.*?)```")

// guideBlocks returns the blocks of commands of a chapter.
func guideBlocks(t *testing.T, ch chapter) []guideBlock {
	t.Helper()
	var blocks []guideBlock
	for _, m := range fence.FindAllStringSubmatch(ch.Text, -1) {
		lines := strings.Split(strings.TrimSuffix(m[2], "\n"), "\n")
		switch m[1] {
		case "sh":
			var b guideBlock
			for _, line := range lines {
				words := shellWords(line)
				if words[0] != "sgflow" {
					t.Errorf("%s: %q is no command of this program", ch.file, line)
					continue
				}
				b.commands = append(b.commands, words[1:])
			}
			blocks = append(blocks, b)
		case "text":
			if len(blocks) == 0 || blocks[len(blocks)-1].output != nil {
				t.Errorf("%s: output without a command before it: %q", ch.file, lines[0])
				continue
			}
			blocks[len(blocks)-1].output = lines
		default:
			t.Errorf("%s: a block of language %q", ch.file, m[1])
		}
	}
	return blocks
}

// shellWords splits a line at spaces that are not in single quotes.
func shellWords(line string) []string {
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

func mustChapters(t *testing.T) []chapter {
	t.Helper()
	list, err := chapters()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// parsed returns what the parser of the program makes of the arguments.
func parsed(args []string) (*cli, error) {
	var c cli
	c.Sweep.Run.Axes = sweepAxes()
	_, err := kong.Must(&c, kong.Name("sgflow"), kong.PostBuild(setDefaults)).Parse(joinNegative(args))
	return &c, err
}

func TestEveryCommandOfTheGuideParses(t *testing.T) {
	t.Chdir(t.TempDir())
	commands := 0
	for _, ch := range mustChapters(t) {
		for _, b := range guideBlocks(t, ch) {
			for _, args := range b.commands {
				commands++
				c, err := parsed(args)
				if err != nil {
					t.Errorf("%s: sgflow %s: %v", ch.file, strings.Join(args, " "), err)
					continue
				}
				// Later commands read the folder of the run.
				if out := c.Train.Config.Out; args[0] == "train" && out != "" {
					folder, err := record.Create(out, false)
					if err == nil {
						err = errors.Join(folder.WriteRun(&record.Run{Config: &c.Train.Config}), folder.Close())
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	if commands < 15 {
		t.Errorf("the guide has %d commands", commands)
	}
}

func TestGuideNamesOnlyChaptersFiguresAndCommandsThatAreThere(t *testing.T) {
	list := mustChapters(t)
	figures, used := regexp.MustCompile(`!\[[^\]]+\]\(([^)]+)\)`), map[string]bool{}
	mentioned := regexp.MustCompile("`sgflow ([a-z]+)")
	names := map[string]bool{}
	for _, ch := range list {
		names[ch.Name] = true
	}
	model := kong.Must(&cli{}).Model
	for _, ch := range list {
		for _, m := range figures.FindAllStringSubmatch(ch.Text, -1) {
			used[m[1]] = true
			if _, err := guideFiles.ReadFile(path.Join(guideDir, m[1])); err != nil {
				t.Errorf("%s: %v", ch.file, err)
			}
		}
		for _, m := range mentioned.FindAllStringSubmatch(ch.Text, -1) {
			known := false
			for _, command := range model.Children {
				known = known || command.Name == m[1]
			}
			if !known {
				t.Errorf("%s: there is no command %q", ch.file, m[1])
			}
		}
		for _, m := range regexp.MustCompile("chapters? `([a-z-]+)`").FindAllStringSubmatch(ch.Text, -1) {
			if !names[m[1]] {
				t.Errorf("%s: there is no chapter %q", ch.file, m[1])
			}
		}
		if lines := strings.Count(ch.Text, "\n"); lines < 60 || lines > 125 {
			t.Errorf("%s has %d lines", ch.file, lines)
		}
		for i, line := range strings.Split(fence.ReplaceAllString(ch.Text, ""), "\n") {
			if len([]rune(line)) > 90 && !strings.HasPrefix(line, "![") && !strings.HasPrefix(line, "|") {
				t.Errorf("%s: line %d of the text is %d long", ch.file, i+1, len([]rune(line)))
			}
		}
	}
	entries, err := guideFiles.ReadDir(path.Join(guideDir, "figures"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !used["figures/"+entry.Name()] {
			t.Errorf("no chapter shows %s", entry.Name())
		}
	}
}

func TestGuideIsListedPrintedAndWritten(t *testing.T) {
	code, stdout, stderr := sgflow("guide")
	if code != exitDone || !strings.Contains(stdout, "1  gradients") || !strings.Contains(stdout, "schedules") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	for _, name := range []string{"gradients", "1"} {
		if code, stdout, _ := sgflow("guide", name); code != exitDone || !strings.HasPrefix(stdout, "# Mini-batch gradients\n") {
			t.Errorf("guide %s: exit %d: %.80q", name, code, stdout)
		}
	}
	if code, stdout, _ := sgflow("guide", "all"); code != exitDone || strings.Count(stdout, "\n# ") != len(mustChapters(t))-1 {
		t.Errorf("guide all: exit %d, %d bytes", code, len(stdout))
	}
	if code, stdout, stderr := sgflow("guide", "gradient"); code != exitRequest || stdout != "" || !strings.Contains(stderr, "did you mean gradients?") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	out := filepath.Join(t.TempDir(), "new")
	if code, _, stderr := sgflow("guide", "--out", out); code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, name := range []string{"1-gradients.md", filepath.Join("figures", "paths.png")} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	code, stdout, _ = sgflow("guide", "path", "--json")
	if list, ok := parseObject(t, stdout)["chapters"].([]any); code != exitDone || !ok || len(list) != 1 {
		t.Errorf("exit %d: %.200s", code, stdout)
	}
}

// digits matches numbers, which differ between machines.
var digits = regexp.MustCompile(`[-+]?[0-9][0-9,]*(\.[0-9]+)?(e[-+]?[0-9]+)?`)

// skeleton is a line without its numbers and with single spaces.
func skeleton(line string) string {
	return strings.Join(strings.Fields(digits.ReplaceAllString(line, "#")), " ")
}

func TestGuideQuotesWhatItsCommandsPrint(t *testing.T) {
	if os.Getenv("SGFLOW_GUIDE") == "" {
		t.Skip("runs the commands of the guide, for some minutes: make test-guide")
	}
	t.Chdir(t.TempDir())
	t.Setenv(asProgram, "1") // for the workers of sweeps
	for _, ch := range mustChapters(t) {
		for _, b := range guideBlocks(t, ch) {
			printed := map[string]bool{}
			for _, args := range b.commands {
				code, stdout, stderr := sgflow(args...)
				if code != exitDone {
					t.Fatalf("%s: sgflow %s: exit %d: %s", ch.file, strings.Join(args, " "), code, stderr)
				}
				for _, line := range strings.Split(stdout, "\n") {
					printed[skeleton(line)] = true
				}
			}
			for _, line := range b.output {
				if line != "…" && !printed[skeleton(line)] {
					t.Errorf("%s: no line like %q is printed any more", ch.file, line)
				}
			}
		}
	}
}
