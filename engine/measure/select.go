package measure

import (
	"fmt"
	"slices"
	"strings"

	"sgflow/engine/nearest"
)

// Selection is a set of quantities to measure. The zero value is none.
type Selection struct {
	text string
	list []*Quantity // in the order of the registry
}

// ParseSelection reads "none", "all" (the sets noise and flatness),
// "everything" (the whole registry), or a comma list of sets and quantities.
func ParseSelection(text string) (Selection, error) {
	s := Selection{text: text}
	if text == "none" {
		return Selection{}, nil
	}
	chosen := map[*Quantity]bool{}
	for _, name := range strings.Split(text, ",") {
		name = strings.TrimSpace(name)
		found := false
		for _, q := range quantities {
			if q.Name == name || slices.Contains(q.Sets, name) || name == "everything" ||
				name == "all" && (slices.Contains(q.Sets, setNoise) || slices.Contains(q.Sets, setFlatness)) {
				chosen[q], found = true, true
			}
		}
		if !found {
			return Selection{}, unknownQuantity(name)
		}
	}
	for _, q := range quantities {
		if chosen[q] {
			s.list = append(s.list, q)
		}
	}
	return s, nil
}

func unknownQuantity(name string) error {
	known := append([]string{"none", "all", "everything"}, setNames...)
	for _, q := range quantities {
		known = append(known, q.Name)
	}
	return fmt.Errorf("measure: no quantity %q; did you mean %s? `sgflow measures` lists what there is", name, nearest.Name(name, known))
}

// Has reports whether the quantity is selected.
func (s Selection) Has(name string) bool {
	return slices.ContainsFunc(s.list, func(q *Quantity) bool { return q.Name == name })
}

// Quantities returns the selected quantities in the order of the registry.
func (s Selection) Quantities() []*Quantity { return s.list }

// of returns the selected quantities of a group.
func (s Selection) of(g Group) []*Quantity {
	var list []*Quantity
	for _, q := range s.list {
		if q.Group == g {
			list = append(list, q)
		}
	}
	return list
}

// needs returns what the quantities need together.
func needs(list []*Quantity) (n Need) {
	for _, q := range list {
		n |= q.Needs
	}
	return n
}

// Converged reports whether the selection asks for eigenvalues iterated to
// their tolerance at every step, as the set full does.
func (s Selection) Converged() bool {
	return slices.Contains(strings.Split(s.text, ","), setFull)
}

// Flatness reports whether any quantity needs Hessian-vector products.
func (s Selection) Flatness() bool { return needs(s.list)&Products != 0 }

// String returns the selection as ParseSelection reads it.
func (s Selection) String() string {
	if len(s.list) == 0 {
		return "none"
	}
	return s.text
}
