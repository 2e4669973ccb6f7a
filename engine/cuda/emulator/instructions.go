package emulator

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	callText    = regexp.MustCompile(`^call(?:\.uni)? (?:\((.*?)\), )?(\w+), \((.*?)\)$`)
	instruction = regexp.MustCompile(`^(?:@(!?)(%\w+)\s+)?([a-z][\w.]*)(?:\s+(.*))?;$`)
	address     = regexp.MustCompile(`^\[([%$\w]+)(?:\+(-?\d+))?\]$`)
	floatText   = regexp.MustCompile(`^0([fFdD])([0-9A-Fa-f]+)$`)
	integerText = regexp.MustCompile(`^-?\d+$`)
)

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
	fmt.Fprintf(&t.block, "#line %d %q\n%s\n", s.line, t.file, code)
	t.instructions++
	switch family, _, _ := strings.Cut(opcode, "."); {
	case strings.HasPrefix(opcode, "ld.") && !strings.Contains(opcode, ".param.") && !strings.Contains(opcode, ".shared.") && !strings.Contains(opcode, ".local."):
		t.loads++
	case family == "bar":
		t.barriers++
	case family == "bra" || family == "ret":
		t.endBlock()
	}
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
		if strings.Contains(text, "{") {
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
	if len(all) == 0 || len(parts) == 1 || parts[0] == "cvt" && len(parts) < 3 {
		return "", errUnknown
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
	}
	return kind
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
		switch text {
		case "%laneid":
			return "u32(emulator::self()->index % 32)", nil
		case "%globaltimer":
			return "emulator::nanoseconds()", nil
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
		return s.code, nil
	case "shared":
		return s.sharedAddress(), nil
	}
	return fmt.Sprintf("reinterpret_cast<u64>(%s)", s.code), nil
}

// special are the registers that the hardware sets.
var special = map[string]string{"tid": "thread", "ctaid": "block", "ntid": "block_dim", "nctaid": "grid_dim"}

// registerName is the variable of a register.
func registerName(name string) string { return "r_" + strings.TrimPrefix(name, "%") }

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
		return fmt.Sprintf("%s + %d", s.code, offset), nil
	case "shared":
		return fmt.Sprintf("shared_base + %s + %d", s.sharedAddress(), offset), nil
	}
	return fmt.Sprintf("reinterpret_cast<u64>(%s + %d)", s.code, offset), nil
}

// sharedAddress is where a shared variable is, from the start of the block's.
func (s symbol) sharedAddress() string {
	if s.code == "" { // dynamic, where all begins
		return "u64(0)"
	}
	return fmt.Sprintf("ptx::shared_address(&%s, %d, %d)", s.code, s.bytes, s.alignment)
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
