package models

import "strings"

// nearest returns the choice with the smallest edit distance (Levenshtein) to
// word, letter case aside; the first of equals. Only the start of a long word
// is looked at.
func nearest(word string, choices []string) string {
	word = strings.ToLower(word[:min(len(word), 40)])
	best, least := "", 0
	for _, c := range choices {
		if d := distance(word, c); best == "" || d < least {
			best, least = c, d
		}
	}
	return best
}

func distance(a, b string) int {
	row := make([]int, len(b)+1) // distances of a[:i] to every b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
