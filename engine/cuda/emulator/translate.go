package emulator

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// translation is a PTX module in C++: a function of source/ptx.h for each instruction,
// a variable for each register.
type translation struct {
	head      string           // what comes before any function: the module's variables
	variables string           // definitions of the global ones
	functions string           // that kernels call
	kernels   []translatedCode // in the module's order
}

// translatedCode is a kernel.
type translatedCode struct{ name, text string }

// syncGrid is a function that kernels may call here, on no device: the barrier of a
// cooperative launch.
const syncGrid = "sgflow_sync_grid"

// entryPrefix begins the names of kernels' entries in the table.
const entryPrefix = "sgflow_kernel_"

// translate translates what NVRTC prints for kernels like sgflow's; what it does not
// know it refuses. file names the module in what kernels report.
func translate(module []byte, file string) (*translation, error) {
	t := &translator{file: file, symbols: map[string]symbol{}}
	for _, s := range statements(module) {
		if err := t.statement(s); err != nil {
			return nil, fmt.Errorf("%s:%d: %w: %s", file, s.line, err, strings.Join(strings.Fields(s.text), " "))
		}
	}
	t.result.head = t.head.String()
	t.result.variables = t.variables.String()
	t.result.functions = t.functions.String()
	return &t.result, nil
}

// units divides the code among n files of about the same size.
func (t *translation) units(n int) []string {
	files := make([]strings.Builder, n)
	for i := range files {
		fmt.Fprintf(&files[i], "#include \"ptx.h\"\n\nusing namespace ptx;\n\n%s%s", t.head, t.functions)
	}
	files[0].WriteString(t.variables)
	largestFirst := slices.SortedStableFunc(slices.Values(t.kernels), func(a, b translatedCode) int { return len(b.text) - len(a.text) })
	for _, k := range largestFirst {
		smallest := 0
		for i := range files {
			if files[i].Len() < files[smallest].Len() {
				smallest = i
			}
		}
		files[smallest].WriteString(k.text)
	}
	texts := make([]string, n)
	for i := range files {
		texts[i] = files[i].String()
	}
	return texts
}

// table is the source of the table of kernels, with the sum by which the driver knows
// the module.
func (t *translation) table(module []byte) string {
	var b strings.Builder
	b.WriteString("#include \"runtime.h\"\n\n")
	for _, k := range t.kernels {
		fmt.Fprintf(&b, "extern \"C\" const emulator::Kernel %s%s;\n", entryPrefix, k.name)
	}
	b.WriteString("\nconst emulator::Kernel *const emulator::kernels[] = {\n")
	for _, k := range t.kernels {
		fmt.Fprintf(&b, "\t&%s%s,\n", entryPrefix, k.name)
	}
	h := fnv.New64a()
	h.Write(bytes.TrimRight(module, "\x00"))
	fmt.Fprintf(&b, "\tnullptr,\n};\n\nconst uint64_t emulator::module_sum = 0x%xu;\n", h.Sum64())
	return b.String()
}

// statement is an instruction, a directive, a label, a brace, or the head of a
// function.
type statement struct {
	text string
	line int // its last
}

// statements splits a module by lines, as each begins one.
func statements(module []byte) []statement {
	var list []statement
	var text string
	lines := bufio.NewScanner(bytes.NewReader(module))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "//")
		line = strings.TrimSpace(strings.TrimRight(line, "\x00"))
		if line == "{" && text != "" { // the end of a head
			list, text = append(list, statement{text, n}), ""
		}
		text = strings.TrimSpace(text + " " + line)
		if text == "" {
			continue
		}
		if strings.ContainsRune(";:{}", rune(text[len(text)-1])) || oneLine.MatchString(text) {
			list, text = append(list, statement{text, n}), ""
		}
	}
	return list
}

var (
	oneLine     = regexp.MustCompile(`^\.(version|target|address_size) `)
	register    = regexp.MustCompile(`^\.reg \.(\w+)\s+(%?\w+)(?:<(\d+)>)?;$`)
	variable    = regexp.MustCompile(`^(?:\.visible |\.extern |\.weak )?\.(global|const|shared|local) (?:\.align (\d+) )?\.(\w+)\s+(\w+)(?:\[(\d*)\])?( = .*)?;$`)
	parameter   = regexp.MustCompile(`^\.param (?:\.align \d+ )?\.(\w+) (\w+)(?:\[(\d+)\])?;?$`)
	entryHead   = regexp.MustCompile(`^(?:\.visible )?\.entry (\w+)\((.*?)\)`)
	mostThreads = regexp.MustCompile(`\.maxntid (\d+), (\d+), (\d+)`)
	funcHead    = regexp.MustCompile(`^(?:\.visible |\.weak )?\.func\s+(?:\((.*?)\) )?(\w+)\s*\((.*?)\)`)
)

