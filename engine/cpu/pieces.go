package cpu

// Elements that are worth handing to another thread: of loops that only move
// data, and of functions that take many operations an element. Results do not
// depend on them.
const (
	movePiece = 1 << 15
	mathPiece = 1 << 11
)

// pieces returns how many pieces of the given size n elements make.
func pieces(n, size int) int { return (n + size - 1) / size }

// piece returns the borders of piece i of n elements.
func piece(i, n, size int) (lo, hi int) { return i * size, min((i+1)*size, n) }
