package models

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sgflow/engine/nearest"
	"sgflow/engine/op"
)

// presets are the networks that have a name.
var presets = map[string]string{
	"mlp":    "mlp:784-512-256-10",
	"cnn":    "cnn:conv16k5,relu,maxpool2,conv32k5,relu,maxpool2,fc10",
	"lenet5": "cnn:conv6k5p2,relu,maxpool2,conv16k5,relu,maxpool2,fc120,relu,fc84,relu,fc10",
}

// Presets returns the names of the presets, sorted.
func Presets() []string { return slices.Sorted(maps.Keys(presets)) }

// forms says how each layer is written. The key is the letters it starts with.
var forms = map[string]string{
	"conv":    "conv<out>k<k>[s<stride>][p<pad>]",
	"maxpool": "maxpool<k>[s<stride>]",
	"avgpool": "avgpool<k>[s<stride>]",
	"gap":     "gap",
	"fc":      "fc<out>",
	"relu":    "relu",
	"tanh":    "tanh",
	"sigmoid": "sigmoid",
	"gelu":    "gelu",
}

// Parse reads a spec: a preset or one of the forms in the package comment. The
// error names the token that is wrong, the character where it starts (from 1),
// what is allowed there and the nearest valid name.
func Parse(spec string) (Spec, error) {
	text := spec
	if preset, ok := presets[spec]; ok {
		text = preset
	}
	family, body, found := strings.Cut(text, ":")
	p := parser{spec: text}
	at := len(family) + 1
	switch {
	case found && family == "mlp":
		return p.mlp(body, at)
	case found && family == "cnn":
		return p.cnn(body, at)
	case found:
		return Spec{}, p.fail(family, 0, "unknown kind of network; did you mean %s? Kinds are mlp: and cnn:", nearest.Name(family, []string{"mlp", "cnn"})+":")
	}
	names := Presets()
	return Spec{}, p.fail(family, 0, "unknown model; did you mean %s? Presets are %s; or write mlp:784-512-256-10 or cnn:conv16k5,relu,…",
		nearest.Name(family, names), strings.Join(names, ", "))
}

// parser reports errors about one spec. Offsets are into spec.
type parser struct{ spec string }

func (p parser) fail(token string, at int, format string, args ...any) error {
	// Long inputs are cut: the message stays one readable line.
	return fmt.Errorf("models: spec %.100q: %.40q at character %d: %s", p.spec, token, at+1, fmt.Sprintf(format, args...))
}

func (p parser) mlp(body string, at int) (Spec, error) {
	parts := strings.Split(body, ",")
	var widths []int
	start := at
	for _, token := range strings.Split(parts[0], "-") {
		n, rest, ok := number(token)
		if !ok || rest != "" || n < 1 {
			return Spec{}, p.fail(token, start, "want a number from 1 to %d, as in mlp:784-512-256-10", maxNumber)
		}
		widths = append(widths, n)
		start += len(token) + 1
	}
	if len(widths) < 2 {
		return Spec{}, p.fail(parts[0], at, "want the number of inputs, of each hidden layer and of classes, as in mlp:784-512-256-10")
	}
	if 2*len(widths) > maxLayers {
		return Spec{}, p.fail(parts[0], at, "%d layers, at most %d are supported", 2*len(widths), maxLayers)
	}
	act, seen := op.ReLU, false
	start = at + len(parts[0]) + 1
	for _, token := range parts[1:] {
		key, value, found := strings.Cut(token, "=")
		if !found || key != "act" {
			return Spec{}, p.fail(token, start, "unknown option; the option of mlp is act=%s", strings.Join(actNames(), "|"))
		}
		if seen {
			return Spec{}, p.fail(token, start, "act is given twice")
		}
		f, ok := actOf(value)
		if !ok {
			return Spec{}, p.fail(value, start+len(key)+1, "unknown activation; did you mean %s? Activations are %s",
				nearest.Name(value, actNames()), strings.Join(actNames(), ", "))
		}
		act, seen = f, true
		start += len(token) + 1
	}
	return MLP(act, widths...), nil
}

