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
	t := &translator{file: file, symbols: map[string]symbol{}, kernels: map[string]bool{}}
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
	callText    = regexp.MustCompile(`^call(?:\.uni)? (?:\((.*?)\), )?(\w+), \((.*?)\)$`)
	instruction = regexp.MustCompile(`^(?:@(!?)(%\w+)\s+)?([a-z][\w.]*)(?:\s+(.*))?;$`)
	address     = regexp.MustCompile(`^\[([%$\w]+)(?:\+(-?\d+))?\]$`)
	floatText   = regexp.MustCompile(`^0([fFdD])([0-9A-Fa-f]+)$`)
	integerText = regexp.MustCompile(`^-?\d+$`)
)

// symbol is a variable or a parameter.
type symbol struct {
	space       string // global, const, shared, local; entry for a kernel's parameter, param for others; register
	bytes       int
	alignment   int
	placeOrCode string // in C++: of a parameter where it is, of others its name
}

type translator struct {
	file    string
	symbols map[string]symbol // of the module
	kernels map[string]bool

	head, variables, functions strings.Builder
	result                     translation

	// The function that is under way.
	code  *strings.Builder
	local map[string]symbol
	depth int
	name  string // of the kernel, empty for another function
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
		t.code.WriteString("{\n")
		if t.depth == 1 {
			t.code.WriteString("[[maybe_unused]] const u64 shared_base = emulator::shared_base();\n")
		}
		return nil
	case s.text == "}":
		t.depth--
		t.code.WriteString("}\n")
		if t.depth == 0 {
			t.end()
		}
		return nil
	case t.code == nil:
		return t.declaration(s)
	case strings.HasSuffix(s.text, ":"):
		fmt.Fprintf(t.code, "%s;\n", s.text)
		return nil
	case s.text[0] == '.':
		return t.directive(s)
	}
	return t.instruction(s)
}

// end ends a function.
func (t *translator) end() {
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
		parameters, sizes, err := t.parameters(m[2])
		if err != nil {
			return err
		}
		threads := 1024
		if m := mostThreads.FindStringSubmatch(s.text); m != nil {
			threads = 1
			for _, n := range m[1:] {
				axis, _ := strconv.Atoi(n)
				threads *= axis
			}
		}
		t.name, t.code, t.local = m[1], new(strings.Builder), map[string]symbol{}
		for i, p := range parameters {
			p.symbol.space, p.symbol.placeOrCode = "entry", fmt.Sprintf("static_cast<char *>(arguments[%d])", i)
			t.local[p.name] = p.symbol
		}
		fmt.Fprintf(t.code, "static const uint16_t sizes_%s[] = {%s0};\n", t.name, sizes)
		fmt.Fprintf(t.code, "static void %s(void **arguments);\n", t.name)
		fmt.Fprintf(t.code, "extern \"C\" const emulator::Kernel %[1]s%[2]s;\nconst emulator::Kernel %[1]s%[2]s = {%[2]q, %[2]s, sizes_%[2]s, %[3]d, %[4]d};\n",
			entryPrefix, t.name, len(parameters), threads)
		fmt.Fprintf(t.code, "static void %s(void **arguments)\n", t.name)
		return nil
	}
	if s.text == ".extern .func "+syncGrid+" () ;" {
		return nil
	}
	if m := funcHead.FindStringSubmatch(s.text); m != nil && !strings.HasSuffix(s.text, ";") {
		t.name, t.code, t.local = "", new(strings.Builder), map[string]symbol{}
		var names []string
		for _, list := range []string{m[1], m[3]} { // what it returns comes first
			parameters, _, err := t.parameters(list)
			if err != nil {
				return err
			}
			for _, p := range parameters {
				p.symbol.space, p.symbol.placeOrCode = "param", p.name
				t.local[p.name] = p.symbol
				names = append(names, "unsigned char *"+p.name)
			}
		}
		fmt.Fprintf(t.code, "[[maybe_unused]] static __attribute__((noinline)) void %s(%s)\n", m[2], strings.Join(names, ", "))
		return nil
	}
	return errUnknown
}

type namedSymbol struct {
	name string
	symbol
}

