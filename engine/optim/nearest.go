package optim

import "strings"

// nearest returns the choice with the smallest edit distance to word, letter
// case aside; the first of equals.
func nearest(word string, choices []string) string {
	best, bestDistance := "", -1
	for _, choice := range choices {
		if d := editDistance(strings.ToLower(word), choice); bestDistance < 0 || d < bestDistance {
			best, bestDistance = choice, d
		}
	}
	return best
}

// editDistance is the Levenshtein distance in bytes: the least number of
// insertions, deletions and substitutions that turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // distances from a[:i] to every b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