func (p parser) cnn(body string, at int) (Spec, error) {
	tokens := strings.Split(body, ",")
	if len(tokens) > maxLayers {
		at += len(strings.Join(tokens[:maxLayers], ",")) + 1
		return Spec{}, p.fail(tokens[maxLayers], at, "%d layers, at most %d are supported", len(tokens), maxLayers)
	}
	var s Spec
	for _, token := range tokens {
		l, err := p.layer(token, at)
		if err != nil {
			return Spec{}, err
		}
		s.layers = append(s.layers, l)
		at += len(token) + 1
	}
	return s, nil
}

// layer reads one token of a cnn spec.
func (p parser) layer(token string, at int) (Layer, error) {
	name := token[:len(token)-len(strings.TrimLeft(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))]
	form, ok := forms[name]
	if !ok {
		names := slices.Sorted(maps.Keys(forms))
		near := nearest.Name(name, names)
		all := make([]string, len(names))
		for i, n := range names {
			all[i] = forms[n]
		}
		return Layer{}, p.fail(token, at, "unknown layer; did you mean %s? Layers are %s", forms[near], strings.Join(all, ", "))
	}
	malformed := func(why string) error { return p.fail(token, at, "%s; write %s", why, form) }
	rest := token[len(name):]
	if f, ok := actOf(name); ok || name == "gap" {
		if rest != "" {
			return Layer{}, malformed(fmt.Sprintf("%.20q after %s", rest, name))
		}
		if ok {
			return activation(f), nil
		}
		return GlobalAvgPool(), nil
	}
	n, rest, ok := number(rest)
	if !ok {
		return Layer{}, malformed(fmt.Sprintf("%s needs a number up to %d", name, maxNumber))
	}
	options, err := letters(rest)
	if err != nil {
		return Layer{}, malformed(err.Error())
	}
	l, err := sized(name, n, options)
	if err == nil {
		err = l.check()
	}
	if err != nil {
		return Layer{}, malformed(err.Error())
	}
	return l, nil
}

// sized makes the layer that a name, its number and its lettered options say.
func sized(name string, n int, options map[byte]int) (Layer, error) {
	allowed := map[string]string{"conv": "ksp", "maxpool": "s", "avgpool": "s"}[name]
	for _, c := range slices.Sorted(maps.Keys(options)) {
		if strings.IndexByte(allowed, c) < 0 {
			return Layer{}, fmt.Errorf("%q is not an option of %s", c, name)
		}
	}
	var l Layer
	switch name {
	case "conv":
		k, ok := options['k']
		if !ok {
			return l, fmt.Errorf("a convolution needs its kernel")
		}
		l = Conv(n, k, Pad(options['p']))
	case "maxpool":
		l = MaxPool(n)
	case "avgpool":
		l = AvgPool(n)
	default:
		l = Dense(n)
	}
	if v, ok := options['s']; ok {
		l.Stride = v
	}
	return l, nil
}

// letters reads a run of a letter and a number each: "k5s2p1".
func letters(s string) (map[byte]int, error) {
	out := map[byte]int{}
	for s != "" {
		c := s[0]
		n, rest, ok := number(s[1:])
		if !ok {
			return nil, fmt.Errorf("%.20q is not an option and a number up to %d", s, maxNumber)
		}
		if _, twice := out[c]; twice {
			return nil, fmt.Errorf("%q is given twice", c)
		}
		out[c], s = n, rest
	}
	return out, nil
}

// number reads the decimal digits that s starts with. It is not ok without any
// or above maxNumber.
func number(s string) (n int, rest string, ok bool) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.Atoi(s[:digits])
	return n, s[digits:], err == nil && n <= maxNumber
}

func actNames() []string {
	names := make([]string, len(activations))
	for i, f := range activations {
		names[i] = f.String()
	}
	return names
}

func actOf(name string) (op.Func, bool) {
	i := slices.Index(actNames(), name)
	if i < 0 {
		return 0, false
	}
	return activations[i], true
}
