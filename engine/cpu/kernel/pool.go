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
// Each worker begins with a share of its own of the pieces that follow one another,
// the same for every task of as many pieces, and then helps the others: what tasks do
// to the parts of an array one after the other is mostly done where the part is in the
// cache.
//
// A Pool may be shared: concurrent calls of Run follow one another. A task must
// not call Run on the pool that runs it.
type Pool struct {
	threads int
	run     sync.Mutex // held by the Run in progress
	task    Task       // written by Run while no piece is claimable

	shares   []share // by worker
	done     atomic.Int64
	sleepers atomic.Int32
	closed   atomic.Bool
	wake     chan struct{}
	exited   sync.WaitGroup
}

// share is the pieces of a worker that nobody has claimed, from low to below high, as
// high<<32 | low. Who swaps low for low+1, or high for high−1, owns the piece that
// drops out; Run can't return before that is done, so the task is safe to read by
// then.
type share struct {
	pieces atomic.Uint64
	_      [56]byte // the rest of a cache line
}

// claim takes the first piece, or the last; false where there is none.
func (s *share) claim(last bool) (i uint32, ok bool) {
	for {
		c := s.pieces.Load()
		low, high := uint32(c), uint32(c>>32)
		if low >= high {
			return 0, false
		}
		i, c2 := low, c+1
		if last {
			i, c2 = high-1, c-1<<32
		}
		if s.pieces.CompareAndSwap(c, c2) {
			return i, true
		}
	}
}

// NewPool starts threads−1 workers; fewer than one thread counts as one. The
// caller owns the pool and must Close it.
func NewPool(threads int) *Pool {
	p := &Pool{threads: max(threads, 1)}
	p.wake = make(chan struct{}, p.threads)
	p.shares = make([]share, p.threads)
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
	for w := range p.shares {
		p.shares[w].pieces.Store(uint64((w+1)*n/p.threads)<<32 | uint64(w*n/p.threads))
	}
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
	for k := range p.threads {
		if i, ok := p.shares[(worker+k)%p.threads].claim(k > 0); ok {
			p.task.Do(int(i), worker)
			p.done.Add(1)
			return true
		}
	}
	return false
}

// claimable reports whether there is a piece that nobody has claimed.
func (p *Pool) claimable() bool {
	for w := range p.shares {
		if c := p.shares[w].pieces.Load(); uint32(c) < uint32(c>>32) {
			return true
		}
	}
	return false
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
		if !p.claimable() && !p.closed.Load() {
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