// symbol is a variable or a parameter.
type symbol struct {
	space     string // global, const, shared, local; entry for a kernel's parameter, param for others; register
	bytes     int
	alignment int
	code      string // in C++: of a parameter where it is, of others the name
}

type translator struct {
	file    string
	symbols map[string]symbol // of the module

	head, variables, functions strings.Builder
	result                     translation

	// The function that is under way.
	code  *strings.Builder
	local map[string]symbol
	depth int
	name  string // of the kernel, empty for another function

	// The basic block that is under way.
	block                         strings.Builder
	instructions, loads, barriers int
}

var errUnknown = errors.New("PTX that the emulator does not know")

func (t *translator) statement(s statement) error {
	switch {
	case oneLine.MatchString(s.text):
		return nil
	case s.text == "{":
		if t.code == nil {
			return errUnknown
		}
		t.depth++
		t.block.WriteString("{\n")
		if t.depth == 1 {
			t.block.WriteString("[[maybe_unused]] const u64 shared_base = emulator::shared_base();\nemulator::Tally &tally = emulator::self()->tally;\n")
			t.endBlock()
		}
		return nil
	case s.text == "}":
		t.depth--
		t.block.WriteString("}\n")
		if t.depth == 0 {
			t.end()
		}
		return nil
	case t.code == nil:
		return t.declaration(s)
	case strings.HasSuffix(s.text, ":"):
		t.endBlock()
		fmt.Fprintf(t.code, "%s;\n", s.text)
		return nil
	case s.text[0] == '.':
		return t.directive(s)
	}
	return t.instruction(s)
}

// endBlock ends a basic block: what it executes is counted where it begins.
func (t *translator) endBlock() {
	for _, count := range []struct {
		name string
		n    *int
	}{{"instructions", &t.instructions}, {"loads", &t.loads}, {"barriers", &t.barriers}} {
		if *count.n > 0 {
			fmt.Fprintf(t.code, "tally.%s += %d;\n", count.name, *count.n)
			*count.n = 0
		}
	}
	t.code.WriteString(t.block.String())
	t.block.Reset()
}

// end ends a function.
func (t *translator) end() {
	t.endBlock()
	if t.name == "" {
		t.functions.WriteString(t.code.String())
	} else {
		t.result.kernels = append(t.result.kernels, translatedCode{t.name, t.code.String()})
	}
	t.code, t.local = nil, nil
}

// declaration is what stands outside functions: variables and heads.
func (t *translator) declaration(s statement) error {
	if m := variable.FindStringSubmatch(s.text); m != nil {
		return t.variable(m, t.symbols, &t.head)
	}
	if m := entryHead.FindStringSubmatch(s.text); m != nil {
		return t.kernel(m[1], m[2], s.text)
	}
	if s.text == ".extern .func "+syncGrid+" () ;" {
		return nil
	}
	if m := funcHead.FindStringSubmatch(s.text); m != nil && !strings.HasSuffix(s.text, ";") {
		return t.function(m[2], m[1]+", "+m[3])
	}
	return errUnknown
}

// kernel begins a kernel: a function of an array of pointers to its arguments, with an
// entry for the table.
func (t *translator) kernel(name, list, head string) error {
	parameters, err := t.parameters(list)
	if err != nil {
		return err
	}
	threads := 1024
	if m := mostThreads.FindStringSubmatch(head); m != nil {
		threads = 1
		for _, n := range m[1:] {
			axis, _ := strconv.Atoi(n)
			threads *= axis
		}
	}
	t.name, t.code, t.local = name, new(strings.Builder), map[string]symbol{}
	fmt.Fprintf(t.code, "static const uint16_t sizes_%s[] = {", name)
	for i, p := range parameters {
		p.symbol.space, p.symbol.code = "entry", fmt.Sprintf("static_cast<char *>(arguments[%d])", i)
		t.local[p.name] = p.symbol
		fmt.Fprintf(t.code, "%d, ", p.bytes)
	}
	fmt.Fprintf(t.code, "0};\nstatic void %s(void **arguments);\n", name)
	fmt.Fprintf(t.code, "extern \"C\" const emulator::Kernel %[1]s%[2]s;\nconst emulator::Kernel %[1]s%[2]s = {%[2]q, %[2]s, sizes_%[2]s, %[3]d, %[4]d};\n",
		entryPrefix, name, len(parameters), threads)
	fmt.Fprintf(t.code, "static void %s(void **arguments)\n", name)
	return nil
}

