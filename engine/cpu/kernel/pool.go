package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Task is work that a [Pool] can run in pieces.
type Task interface {
	// Do performs piece i. worker is the index, below the pool's number of
	// threads, of the worker that runs it: no two pieces run at the same time
	// with the same worker, so it may index scratch memory.
	Do(i, worker int)
}

// spinTime is how long an idle worker looks for work before it parks. It
// covers the time that a step spends between two parallel operations, so that
// small operations following each other need no wake-up by the system.
const spinTime = 30 * time.Microsecond

// Pool is a fixed team of workers. The goroutine that calls Run is one of them.
//
// A Pool may be shared: concurrent calls of Run follow one another. A task must
// not call Run on the pool that runs it.
type Pool struct {
	threads int
	run     sync.Mutex // held by the Run in progress
	task    Task       // written by Run while no piece is claimable

	// claims is n<<32 | next: the number of pieces and the first unclaimed one.
	// Who swaps next for next+1 owns piece next; Run can't return before that
	// piece is done, so task is safe to read by then.
	claims   atomic.Uint64
	done     atomic.Int64
	sleepers atomic.Int32
	closed   atomic.Bool
	wake     chan struct{}
	exited   sync.WaitGroup
}

// NewPool starts threads−1 workers; fewer than one thread counts as one. The
// caller owns the pool and must Close it.
func NewPool(threads int) *Pool {
	p := &Pool{threads: max(threads, 1)}
	p.wake = make(chan struct{}, p.threads)
	for w := 1; w < p.threads; w++ {
		p.exited.Add(1)
		go p.work(w)
	}
	return p
}

// Threads is the number of workers, the caller of Run included.
func (p *Pool) Threads() int { return p.threads }

// Close stops the workers and waits for them. The pool runs everything inline
// afterwards. Close must not be called during a Run; closing twice is harmless.
func (p *Pool) Close() {
	p.run.Lock()
	defer p.run.Unlock()
	if p.closed.Swap(true) {
		return
	}
	close(p.wake)
	p.exited.Wait()
}

// Run calls t.Do(i, w) once for each i in [0,n) and returns when all are done.
// Pieces run in no fixed order. One piece, or a pool of one thread, runs on the
// caller alone, with no locking. Run does not allocate.
func (p *Pool) Run(n int, t Task) {
	if n <= 0 {
		return
	}
	if n == 1 || p.threads == 1 || p.closed.Load() {
		for i := range n {
			t.Do(i, 0)
		}
		return
	}
	p.run.Lock()
	defer p.run.Unlock()
	p.task = t
	p.done.Store(0)
	p.claims.Store(uint64(n) << 32)
	for k := min(int(p.sleepers.Load()), n-1); k > 0; k-- {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	for p.step(0) {
	}
	for spins := 0; p.done.Load() < int64(n); spins++ {
		relax(spins)
	}
	p.task = nil
}

// step claims one piece and runs it; false when there was none.
func (p *Pool) step(worker int) bool {
	for {
		c := p.claims.Load()
		i, n := uint32(c), uint32(c>>32)
		if i >= n {
			return false
		}
		if p.claims.CompareAndSwap(c, c+1) {
			p.task.Do(int(i), worker)
			p.done.Add(1)
			return true
		}
	}
}

// work is the life of a worker: run what can be claimed, spin a little, park.
func (p *Pool) work(worker int) {
	defer p.exited.Done()
	for {
		idle := time.Now()
		for spins := 1; ; spins++ {
			if p.step(worker) {
				spins, idle = 0, time.Now()
				continue
			}
			if p.closed.Load() {
				return
			}
			relax(spins)
			if spins%8 == 0 && time.Since(idle) > spinTime {
				break
			}
		}
		p.sleepers.Add(1)
		// Work published before the line above is seen here; work published
		// after it finds this sleeper and sends a token.
		if c := p.claims.Load(); uint32(c) >= uint32(c>>32) && !p.closed.Load() {
			<-p.wake
		}
		p.sleepers.Add(-1)
	}
}

// relax passes a moment of waiting: cheaply at first, then giving the processor
// to another goroutine from time to time.
func relax(spins int) {
	if spins%64 == 63 {
		runtime.Gosched()
		return
	}
	pause()
}