// parameters reads a list of parameters; sizes are their bytes, each with a comma.
func (t *translator) parameters(list string) ([]namedSymbol, string, error) {
	var found []namedSymbol
	var sizes strings.Builder
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		m := parameter.FindStringSubmatch(part)
		if m == nil {
			return nil, "", errUnknown
		}
		size, err := bytesOf(m[1], m[3])
		if err != nil {
			return nil, "", err
		}
		fmt.Fprintf(&sizes, "%d, ", size)
		found = append(found, namedSymbol{m[2], symbol{bytes: size}})
	}
	return found, sizes.String(), nil
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

// variable declares a variable of the module or of a function.
func (t *translator) variable(m []string, symbols map[string]symbol, out *strings.Builder) error {
	size, err := bytesOf(m[3], m[5])
	if err != nil {
		return err
	}
	alignment := 1
	if m[2] != "" {
		alignment, _ = strconv.Atoi(m[2])
	}
	name := m[4]
	symbols[name] = symbol{m[1], size, alignment, name}
	if m[1] == "shared" && strings.HasSuffix(m[0], "[];") {
		symbols[name] = symbol{m[1], math.MaxInt, alignment, ""} // as much as a launch asks for
		return nil
	}
	switch m[1] {
	case "shared":
		fmt.Fprintf(out, "[[maybe_unused]] static const char %s = 0;\n", name)
	case "local":
		fmt.Fprintf(out, "alignas(%d) unsigned char %s[%d];\n", alignment, name, size)
	default:
		fmt.Fprintf(out, "extern unsigned char %s[%d];\n", name, size)
		values := ""
		if m[6] != "" {
			if m[3] != "b8" && m[3] != "u8" {
				return errUnknown
			}
			values = strings.TrimPrefix(m[6], " = ")
			if !strings.HasPrefix(values, "{") {
				values = "{" + values + "}"
			}
		}
		fmt.Fprintf(&t.variables, "alignas(%d) unsigned char %s[%d] = %s;\n", alignment, name, size, values+map[bool]string{true: "{}"}[values == ""])
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
		t.local[m[2]] = symbol{space: "register", placeOrCode: name} // with <n>, of all that begin so
		if m[3] == "" {
			fmt.Fprintf(t.code, "[[maybe_unused]] %s %s;\n", kind, name)
			return nil
		}
		n, _ := strconv.Atoi(m[3])
		for i := range n {
			fmt.Fprintf(t.code, "[[maybe_unused]] %s %s%d;\n", kind, name, i)
		}
		return nil
	}
	if m := variable.FindStringSubmatch(s.text); m != nil {
		return t.variable(m, t.local, t.code)
	}
	if m := parameter.FindStringSubmatch(s.text); m != nil {
		size, err := bytesOf(m[1], m[3])
		if err != nil {
			return err
		}
		t.local[m[2]] = symbol{"param", size, 16, m[2]}
		fmt.Fprintf(t.code, "alignas(16) unsigned char %s[%d];\n", m[2], size)
		return nil
	}
	return errUnknown
}

// registerName is the variable of a register.
func registerName(name string) string { return "r_" + strings.TrimPrefix(name, "%") }

// special are the registers that the hardware sets.
var special = map[string]string{"tid": "thread", "ctaid": "block", "ntid": "block_dim", "nctaid": "grid_dim"}

// operand is a value in C++.
func (t *translator) operand(text string) (string, error) {
	if text == "" {
		return "", errUnknown
	}
	if text[0] == '%' {
		if name, axis, found := strings.Cut(text[1:], "."); found {
			if special[name] == "" || !strings.Contains("xyz", axis) {
				return "", errUnknown
			}
			return fmt.Sprintf("emulator::self()->%s.%s", special[name], axis), nil
		}
		if text == "%laneid" {
			return "u32(emulator::self()->index % 32)", nil
		}
		if t.local[strings.TrimRight(text, "0123456789")].space != "register" {
			return "", errUnknown
		}
		return registerName(text), nil
	}
	if m := floatText.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("%s(0x%s)", strings.ToUpper(m[1]), m[2]), nil
	}
	if integerText.MatchString(text) {
		return "s64(" + text + "ll)", nil
	}
	s, ok := t.symbol(text)
	if !ok {
		return "", errUnknown
	}
	switch s.space {
	case "register":
		return s.placeOrCode, nil
	case "shared":
		return s.sharedAddress(), nil
	}
	return fmt.Sprintf("reinterpret_cast<u64>(%s)", s.placeOrCode), nil
}

