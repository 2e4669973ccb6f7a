package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"sgflow/engine/analysis"
)

// settingWords names a setting by what varies in the section, batch and rate
// always.
func (s *Section) settingWords(x analysis.Setting) string {
	text := fmt.Sprintf("batch %d, rate %s", x.Batch, number(x.LR))
	if s.varies(func(o analysis.Setting) float64 { return o.Momentum }) || x.Momentum != 0 {
		text += ", momentum " + number(x.Momentum)
	}
	if s.varies(func(o analysis.Setting) float64 { return float64(o.Epochs) }) && x.Epochs > 0 {
		text += fmt.Sprintf(", %d epochs", x.Epochs)
	}
	if s.varies(func(o analysis.Setting) float64 { return float64(o.Steps) }) && x.Steps > 0 {
		text += fmt.Sprintf(", %d steps", x.Steps)
	}
	return text
}

// varies reports whether f differs between settings.
func (s *Section) varies(f func(analysis.Setting) float64) bool {
	for _, g := range s.Problem.Groups {
		if f(g.Setting) != f(s.Problem.Groups[0].Setting) {
			return true
		}
	}
	return false
}

// number prints three significant digits, whole numbers with separators.
func number(x float64) string {
	a := math.Abs(x)
	switch {
	case a >= 1e7 || a > 0 && a < 1e-3:
		return strconv.FormatFloat(x, 'g', 3, 64)
	case a >= 1000:
		return grouped(int(math.Round(x)))
	}
	return strconv.FormatFloat(roundTo(x, 3), 'f', -1, 64)
}

// roundTo rounds to so many significant digits.
func roundTo(x float64, digits int) float64 {
	y, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
	if err != nil {
		return x
	}
	return y
}

// signed prints two decimals with a minus sign, and no sign for what rounds to zero.
func signed(x float64) string {
	text := strconv.FormatFloat(x, 'f', 2, 64)
	if text == "-0.00" {
		return "0.00"
	}
	return strings.Replace(text, "-", "−", 1)
}

// grouped prints a whole number with commas.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// withError prints a mean and its standard error to the digit that the error has
// two of, both times scale.
func withError(e analysis.Estimate, scale float64) string {
	mean := e.Mean * scale
	stderr, ok := e.Stderr.Get()
	stderr *= scale
	if !ok || stderr == 0 {
		if scale == 100 {
			return strconv.FormatFloat(mean, 'f', 2, 64)
		}
		return number(mean)
	}
	if a := math.Max(math.Abs(mean), stderr); a >= 1e7 || a < 1e-3 {
		power := math.Floor(math.Log10(a))
		unit := math.Pow(10, power)
		return fmt.Sprintf("(%s)·10%s", fixedError(mean/unit, stderr/unit), superscript(int(power)))
	}
	return fixedError(mean, stderr)
}

// fixedError prints both with the decimals that give the error two digits.
func fixedError(mean, stderr float64) string {
	decimals := max(0, 1-int(math.Floor(math.Log10(stderr))))
	decimals = min(decimals, 6)
	if decimals == 0 && math.Abs(mean) >= 1000 {
		return grouped(int(math.Round(mean))) + " ± " + grouped(int(math.Round(stderr)))
	}
	return strconv.FormatFloat(mean, 'f', decimals, 64) + " ± " + strconv.FormatFloat(stderr, 'f', decimals, 64)
}

// superscript prints an exponent.
func superscript(n int) string {
	digits := []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")
	var b strings.Builder
	for _, c := range strconv.Itoa(n) {
		if c == '-' {
			b.WriteRune('⁻')
			continue
		}
		b.WriteRune(digits[c-'0'])
	}
	return b.String()
}

// interval prints the ends of a 95 % interval, "" where they are unknown.
func interval(i analysis.Interval) string {
	low, okLow := i.Low.Get()
	high, okHigh := i.High.Get()
	if !okLow || !okHigh {
		return ""
	}
	return number(low) + " to " + number(high)
}

// count prints a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// list joins words with commas and an and.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
