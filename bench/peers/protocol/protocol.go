// Package protocol is how the comparison with other systems talks to each of
// them: the Go side of it. A worker is a process that trains with one system on
// a fixed number of threads. It reads requests from standard input and answers
// each on standard output, one JSON object a line:
//
//	{"do":"prepare","model":"mlp","batch":64,"dir":"…","rate":0.01,"steps":50}
//	    → {"losses":[…]}     the losses of so many steps from the initial weights
//	{"do":"time","seconds":0.2}
//	    → {"ms":[…],"steps":12}  milliseconds a step, each over a block of further
//	                             steps, and how many steps they were
//
// or {"error":"…"}. Requests also say what to measure at every step ("measure");
// a worker that was started to measure one thing need not look. It ends at the end
// of its input. The folder dir holds what all
// systems share, as package product's export writes it: the training images
// (images.u8, N×784 bytes) and labels (labels.u8, N bytes), the initial weights
// (<model>.safetensors) and the samples of each step (order-<batch>.i32, little
// endian, steps×batch). Steps beyond those in the file begin with the first again.
package protocol

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Request is a line that a worker reads.
type Request struct {
	Do      string  `json:"do"` // prepare or time
	Model   string  `json:"model"`
	Batch   int     `json:"batch"`
	Dir     string  `json:"dir"`
	Rate    float64 `json:"rate"`
	Steps   int     `json:"steps"`
	Seconds float64 `json:"seconds"`
}

// Answer is a line that a worker writes.
type Answer struct {
	Losses []float64 `json:"losses,omitempty"`
	MS     []float64 `json:"ms,omitempty"`
	Steps  int       `json:"steps,omitempty"`
	Error  string    `json:"error,omitempty"`
}

// Steps takes training steps and returns the loss of each batch before its
// update.
type Steps interface {
	Step() (loss float64, err error)
	Close()
}

// strider is Steps that takes so many at once, and returns the loss of the last.
type strider interface{ Stride() int }

// blockTime is how long a block of steps takes at least, so that the reading of
// the clock costs nothing.
const blockTime = 10 * time.Millisecond

// Serve answers requests until the end of in. prepare makes what takes steps as
// a request asks.
func Serve(in io.Reader, out io.Writer, prepare func(Request) (Steps, error)) error {
	var current Steps
	defer func() {
		if current != nil {
			current.Close()
		}
	}()
	answers := json.NewEncoder(out)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var r Request
		var a Answer
		err := json.Unmarshal(lines.Bytes(), &r)
		switch {
		case err != nil:
		case r.Do == "prepare":
			if current != nil {
				current.Close()
				current = nil
			}
			if current, err = prepare(r); err == nil {
				a.Losses, err = losses(current, r.Steps)
			}
		case r.Do == "time" && current != nil:
			a.MS, a.Steps, err = times(current, time.Duration(r.Seconds*float64(time.Second)))
		default:
			err = fmt.Errorf("cannot do %q now", r.Do)
		}
		if err != nil {
			a = Answer{Error: err.Error()}
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

func losses(s Steps, n int) ([]float64, error) {
	list := make([]float64, n)
	for i := range list {
		var err error
		if list[i], err = s.Step(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func times(s Steps, d time.Duration) (ms []float64, steps int, err error) {
	stride := 1
	if t, ok := s.(strider); ok {
		stride = t.Stride()
	}
	if stride > 1 {
		if _, err := s.Step(); err != nil { // some of it may have been done before it was asked for
			return nil, 0, err
		}
	}
	for start := time.Now(); len(ms) == 0 || time.Since(start) < d; {
		from, n := time.Now(), 0
		for ; n == 0 || time.Since(from) < blockTime; n += stride {
			if _, err := s.Step(); err != nil {
				return nil, 0, err
			}
		}
		ms = append(ms, float64(time.Since(from))/1e6/float64(n))
		steps += n
	}
	return ms, steps, nil
}