func (t *translator) symbol(name string) (symbol, bool) {
	if s, ok := t.local[name]; ok {
		return s, true
	}
	s, ok := t.symbols[name]
	return s, ok
}

// place is an address in C++, of the whole space, or of a parameter's memory.
func (t *translator) place(space, text string, bytes int) (string, error) {
	m := address.FindStringSubmatch(text)
	if m == nil {
		return "", errUnknown
	}
	offset, _ := strconv.Atoi(m[2])
	if m[1][0] == '%' {
		if space == "param" {
			return "", errUnknown
		}
		base := registerName(m[1])
		if space == "shared" {
			base = "shared_base + " + base
		}
		return fmt.Sprintf("%s + s64(%d)", base, offset), nil
	}
	s, ok := t.symbol(m[1])
	if !ok {
		return "", errUnknown
	}
	if offset < 0 || offset+bytes > s.bytes {
		return "", errors.New("beyond the end of a variable")
	}
	switch s.space {
	case "entry", "param":
		return fmt.Sprintf("%s + %d", s.placeOrCode, offset), nil
	case "shared":
		return fmt.Sprintf("shared_base + %s + %d", s.sharedAddress(), offset), nil
	}
	return fmt.Sprintf("reinterpret_cast<u64>(%s + %d)", s.placeOrCode, offset), nil
}

// access is a load or a store.
func (t *translator) access(parts, list []string) (string, error) {
	kind := parts[len(parts)-1]
	space, volatile := "generic", "false"
	for _, p := range parts[1 : len(parts)-1] {
		switch p {
		case "volatile", "relaxed", "acquire", "release":
			volatile = "true"
		case "global", "shared", "local", "param", "const":
			space = p
		case "v2", "v4", "nc", "gpu", "cg", "cs", "ca", "wb", "wt":
		default:
			return "", errUnknown
		}
	}
	if len(list) != 2 {
		return "", errUnknown
	}
	where, what := list[1], list[0]
	if parts[0] == "st" {
		where, what = list[0], list[1]
	}
	values, err := t.values(members(what))
	if err != nil {
		return "", err
	}
	size, err := bytesOf(kind, "")
	if err != nil {
		return "", err
	}
	place, err := t.place(space, where, size*len(values))
	if err != nil {
		return "", err
	}
	name := map[string]string{"ld": "load", "st": "store"}[parts[0]]
	if space == "param" {
		return fmt.Sprintf("ptx::%s_param<%s>(%s, %s);", name, kind, place, strings.Join(values, ", ")), nil
	}
	return fmt.Sprintf("ptx::%s<%s>(%s, %s, %s);", name, kind, volatile, place, strings.Join(values, ", ")), nil
}

// barrier is a barrier of a block, the only one that it has, or of a warp.
func (t *translator) barrier(opcode string, list []string, at string) (string, error) {
	values, err := t.values(list)
	switch {
	case err != nil:
		return "", err
	case opcode == "bar.sync" && len(list) == 1 && list[0] == "0":
		return "emulator::sync(" + at + ");", nil
	case opcode == "bar.red.popc.u32" && len(list) == 3 && list[1] == "0":
		return fmt.Sprintf("set(%s, u32(emulator::count_true(%s, %s)));", values[0], values[2], at), nil
	case opcode == "bar.warp.sync" && len(list) == 1:
		return fmt.Sprintf("emulator::sync_warp(\"bar.warp.sync\", %s, as<u32>(%s));", at, values[0]), nil
	}
	return "", errUnknown
}

