// Package nearest finds what a misspelled name was probably meant to be, for
// error messages.
package nearest

import "strings"

// longest is how much of a word is looked at: more is no misspelled name.
const longest = 40

// Name returns the choice that takes the fewest edits (insertions, deletions
// and substitutions of a byte: Levenshtein's distance) to make from word,
// letter case aside; an end of the choice that word leaves out counts as one
// edit, and all that lies around a word of three bytes or more as two. It is the first
// of equals, "" where there is no choice.
func Name(word string, choices []string) string {
	word = strings.ToLower(word[:min(len(word), longest)])
	best, least := "", -1
	for _, c := range choices {
		d := distance(word, strings.ToLower(c))
		if len(word) >= 3 && strings.Contains(strings.ToLower(c), word) {
			d = min(d, 2)
		}
		if least < 0 || d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is Levenshtein's, with one row of the table kept, but for the
// missing end of b.
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
	least := row[len(b)]
	for _, d := range row[:len(b)] { // of a to the beginnings of b
		least = min(least, d+1)
	}
	return least
}
