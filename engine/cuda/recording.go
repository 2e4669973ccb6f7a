//go:build gpu && cgo && linux && amd64

package cuda

import (
	"time"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/steps"
)

// recording is what steps that stay on the device are asked for between gradient and update.
type recording struct {
	queue   func()
	numbers driver.Pointer // that a step leaves, so many of them at most
	room    int
	used    int
	asked   []number // where each is to be stored
	laps    []recordedLap
	timed   bool // the device's clock is read in this step
	asking  bool // something is queued since it was read
	last    int  // which number it is by then

	branch   struct{ from, to int } // the numbers of the last branch's clock
	branched bool                   // which no lap has told yet
	main     bool                   // what asking was at its beginning
}

// recordedLap is where a time is to be stored, nil if nowhere: that between two numbers that
// the clock's are.
type recordedLap struct {
	took     *time.Duration
	from, to int
}

// waitsInRecording is the text of a panic.
const waitsInRecording = "cuda: what is recorded for steps would have to be waited for"

// Record returns the name of what queue asks the machine for, to be asked for by Start at every
// step: products with the Hessian, and operations on NewVectors whose numbers the next Wait stores.
// What would have to be waited for panics. queue is called whenever a graph is made.
func (m *Machine) Record(queue func()) steps.Recording {
	m.Wait()
	r := &recording{queue: queue, room: mostNumbers + 2*len(m.program.Params)}
	var err error
	r.numbers, err = m.memory.device("numbers of steps", r.room*double)
	m.check(err)
	dry := m.dry
	m.dry = true
	for again := true; again; {
		narrow := m.narrow
		m.queueRecording(r, m.capacity, false)
		again = narrow != m.narrow // as there is no memory for branches
	}
	m.dry = dry
	m.recordings = append(m.recordings, r)
	return steps.Recording(len(m.recordings))
}

// recorded returns the recording of that name, nil for 0.
func (m *Machine) recorded(r steps.Recording) *recording {
	if r == 0 {
		return nil
	}
	return m.recordings[r-1]
}

// queueRecording queues what r asks for of n samples whose gradient is queued before. timed is
// set in one of the steps of a graph: a reading of the clock is a launch.
func (m *Machine) queueRecording(r *recording, n int, timed bool) {
	m.recording, m.batch, m.pulled = r, n, false
	m.changed()
	r.used, r.asked, r.laps, r.timed, r.asking = 0, r.asked[:0], r.laps[:0], timed, true
	m.curve() // which both lanes need
	m.openBranches()
	r.queue()
	m.flushSums()
	m.joinBranches()
	m.recording, m.batch = nil, 0
	m.changed()
}

// lap is Lap of a recording: what a branch takes, where there was one since the last, is a time
// of its own.
func (r *recording) lap(m *Machine, took *time.Duration) {
	m.flushSums()
	branched := r.branched
	r.branched = false
	if branched && took != nil {
		r.laps = append(r.laps, recordedLap{took, r.branch.from, r.branch.to})
		return
	}
	at := r.last
	if r.asking {
		at = r.stamp(m)
	}
	r.laps = append(r.laps, recordedLap{took, r.last, at})
	r.last, r.asking = at, false
}

// stamp asks what the clock shows, and returns which number that is.
func (r *recording) stamp(m *Machine) int {
	at := m.reserve(1)
	if r.timed {
		m.launch("clock", m.kernels.readClock, driver.Grid{Blocks: driver.Dim{X: 1}, Threads: driver.Dim{X: 1}}, driver.Ptr(m.result(at)))
	}
	return at
}

// Deliver stores the numbers of a step, which Finish has told, where the recording asked for
// them.
func (m *Machine) Deliver(name steps.Recording, numbers []float64) {
	r := m.recorded(name)
	for _, a := range r.asked {
		*a.dst = numbers[a.at]
	}
	for _, l := range r.laps {
		if l.took != nil && m.err == nil {
			*l.took = time.Duration(max(0, numbers[l.to]-numbers[l.from]))
		}
	}
}