// convertAddress is cvta: only addresses of shared memory are not what they are in the
// whole space.
func (t *translator) convertAddress(parts, list []string) (string, error) {
	values, err := t.values(list)
	if err != nil || len(values) != 2 {
		return "", errors.Join(errUnknown, err)
	}
	sign := ""
	if strings.Contains(strings.Join(parts, "."), ".shared.") {
		sign = " + shared_base"
		if parts[1] == "to" {
			sign = " - shared_base"
		}
	}
	return fmt.Sprintf("set(%s, as<u64>(%s)%s);", values[0], values[1], sign), nil
}

// call is a call of a function: what it returns and its parameters are memory.
func (t *translator) call(text, at string) (string, error) {
	m := callText.FindStringSubmatch(text)
	if m == nil {
		return "", errUnknown
	}
	if m[2] == syncGrid {
		return "emulator::sync_grid(" + at + ");", nil
	}
	var list []string
	for _, names := range []string{m[1], m[3]} {
		list = append(list, operands(names)...)
	}
	return fmt.Sprintf("%s(%s);", m[2], strings.Join(list, ", ")), nil
}

// pack is a mov between a register and the parts of it, the low one first.
func (t *translator) pack(list []string) (string, error) {
	if len(list) != 2 {
		return "", errUnknown
	}
	whole, parts, name := list[0], list[1], "pack"
	if strings.HasPrefix(whole, "{") {
		whole, parts, name = parts, whole, "unpack"
	}
	values, err := t.values(append([]string{whole}, members(parts)...))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("ptx::%s(%s);", name, strings.Join(values, ", ")), nil
}

// shuffle is shfl.sync.mode.b32 d|p, a, b, c, mask.
func (t *translator) shuffle(parts, list []string, at string) (string, error) {
	if len(list) != 5 || len(parts) != 4 || parts[1] != "sync" {
		return "", errUnknown
	}
	d, p, both := strings.Cut(list[0], "|")
	found := "bool found;"
	if both {
		found = "bool &found = " + registerName(p) + ";"
	}
	values, err := t.values(append([]string{d}, list[1:]...))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("{ %s ptx::shfl(%s, ptx::Shuffle::%s, %s, found, as<u32>(%s)); }", found, at, parts[2], values[0],
		strings.Join(values[1:], "), as<u32>(")), nil
}

// vote is vote.sync.mode.type d, predicate, mask.
func (t *translator) vote(parts, list []string, at string) (string, error) {
	values, err := t.values(list)
	if err != nil || len(values) != 3 || parts[1] != "sync" {
		return "", errors.Join(errUnknown, err)
	}
	ballot := func(predicate string) string {
		return fmt.Sprintf("emulator::ballot(\"vote.sync\", %s, as<u32>(%s), %s)", at, values[2], predicate)
	}
	switch parts[2] {
	case "ballot":
		return fmt.Sprintf("set(%s, %s);", values[0], ballot(values[1])), nil
	case "any":
		return fmt.Sprintf("%s = %s != 0;", values[0], ballot(values[1])), nil
	case "all":
		return fmt.Sprintf("%s = %s == 0;", values[0], ballot("!"+values[1])), nil
	}
	return "", errUnknown
}

// atomic is atom.space.operation.type d, [address], values.
func (t *translator) atomic(parts, list []string) (string, error) {
	if len(parts) != 4 || len(list) < 3 {
		return "", errUnknown
	}
	place, err := t.place(parts[1], list[1], 4)
	if err != nil {
		return "", err
	}
	values, err := t.values(append([]string{list[0]}, list[2:]...))
	if err != nil {
		return "", err
	}
	kind := parts[3]
	return fmt.Sprintf("set(%s, ptx::atom_%s<%s>(%s, as<%s>(%s)));", values[0], parts[2], kind, place, kind,
		strings.Join(values[1:], "), as<"+kind+">(")), nil
}

// sharedAddress is where a shared variable is, from the start of the block's.
func (s symbol) sharedAddress() string {
	if s.placeOrCode == "" { // dynamic, where all begins
		return "u64(0)"
	}
	return fmt.Sprintf("ptx::shared_address(&%s, %d, %d)", s.placeOrCode, s.bytes, s.alignment)
}

