// Package problem opens what is to be computed: a loss surface and a point on it.
//
// A [Problem] holds a user's settings, by the names of the command line: data set,
// model, loss, initial weights and the device to compute on. [Problem.Open] finds
// them, checks that they fit, and returns them in memory; [NewSession] and
// [NewObjective] make of that the loss of any samples, with its gradients and
// curvature:
//
//	p, err := settings.Open()
//	err = p.Compile(true)
//	s, err := problem.NewSession[float32](p, 256)
//	defer s.Close()
//	err = problem.SetWeights(p, s)
//	o := problem.NewObjective(p, s, p.Train)
//
// What trains, probes or follows the surface starts from here and knows nothing of
// files and flags. A wrong setting is a request.Error, found before any work.
package problem
