package data

// nearest returns the name with the least edit distance from s (insertions,
// deletions and substitutions of a byte), the earliest of equals.
func nearest(s string, names []string) string {
	best, at := "", -1
	for _, name := range names {
		if d := editDistance(s, name); at < 0 || d < at {
			best, at = name, d
		}
	}
	return best
}

// editDistance is Levenshtein's, with one row of the table kept.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
