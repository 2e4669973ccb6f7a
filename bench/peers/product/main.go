// Command product is sgflow's worker in the comparison with other systems (see
// package protocol), and writes what all of them share:
//
//	product export DIR STEPS BATCH...
//	product serve THREADS MEASURE [DEVICE STRIDE]
//
// With a device, an answer's loss is that of the last of STRIDE steps.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"sgflow/bench"
	"sgflow/bench/peers/protocol"
	"sgflow/data"
	"sgflow/engine/record"
	"sgflow/models"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "product:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("usage: product export DIR STEPS BATCH... | product serve THREADS MEASURE [DEVICE STRIDE]")
	}
	set, err := data.Open("mnist")
	if err != nil {
		return err
	}
	switch args[0] {
	case "export":
		numbers := make([]int, len(args)-2)
		for i, text := range args[2:] {
			if numbers[i], err = strconv.Atoi(text); err != nil {
				return err
			}
		}
		return export(set, args[1], numbers[0], numbers[1:])
	case "serve":
		threads, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		c, stride := bench.Case{Threads: threads, Measure: args[2]}, 1
		if len(args) == 5 {
			c.Device = args[3]
			if stride, err = strconv.Atoi(args[4]); err != nil {
				return err
			}
		}
		return serve(set, c, stride)
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// serve answers requests by steps of c, so many at once.
func serve(set *data.Set, c bench.Case, stride int) error {
	return protocol.Serve(os.Stdin, os.Stdout, func(r protocol.Request) (protocol.Steps, error) {
		if r.Rate != bench.LearningRate {
			return nil, fmt.Errorf("the rate is %g", bench.LearningRate)
		}
		c.Model, c.Batch = r.Model, r.Batch
		t, err := bench.NewTrainer(set, c)
		if err != nil {
			return nil, err
		}
		if stride%t.Stride() != 0 {
			t.Close()
			return nil, fmt.Errorf("this trainer takes %d steps at once, not %d", t.Stride(), stride)
		}
		return &strided{t, stride}, nil
	})
}

// strided takes stride steps at once.
type strided struct {
	bench.Trainer
	stride int
}

func (s *strided) Stride() int { return s.stride }

func (s *strided) Step() (loss float64, err error) {
	for taken := 0; taken < s.stride && err == nil; taken += s.Trainer.Stride() {
		loss, err = s.Trainer.Step()
	}
	return loss, err
}

// export writes the data, the initial weights of the presets and the samples of
// the first steps at each batch size; what is left at the end of an epoch is left out,
// as by trainers.
func export(set *data.Set, dir string, steps int, batches []int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	labels := make([]byte, set.Train.N)
	for i, l := range set.Train.Labels {
		labels[i] = byte(l)
	}
	files := map[string][]byte{"images.u8": set.Train.Pixels, "labels.u8": labels}
	for _, batch := range batches {
		sampler, err := data.NewSampler(data.Shuffle, set.Train.N, batch, bench.Seed)
		if err != nil {
			return err
		}
		var text []byte
		for t := 0; len(text) < steps*batch*4; t++ {
			indices := sampler.Batch(t, nil)
			if len(indices) < batch {
				continue
			}
			for _, i := range indices {
				text = binary.LittleEndian.AppendUint32(text, uint32(i))
			}
		}
		files[protocol.OrderName(batch)] = text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	for _, model := range []string{"mlp", "cnn"} {
		if err := exportWeights(set, model, filepath.Join(dir, model+".safetensors")); err != nil {
			return err
		}
	}
	return nil
}

func exportWeights(set *data.Set, model, path string) error {
	spec, err := models.Parse(model)
	if err != nil {
		return err
	}
	weights, err := bench.InitialWeights(set, spec)
	if err != nil {
		return err
	}
	var tensors []record.Tensor
	for _, w := range weights {
		values := make([]float32, len(w.Data))
		for i, v := range w.Data {
			values[i] = float32(v)
		}
		tensors = append(tensors, record.NewTensor(w.Name, w.Shape, values))
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := record.WriteSafetensors(f, tensors, nil); err != nil {
		return err
	}
	return f.Close()
}