// function begins a function that kernels call. The memory of what it returns is the
// first of its parameters.
func (t *translator) function(name, list string) error {
	parameters, err := t.parameters(list)
	if err != nil {
		return err
	}
	t.name, t.code, t.local = "", new(strings.Builder), map[string]symbol{}
	names := make([]string, len(parameters))
	for i, p := range parameters {
		p.symbol.space, p.symbol.code = "param", p.name
		t.local[p.name] = p.symbol
		names[i] = "unsigned char *" + p.name
	}
	fmt.Fprintf(t.code, "[[maybe_unused]] static __attribute__((noinline)) void %s(%s)\n", name, strings.Join(names, ", "))
	return nil
}

type namedSymbol struct {
	name string
	symbol
}

// parameters reads a list of parameters.
func (t *translator) parameters(list string) ([]namedSymbol, error) {
	var found []namedSymbol
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		m := parameter.FindStringSubmatch(part)
		if m == nil {
			return nil, errUnknown
		}
		size, err := bytesOf(m[1], m[3])
		if err != nil {
			return nil, err
		}
		found = append(found, namedSymbol{m[2], symbol{bytes: size}})
	}
	return found, nil
}

// bytesOf is the size of a type, or of an array of it.
func bytesOf(kind, count string) (int, error) {
	n := 1
	if count != "" {
		n, _ = strconv.Atoi(count)
	}
	bits, err := strconv.Atoi(strings.TrimLeft(kind, "bfsu"))
	if err != nil {
		return 0, errUnknown
	}
	return n * bits / 8, nil
}

// variable declares a variable of the module or of a function, from the parts of its
// declaration: the space, the alignment, the type, the name, the length and the values.
func (t *translator) variable(m []string, symbols map[string]symbol, out *strings.Builder) error {
	space, kind, name, values := m[1], m[3], m[4], strings.TrimPrefix(m[6], " = ")
	size, err := bytesOf(kind, m[5])
	if err != nil {
		return err
	}
	alignment, _ := bytesOf(kind, "")
	if m[2] != "" {
		alignment, _ = strconv.Atoi(m[2])
	}
	symbols[name] = symbol{space, size, alignment, name}
	switch space {
	case "shared":
		if strings.HasSuffix(m[0], "[];") { // as much as a launch asks for, where all begins
			symbols[name] = symbol{space, math.MaxInt, alignment, ""}
			return nil
		}
		fmt.Fprintf(out, "[[maybe_unused]] static const char %s = 0;\n", name)
	case "local":
		fmt.Fprintf(out, "alignas(%d) unsigned char %s[%d];\n", alignment, name, size)
	default:
		if values != "" && strings.TrimLeft(kind, "bu") != "8" {
			return errUnknown
		}
		fmt.Fprintf(out, "extern unsigned char %s[%d];\n", name, size)
		fmt.Fprintf(&t.variables, "alignas(%d) unsigned char %s[%d] = {%s};\n", alignment, name, size, strings.Trim(values, "{}"))
	}
	return nil
}

// directive is a directive within a function.
func (t *translator) directive(s statement) error {
	if strings.HasPrefix(s.text, ".pragma") {
		return nil
	}
	if m := register.FindStringSubmatch(s.text); m != nil {
		kind, name := m[1], registerName(m[2])
		t.local[m[2]] = symbol{space: "register", code: name} // with <n>, of all that begin so
		if m[3] == "" {
			fmt.Fprintf(&t.block, "[[maybe_unused]] %s %s;\n", kind, name)
			return nil
		}
		n, _ := strconv.Atoi(m[3])
		for i := range n {
			fmt.Fprintf(&t.block, "[[maybe_unused]] %s %s%d;\n", kind, name, i)
		}
		return nil
	}
	if m := variable.FindStringSubmatch(s.text); m != nil {
		return t.variable(m, t.local, &t.block)
	}
	if m := parameter.FindStringSubmatch(s.text); m != nil {
		size, err := bytesOf(m[1], m[3])
		if err != nil {
			return err
		}
		t.local[m[2]] = symbol{"param", size, 16, m[2]}
		fmt.Fprintf(&t.block, "alignas(16) unsigned char %s[%d];\n", m[2], size)
		return nil
	}
	return errUnknown
}
