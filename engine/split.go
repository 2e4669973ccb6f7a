package engine

// Split calls f for consecutive pieces [from, to) of [0, n) on the session's
// threads, each once, and returns when all are done: a way to fill inputs. cost
// is how many elements each of the n moves; few in all are one piece, on the
// caller's thread. f must not call the session.
func (s *Session[T]) Split(n, cost int, f func(from, to int)) { s.machine.Split(n, cost, f) }
