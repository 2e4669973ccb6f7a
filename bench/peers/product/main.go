// Command product is sgflow's worker in the comparison with other systems (see
// package protocol), and writes what all of them share:
//
//	product export DIR STEPS BATCH...
//	product serve THREADS MEASURE
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
		return fmt.Errorf("usage: product export DIR STEPS BATCH... | product serve THREADS MEASURE")
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
		return serve(set, threads, args[2])
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// serve answers requests.
func serve(set *data.Set, threads int, what string) error {
	return protocol.Serve(os.Stdin, os.Stdout, func(r protocol.Request) (protocol.Steps, error) {
		if r.Rate != bench.LearningRate {
			return nil, fmt.Errorf("the rate is %g", bench.LearningRate)
		}
		return bench.NewTrainer(set, bench.Case{Model: r.Model, Batch: r.Batch, Threads: threads, Measure: what})
	})
}

// export writes the data, the initial weights of the presets and the samples of
// the first steps at each batch size.
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
		for t := range steps {
			for _, i := range sampler.Batch(t, nil) {
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
