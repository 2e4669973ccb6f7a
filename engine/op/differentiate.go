package op

import (
	"fmt"
	"slices"
	"sync"

	G "gorgonia.org/gorgonia"
)

// gorgonia's differentiation adds package-level constant nodes to the graph
// and hashes them in place, so it must not run twice at once.
var gorgoniaMu sync.Mutex

// Derivatives is one graph that holds a scalar loss L(θ), its gradient and its
// Hessian-vector product. The slices run parallel to the parameters that
// [Differentiate] was given.
type Derivatives struct {
	Graph *G.ExprGraph
	// Loss is L, a scalar.
	Loss *G.Node
	// Params are the inputs θᵢ; they share the values of the originals.
	Params G.Nodes
	// Grads are gᵢ = ∂L/∂θᵢ, of the shape of θᵢ; nil where L does not depend
	// on θᵢ.
	Grads G.Nodes
	// Vectors are fresh inputs vᵢ of the shape of θᵢ, one for each parameter
	// whether the product uses it or not.
	Vectors G.Nodes
	// HessianProducts are (Hv)ᵢ = ∂/∂θᵢ Σⱼ⟨gⱼ, vⱼ⟩, of the shape of θᵢ; nil
	// where the gradient does not depend on θᵢ. One may be an input itself.
	HessianProducts G.Nodes

	image map[*G.Node]*G.Node
}

// Node returns the image in Graph of a node of the original graph, nil if the
// loss is not computed from it.
func (d *Derivatives) Node(original *G.Node) *G.Node { return d.image[original] }

// Differentiate returns a fresh graph with the loss, its gradients with
// respect to params and the product of its Hessian with a vector v, all by
// Gorgonia's symbolic differentiation.
//
// loss is a scalar; params are different inputs of its graph. That graph is
// not modified, values of its inputs are shared and constants keep theirs.
// Statements (reads) are left behind. An op without a derivative on the way
// from a parameter to the loss is an error that names the node and the op; of
// Gorgonia's own ops softmax, max pooling and others lack second derivatives,
// so a graph of those has to be translated into this package's ops first.
// Calls are serialised, since Gorgonia keeps global nodes.
func Differentiate(loss *G.Node, params G.Nodes) (d *Derivatives, err error) {
	if err := checkRequest(loss, params); err != nil {
		return nil, err
	}
	gorgoniaMu.Lock()
	defer gorgoniaMu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			d, err = nil, fmt.Errorf("op: differentiate %s: gorgonia panicked: %v", loss.Name(), r)
		}
	}()
	d = &Derivatives{Loss: loss, Params: params}
	if err := d.rebuild(true); err != nil {
		return nil, fmt.Errorf("op: differentiate %s: rebuild: %w", loss.Name(), err)
	}
	if err := d.addGradients(); err != nil {
		return nil, fmt.Errorf("op: differentiate %s: gradient: %w", loss.Name(), err)
	}
	if err := d.rebuild(false); err != nil {
		return nil, fmt.Errorf("op: differentiate %s: rebuild with gradients: %w", loss.Name(), err)
	}
	if err := d.addHessianProducts(); err != nil {
		return nil, fmt.Errorf("op: differentiate %s: Hessian-vector product: %w", loss.Name(), err)
	}
	if err := d.rebuild(false); err != nil {
		return nil, fmt.Errorf("op: differentiate %s: rebuild with Hessian-vector products: %w", loss.Name(), err)
	}
	return d, nil
}

func checkRequest(loss *G.Node, params G.Nodes) error {
	if loss == nil {
		return fmt.Errorf("op: differentiate: the loss is nil")
	}
	if loss.Graph() == nil || !loss.IsScalar() {
		return fmt.Errorf("op: differentiate: the loss %s is %v, want a scalar of a graph", loss.Name(), loss.Shape())
	}
	for i, p := range params {
		switch {
		case p == nil:
			return fmt.Errorf("op: differentiate: parameter %d is nil", i)
		case p.Op() != nil:
			return fmt.Errorf("op: differentiate: parameter %d (%s) is computed by %v; parameters are inputs", i, p.Name(), p.Op())
		case p.Graph() != loss.Graph():
			return fmt.Errorf("op: differentiate: parameter %d (%s) belongs to another graph than the loss", i, p.Name())
		case p.Dtype() != loss.Dtype():
			return fmt.Errorf("op: differentiate: parameter %d (%s) is %v, the loss is %v", i, p.Name(), p.Dtype(), loss.Dtype())
		case slices.Index(params, p) != i:
			return fmt.Errorf("op: differentiate: parameter %d (%s) is given twice", i, p.Name())
		}
	}
	return nil
}

