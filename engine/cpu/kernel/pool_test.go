package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// countTask counts how often each piece ran, and that no worker ran two at once.
type countTask struct {
	ran  []atomic.Int32
	busy [8]atomic.Int32
	bad  atomic.Bool
}

func (c *countTask) Do(i, worker int) {
	if c.busy[worker].Add(1) != 1 {
		c.bad.Store(true)
	}
	c.ran[i].Add(1)
	c.busy[worker].Add(-1)
}

func TestPoolRunsEveryPieceOnce(t *testing.T) {
	for _, threads := range []int{0, 1, 2, 3, 7} {
		p := NewPool(threads)
		for _, n := range []int{0, 1, 2, 3, 17, 1000} {
			for range 50 {
				c := &countTask{ran: make([]atomic.Int32, n)}
				p.Run(n, c)
				for i := range c.ran {
					if got := c.ran[i].Load(); got != 1 {
						t.Fatalf("%d threads, %d pieces: piece %d ran %d times", threads, n, i, got)
					}
				}
				if c.bad.Load() {
					t.Fatal("a worker ran two pieces at once")
				}
			}
		}
		p.Close()
		p.Close()
		c := &countTask{ran: make([]atomic.Int32, 5)}
		p.Run(5, c)
		for i := range c.ran {
			if c.ran[i].Load() != 1 {
				t.Fatal("a closed pool lost a piece")
			}
		}
	}
}

func TestPoolCanBeShared(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				c := &countTask{ran: make([]atomic.Int32, 9)}
				p.Run(9, c)
				for i := range c.ran {
					if c.ran[i].Load() != 1 {
						t.Error("a piece did not run once")
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestPoolRunDoesNotAllocate(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	c := &countTask{ran: make([]atomic.Int32, 8)}
	if n := testing.AllocsPerRun(100, func() { p.Run(8, c) }); n != 0 {
		t.Errorf("%v allocations a run", n)
	}
}

func TestIdleWorkersPark(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	p.Run(3, &countTask{ran: make([]atomic.Int32, 3)})
	for deadline := time.Now().Add(10 * time.Second); p.sleepers.Load() < 2; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d of 2 workers sleep", p.sleepers.Load())
		}
	}
	c := &countTask{ran: make([]atomic.Int32, 3)}
	p.Run(3, c)
	for i := range c.ran {
		if c.ran[i].Load() != 1 {
			t.Fatal("a pool with sleeping workers lost a piece")
		}
	}
}

type emptyTask struct{}

func (emptyTask) Do(int, int) {}

func BenchmarkPoolHandOver(b *testing.B) {
	p := NewPool(2)
	defer p.Close()
	var task Task = emptyTask{}
	for b.Loop() {
		p.Run(2, task)
	}
}
