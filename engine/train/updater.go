package train

import (
	"sgflow/engine"
	"sgflow/engine/optim"
	"sgflow/engine/rng"
)

// updater moves the parameters by the optimizer's steps and keeps what it
// remembers from one to the next.
type updater[T engine.Float] struct {
	optim.Config
	s *engine.Session[T]

	velocity      []T // nil without momentum
	first, second []T // moments of an Adam's gradient, else nil

	seed  uint64
	kicks []T // of SGLD, else nil
	gauss *gauss[T]
}

func newUpdater[T engine.Float](c *Config, s *engine.Session[T]) *updater[T] {
	u := &updater[T]{Config: c.optimizer(), s: s, seed: c.Seed}
	n := len(s.Params())
	switch {
	case u.Name == optim.SGLD:
		u.kicks, u.gauss = s.NewVector(n), newGauss(s)
	case u.IsAdam():
		u.first, u.second = s.NewVector(n), s.NewVector(n)
	case u.Momentum != 0:
		u.velocity = s.NewVector(n)
	}
	return u
}

// step moves the parameters along the session's gradient at rate lr; step counts
// from 0.
func (u *updater[T]) step(step int, lr float64) {
	if u.IsAdam() {
		u.s.Adam(u.first, u.second, u.AdamUpdate(lr, step))
		return
	}
	u.s.Update(u.velocity, u.Update(lr))
	if size := u.Diffusion(lr); size > 0 {
		u.gauss.fill(u.kicks, rng.New(rng.Noise, u.seed, uint64(step)))
		u.s.Axpy(size, u.kicks, u.s.Params())
	}
}

// ahead returns the rule of steps from one on, with the vectors that it keeps.
func (u *updater[T]) ahead(step int) optim.Optimizer[T] {
	return optim.Optimizer[T]{
		Update: u.Update(0), Velocity: u.velocity,
		Adam: u.AdamUpdate(0, step), First: u.first, Second: u.second,
	}
}

// vector is a vector that a checkpoint keeps.
type vector[T engine.Float] struct {
	name string
	of   []T
}

// vectors returns what the optimizer remembers.
func (u *updater[T]) vectors() (list []vector[T]) {
	for _, v := range []vector[T]{
		{"velocity", u.velocity}, {"adam.first", u.first}, {"adam.second", u.second},
	} {
		if v.of != nil {
			list = append(list, v)
		}
	}
	return list
}