// rebuild replaces the graph by a copy of what the results need. The first
// copy also starts the map from the caller's nodes.
func (d *Derivatives) rebuild(first bool) error {
	c := newCopier()
	roots := []*G.Nodes{{d.Loss}, &d.Params, &d.Grads, &d.Vectors, &d.HessianProducts}
	for _, ns := range roots {
		images, err := c.all(*ns)
		if err != nil {
			return err
		}
		*ns = images
	}
	d.Graph, d.Loss = c.to, (*roots[0])[0]
	if first {
		d.image = c.image
		return nil
	}
	for original, image := range d.image {
		d.image[original] = c.image[image]
	}
	return nil
}

// addGradients sets Grads. Gorgonia refuses parameters that the loss does not
// depend on, so those are found first.
func (d *Derivatives) addGradients() error {
	d.Grads = make(G.Nodes, len(d.Params))
	order, err := topological(d.Loss)
	if err != nil {
		return err
	}
	active, where, err := dependsOn(order, G.Nodes{d.Loss}, d.Params)
	if err != nil || len(active) == 0 {
		return err
	}
	grads, err := G.Grad(d.Loss, active...)
	if err != nil {
		return err
	}
	return place(d.Grads, d.Params, grads, where)
}

// addHessianProducts sets Vectors and HessianProducts: the gradients gⱼ are
// differentiated together, vⱼ being what flows back into gⱼ, which is the
// derivative of Σ⟨gⱼ, vⱼ⟩.
func (d *Derivatives) addHessianProducts() error {
	d.Vectors = d.newVectors()
	d.HessianProducts = make(G.Nodes, len(d.Params))
	isParam := map[*G.Node]bool{}
	for _, p := range d.Params {
		isParam[p] = true
	}
	// Parameters that enter alike can share one gradient node; what flows back
	// into it is then the sum of their vectors.
	var outputs, inflow G.Nodes
	for i, g := range d.Grads {
		if g == nil {
			continue
		}
		order, err := topological(g)
		if err != nil {
			return err
		}
		reached, err := influence(order, isParam)
		if err != nil {
			return err
		}
		if !reached[g] {
			continue
		}
		k := slices.Index(outputs, g)
		if k < 0 {
			outputs, inflow = append(outputs, g), append(inflow, d.Vectors[i])
			continue
		}
		if inflow[k], err = Add.Of(inflow[k], d.Vectors[i]); err != nil {
			return err
		}
	}
	if len(outputs) == 0 {
		return nil
	}
	order, err := topological(outputs...)
	if err != nil {
		return err
	}
	active, where, err := dependsOn(order, outputs, d.Params)
	if err != nil {
		return err
	}
	products, err := G.Backpropagate(outputs, inflow, active)
	if err != nil {
		return err
	}
	return place(d.HessianProducts, d.Params, products, where)
}

// newVectors makes an input for each parameter, of its type and shape, named
// after it with a name that nothing in the graph bears.
func (d *Derivatives) newVectors() G.Nodes {
	used := map[string]bool{}
	for _, n := range d.Graph.AllNodes() {
		used[n.Name()] = true
	}
	vectors := make(G.Nodes, len(d.Params))
	for i, p := range d.Params {
		name := "v:" + p.Name()
		for used[name] {
			name = "v:" + name
		}
		used[name] = true
		vectors[i] = G.NewUniqueNode(G.WithType(p.Type()), G.In(d.Graph), G.WithShape(p.Shape()...), G.WithName(name))
	}
	return vectors
}

// dependsOn returns the parameters that some output depends on through
// derivatives, with their places in params. order is topological and ends with
// the outputs' graph.
func dependsOn(order, outputs, params G.Nodes) (active G.Nodes, where []int, err error) {
	for i, p := range params {
		reached, err := influence(order, map[*G.Node]bool{p: true})
		if err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(outputs, func(o *G.Node) bool { return reached[o] }) {
			active, where = append(active, p), append(where, i)
		}
	}
	return active, where, nil
}

// place puts the derivatives of params[where[k]] where they belong, in the
// parameter's shape.
func place(into, params, derivs G.Nodes, where []int) error {
	for k, n := range derivs {
		p := params[where[k]]
		switch {
		case n == nil:
			return fmt.Errorf("op: gorgonia returned no derivative for parameter %s", p.Name())
		case slices.Equal(n.Shape(), p.Shape()):
		case n.Shape().TotalSize() == p.Shape().TotalSize():
			var err error
			if n, err = ReshapeTo(n, p.Shape()...); err != nil {
				return err
			}
		default:
			return fmt.Errorf("op: the derivative for parameter %s, which is %v, came out as %v by node %s (op %v)", p.Name(), p.Shape(), n.Shape(), n.Name(), n.Op())
		}
		into[where[k]] = n
	}
	return nil
}
