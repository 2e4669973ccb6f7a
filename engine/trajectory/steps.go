package trajectory

import (
	"fmt"
	"math"
	"strconv"
)

// perDecade is how many points a decade of steps has with Log.
const perDecade = 20

// Log is the text of Steps that are evenly spaced on a logarithmic scale.
const Log = "log"

// Steps says which points of a path are kept, beside its first and its last. The
// zero value keeps none.
type Steps struct {
	every int // points of every that many steps; −1: logarithmic
}

// ParseSteps reads a number K (points every K steps), "log" (the first step of each
// twentieth of a decade: all up to 8, 20 a decade from there) or "" (none).
func ParseSteps(text string) (Steps, error) {
	switch text {
	case "":
		return Steps{}, nil
	case Log:
		return Steps{-1}, nil
	}
	k, err := strconv.Atoi(text)
	if err != nil || k < 1 {
		return Steps{}, fmt.Errorf("give a number of steps, 1 or more, or %s", Log)
	}
	return Steps{k}, nil
}

// Any reports whether points are kept.
func (s Steps) Any() bool { return s.every != 0 }

// Due reports whether the point after step steps is one to keep.
func (s Steps) Due(step int) bool {
	switch {
	case s.every == 0:
		return false
	case s.every > 0:
		return step%s.every == 0
	case step < 2:
		return true
	}
	bin := func(s int) int { return int(math.Floor(perDecade*math.Log10(float64(s)) + 1e-9)) }
	return bin(step) > bin(step-1)
}
