package reproduce

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"sgflow/engine/request"
)

func TestLabsOfDifferentSeedsShareNone(t *testing.T) {
	seen := map[uint64]bool{}
	for base := range uint64(3) {
		l, err := NewLab(Config{Seed: base, Seeds: 4})
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Seeds) != 4 || l.Threads < 1 {
			t.Errorf("seeds %v, %d threads", l.Seeds, l.Threads)
		}
		for _, s := range l.Seeds {
			if seen[s] {
				t.Errorf("seed %d belongs to two labs", s)
			}
			seen[s] = true
		}
	}
	for _, c := range []Config{{Seeds: 1}, {Seeds: -3}, {Threads: -1}} {
		var wrong *request.Error
		if _, err := NewLab(c); !errors.As(err, &wrong) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestMapKeepsTheOrderAndSharesTheThreads(t *testing.T) {
	l := smallLab(t, 6)
	for _, c := range []struct{ n, threads int }{{0, 6}, {1, 6}, {3, 2}, {20, 1}} {
		var busy, most atomic.Int32
		squares, err := Map(context.Background(), l, c.n, func(_ context.Context, part *Lab, i int) (int, error) {
			if now := busy.Add(1); now > most.Load() {
				most.Store(now)
			}
			defer busy.Add(-1)
			if part.Threads != c.threads {
				t.Errorf("%d parts have %d threads each, want %d", c.n, part.Threads, c.threads)
			}
			return i * i, nil
		})
		if err != nil || len(squares) != c.n {
			t.Fatalf("%v, %v", squares, err)
		}
		for i, x := range squares {
			if x != i*i {
				t.Errorf("result %d is %d", i, x)
			}
		}
		if most.Load() > 6 {
			t.Errorf("%d at once", most.Load())
		}
	}
}

func TestMapEndsWithTheFirstErrorAndTheContext(t *testing.T) {
	l := smallLab(t, 2)
	broken := errors.New("broken")
	var calls atomic.Int32
	_, err := Map(context.Background(), l, 1000, func(ctx context.Context, _ *Lab, i int) (int, error) {
		calls.Add(1)
		if i == 0 {
			return 0, broken
		}
		<-ctx.Done()
		return 0, ctx.Err()
	})
	if !errors.Is(err, broken) || calls.Load() > 3 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := EachSeed(ctx, l, func(context.Context, *Lab, uint64) (int, error) { return 0, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestEachSeedGoesThroughTheSeeds(t *testing.T) {
	l := smallLab(t, 2)
	got, err := EachSeed(context.Background(), l, func(_ context.Context, _ *Lab, seed uint64) (uint64, error) { return seed, nil })
	if err != nil || !slices.Equal(got, l.Seeds) {
		t.Errorf("%v, %v", got, err)
	}
}
