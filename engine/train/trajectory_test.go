package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/trajectory"
)

// openPath opens the trajectory of a run until the test ends.
func openPath(t *testing.T, dir string) *trajectory.Trajectory {
	t.Helper()
	path, err := trajectory.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { path.Close() })
	return path
}

func TestTrajectoryHasTheWeightsOfEveryKthStepAndTheLast(t *testing.T) {
	c := smallConfig(t)
	c.Schedule, c.Trajectory = "step:5:0.5", "3"
	rates := []float64{}
	w := &watcher{onStep: func(s *record.Step) { rates = append(rates, s.LR) }}
	if _, err := Run(context.Background(), c, false, w); err != nil {
		t.Fatal(err)
	}
	path := openPath(t, c.Out)
	want := []int{0, 3, 6, 9, 12, 15, 18, 20}
	if len(path.Points) != len(want) {
		t.Fatalf("points %v, want steps %v", path.Points, want)
	}
	for i, p := range path.Points {
		sum := 0.0
		for _, lr := range rates[:want[i]] {
			sum += lr
		}
		if p.Step != want[i] || math.Abs(p.Time-sum) > 1e-12 {
			t.Errorf("point %d is %+v, want step %d at time %v", i, p, want[i], sum)
		}
	}
	// The last point is the final weights, in the order of the parameters.
	tensors, err := record.LoadWeights[float32](record.WeightsPath(c.Out), path.Params)
	if err != nil {
		t.Fatal(err)
	}
	last := make([]float64, path.Size())
	if err := path.Read(last, len(path.Points)-1, 0); err != nil {
		t.Fatal(err)
	}
	at := 0
	for k, tensor := range tensors {
		for i, x := range tensor {
			if last[at] != float64(x) {
				t.Fatalf("%s[%d] is %v in the trajectory, %v in the weights", path.Params[k].Name, i, last[at], x)
			}
			at++
		}
	}
	// Keeping points changes nothing else.
	plain := smallConfig(t)
	plain.Schedule = c.Schedule
	mustRun(t, plain)
	wantSameOutcome(t, c.Out, plain.Out)
}

func TestKilledAndResumedRunEndsWithTheSameTrajectory(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"full":      func(c *Config) { c.Trajectory = "log" },
		"projected": func(c *Config) { c.Trajectory, c.TrajectoryDim, c.DType = "3", 10, problem.Float64 },
	} {
		t.Run(name, func(t *testing.T) {
			c := smallConfig(t)
			change(&c)
			c.CheckpointEvery = 1e-9 // after every step
			var copies []string
			w := &watcher{onStep: func(s *record.Step) {
				switch s.Step {
				case 0, 8, 10, 19:
					copies = append(copies, crashCopy(t, c.Out))
				}
			}}
			if _, err := Run(context.Background(), c, false, w); err != nil {
				t.Fatal(err)
			}
			want := readFile(t, filepath.Join(c.Out, "trajectory.bin"))
			for _, dir := range copies {
				stored, err := ReadConfig(dir)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := Resume(context.Background(), dir, stored, &watcher{}); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(readFile(t, filepath.Join(dir, "trajectory.bin")), want) {
					t.Error("the trajectory differs")
				}
			}
		})
	}
}

func TestPointsAfterTheCheckpointAreReplaced(t *testing.T) {
	c := smallConfig(t) // its only checkpoint before the end is at step 0
	c.Trajectory = "2"
	var killed string
	w := &watcher{onStep: func(s *record.Step) {
		if s.Step == 13 {
			killed = crashCopy(t, c.Out)
		}
	}}
	if _, err := Run(context.Background(), c, false, w); err != nil {
		t.Fatal(err)
	}
	stored, err := ReadConfig(killed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(context.Background(), killed, stored, &watcher{}); err != nil {
		t.Fatal(err)
	}
	if a, b := readFile(t, filepath.Join(killed, "trajectory.bin")), readFile(t, filepath.Join(c.Out, "trajectory.bin")); !bytes.Equal(a, b) {
		t.Error("the trajectory differs")
	}
}

func TestForceReplacesTheTrajectoryToo(t *testing.T) {
	c := smallConfig(t)
	c.Trajectory = "5"
	mustRun(t, c)
	c.Trajectory = ""
	if _, err := Run(context.Background(), c, true, &watcher{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.Out, "trajectory.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old trajectory is still there: %v", err)
	}
}

func TestWrongTrajectoriesAreRequestErrors(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"--trajectory often":  func(c *Config) { c.Trajectory = "often" },
		"--trajectory 0":      func(c *Config) { c.Trajectory = "0" },
		"--trajectory-dim -1": func(c *Config) { c.Trajectory, c.TrajectoryDim = "log", -1 },
		"give --trajectory":   func(c *Config) { c.TrajectoryDim = 8 },
		"parameters":          func(c *Config) { c.Trajectory, c.TrajectoryDim = "log", 1_000_000 },
	} {
		c := smallConfig(t)
		change(&c)
		_, err := Run(context.Background(), c, false, &watcher{})
		wantRequestError(t, err)
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q, want one with %q", err, want)
		}
		if _, err := os.Stat(c.Out); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the folder was made", want)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
