package grid

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Most is how many runs a sweep can have, and an axis values.
const Most = 100_000

const number = `([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)`

var rangeForm = regexp.MustCompile(`^` + number + `\.\.` + number + `(?:([*+])` + number + `|:(log)?([0-9]+))?$`)

// Numbers expands a list of numbers and ranges, such as 1,2,8..4096*2, into the
// texts of its numbers. Where whole is set they are whole: those of a range
// with equal ratios are rounded, and equal ones come once.
func Numbers(list string, whole bool) ([]string, error) {
	var all []string
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			return nil, fmt.Errorf("%q has an empty part", list)
		}
		if !strings.Contains(part, "..") {
			all = append(all, part)
			continue
		}
		values, err := expand(part)
		if err != nil {
			return nil, err
		}
		last := ""
		for _, x := range values {
			text := strconv.FormatFloat(x, 'g', -1, 64)
			if whole {
				text = strconv.FormatFloat(math.Round(x), 'f', -1, 64)
			}
			if text != last {
				all = append(all, text)
			}
			last = text
		}
	}
	return all, nil
}

// expand returns the numbers of a range.
func expand(text string) ([]float64, error) {
	m := rangeForm.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("%q is no range: they look like 8..4096*2, 1..9+2, 0..4, 0.01..1:log5 or 0..1:5", text)
	}
	first, _ := strconv.ParseFloat(m[1], 64) // numbers by the form
	last, _ := strconv.ParseFloat(m[2], 64)
	if math.IsInf(first, 0) || math.IsInf(last, 0) {
		return nil, fmt.Errorf("%q ends at no number", text)
	}
	if m[6] != "" {
		n, err := strconv.Atoi(m[6])
		if err != nil || n < 2 || n > Most {
			return nil, fmt.Errorf("%q: give from 2 to %d values", text, Most)
		}
		if m[5] != "" && (first <= 0 || last <= 0) {
			return nil, fmt.Errorf("%q: equal ratios need ends above 0", text)
		}
		return spaced(first, last, n, m[5] != ""), nil
	}
	step, multiply := 1.0, m[3] == "*"
	if m[4] != "" {
		step, _ = strconv.ParseFloat(m[4], 64)
	}
	switch {
	case last < first:
		return nil, fmt.Errorf("%q is empty: it ends below its beginning", text)
	case multiply && (step <= 1 || first <= 0):
		return nil, fmt.Errorf("%q: multiply a number above 0 by more than 1", text)
	case !multiply && step <= 0:
		return nil, fmt.Errorf("%q: add more than 0", text)
	}
	// A little beyond the end, for steps such as 0.1 that are not exact.
	var values []float64
	for k := 0; ; k++ {
		x := round(first+float64(k)*step, 12)
		if multiply {
			x = round(first*math.Pow(step, float64(k)), 12)
		}
		if x > last*(1+1e-12) {
			return values, nil
		}
		if len(values) == Most {
			return nil, fmt.Errorf("%q has more than %d values", text, Most)
		}
		values = append(values, x)
	}
}

// spaced returns n numbers from first to last. The inner ones of equal ratios
// have four digits.
func spaced(first, last float64, n int, ratios bool) []float64 {
	values := make([]float64, n)
	for i := range values {
		share := float64(i) / float64(n-1)
		if ratios {
			values[i] = round(first*math.Pow(last/first, share), 4)
		} else {
			values[i] = round(first+(last-first)*share, 12)
		}
	}
	values[0], values[n-1] = first, last
	return values
}

// round returns x with so many significant digits.
func round(x float64, digits int) float64 {
	y, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
	if err != nil {
		return x // too large to be one: the caller sees the end is passed
	}
	return y
}