// operands splits at commas outside of brackets.
func operands(text string) []string {
	if text == "" {
		return nil
	}
	list := splitTop(text)
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// members are the elements of {a, b}, or the one that stands alone.
func members(text string) []string {
	if strings.HasPrefix(text, "{") {
		return operands(strings.Trim(text, "{}"))
	}
	return []string{text}
}

// values are the operands in C++.
func (t *translator) values(list []string) ([]string, error) {
	out := make([]string, len(list))
	for i, text := range list {
		var err error
		if out[i], err = t.operand(text); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t *translator) instruction(s statement) error {
	m := instruction.FindStringSubmatch(s.text)
	if m == nil {
		return errUnknown
	}
	not, predicate, opcode := m[1], m[2], m[3]
	code, err := t.effect(opcode, m[4], s.line)
	if err != nil {
		return err
	}
	if predicate != "" {
		code = fmt.Sprintf("if (%s%s) { %s }", not, registerName(predicate), code)
	}
	fmt.Fprintf(t.code, "%s\n", code)
	return nil
}

// effect is what an instruction does.
func (t *translator) effect(opcode, text string, line int) (string, error) {
	parts := strings.Split(opcode, ".")
	kind := parts[len(parts)-1] // of most instructions the type
	list := operands(text)
	at := fmt.Sprintf("%q, %d", t.file, line)
	switch parts[0] {
	case "bra":
		return "goto " + text + ";", nil
	case "ret", "exit":
		return "return;", nil
	case "call":
		return t.call(opcode+" "+text, at)
	case "ld", "st":
		return t.access(parts, list)
	case "cvta":
		return t.convertAddress(parts, list)
	case "bar", "barrier":
		return t.barrier(opcode, list, at)
	case "membar", "fence":
		if kind == "cta" {
			return "", nil
		}
		return "emulator::fence();", nil
	case "trap":
		return "emulator::fail(\"trap\", " + at + ");", nil
	case "mov":
		if strings.HasPrefix(list[0], "{") || strings.HasPrefix(list[1], "{") {
			return t.pack(list)
		}
	case "shfl":
		return t.shuffle(parts, list, at)
	case "vote":
		return t.vote(parts, list, at)
	case "atom":
		return t.atomic(parts, list)
	}
	var flat []string
	for _, o := range list {
		flat = append(flat, members(o)...)
	}
	all, err := t.values(flat)
	if err != nil {
		return "", err
	}
	switch parts[0] {
	case "mma":
		if opcode != "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32" {
			return "", errUnknown
		}
		return fmt.Sprintf("ptx::mma(%s, %s);", at, strings.Join(all, ", ")), nil
	case "cvt":
		to := parts[len(parts)-2]
		if to == "tf32" {
			return fmt.Sprintf("set(%s, ptx::tf32_%s(as<%s>(%s)));", all[0], parts[1], kind, all[1]), nil
		}
		return fmt.Sprintf("set(%s, ptx::op_%s<%s, %s>(as<%s>(%s)));", all[0], strings.Join(parts[:len(parts)-2], "_"), to, kind, kind, all[1]), nil
	}
	sources := make([]string, len(all)-1)
	for i, v := range all[1:] {
		sources[i] = fmt.Sprintf("as<%s>(%s)", typeOf(parts, kind, i), v)
	}
	return fmt.Sprintf("set(%s, ptx::op_%s<%s>(%s));", all[0], strings.Join(parts[:len(parts)-1], "_"), kind, strings.Join(sources, ", ")), nil
}

// typeOf is the type of an instruction's source i, which for most is the
// instruction's.
func typeOf(parts []string, kind string, i int) string {
	switch {
	case parts[0] == "selp" && i == 2:
		return "pred"
	case (parts[0] == "shl" || parts[0] == "shr") && i == 1, parts[0] == "bfi" && i >= 2:
		return "u32"
	case parts[0] == "mad" && parts[1] == "wide" && i == 2:
		return "ptx::Wide<" + kind + ">"
	}
	return kind
}

// splitTop splits at the commas that are not within brackets.
func splitTop(s string) []string {
	var parts []string
	depth, start := 0, 0
	for i, r := range s {
		switch r {
		case '(', '[', '<', '{':
			depth++
		case ')', ']', '>', '}':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, s[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, s[start:])
}
