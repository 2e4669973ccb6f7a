package cpu

import (
	"time"

	"sgflow/engine/program"
)

// InstrTime is the time that one instruction took.
type InstrTime struct {
	Phase program.Phase
	Index int     // in Program.Phases[Phase], as in the program's listing
	Calls int     // how often it ran since profiling was switched on
	MS    float64 // mean milliseconds a call
}

// profile holds the time and number of calls of every instruction.
type profile struct {
	spent [program.NumPhases][]time.Duration
	calls [program.NumPhases]int
}

// EnableProfile switches the measuring of instruction times on, from zero, or
// off. While it is off it costs nothing.
func (m *Machine[T]) EnableProfile(on bool) {
	m.profile = nil
	if on {
		m.profile = &profile{}
		for ph, list := range m.phases {
			m.profile.spent[ph] = make([]time.Duration, len(list))
		}
	}
}

// Profile returns the mean time of every instruction that has run since
// EnableProfile(true), in the order of the program's listing; nil while
// profiling is off.
func (m *Machine[T]) Profile() []InstrTime {
	if m.profile == nil {
		return nil
	}
	var r []InstrTime
	for ph, spent := range m.profile.spent {
		calls := m.profile.calls[ph]
		if calls == 0 {
			continue
		}
		for k, d := range spent {
			r = append(r, InstrTime{program.Phase(ph), k, calls, d.Seconds() * 1e3 / float64(calls)})
		}
	}
	return r
}

// run executes the instructions of a phase and adds up their times.
func (p *profile) run(ph program.Phase, list []bound, n int) {
	p.calls[ph]++
	last := time.Now()
	for k, in := range list {
		in.run(n)
		now := time.Now()
		p.spent[ph][k] += now.Sub(last)
		last = now
	}
}
