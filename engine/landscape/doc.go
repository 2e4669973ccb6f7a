// Package landscape shows the loss surface around a point: slices of loss and
// accuracy along one or two directions, and the paths that training took over them.
//
// A [Slice] is a point θ₀ with one or two directions. Directions are random and
// filter-normalised (Li et al. 2018, arXiv:1712.09913), the principal components of
// stored paths ([Principal]), eigenvectors of the Hessian with the largest eigenvalues, or
// the line to other weights. [Evaluate] computes loss and accuracy on a grid of it,
// [Project] where points of a trajectory fall on it and how far off it they are: a
// slice is all that is drawn, and a path in a million dimensions is mostly not in it.
//
// [Run] does what `sgflow landscape` asks for: it opens the problem, trains SGD and
// full-batch gradient descent from one point (package flow) and keeps both paths
// (package trajectory), or takes those of run folders; finds the directions,
// evaluates the grid, and returns a [Result], whose Save writes numbers, figures, an
// animation and a page.
package landscape
