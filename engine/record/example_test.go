package record_test

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sgflow/engine/record"
)

func Example() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	folder, err := record.Create(dir, false)
	if err != nil {
		fmt.Println(err)
		return
	}
	step := record.Step{Samples: 64, LR: 0.1, Loss: 2.31, Accuracy: record.Some(0.125)}
	step.Noise.Set("grad_norm_sq", 1.5)
	if err := folder.Step(&step, time.Now()); err != nil {
		fmt.Println(err)
	}
	if err := folder.Close(); err != nil {
		fmt.Println(err)
	}
	lines, err := os.ReadFile(filepath.Join(dir, "steps.jsonl"))
	fmt.Printf("%s%v\n", lines, err)
	// Output:
	// {"step":0,"epoch":0,"samples":64,"lr":0.1,"loss":2.31,"accuracy":0.125,"noise":{"grad_norm_sq":1.5}}
	// <nil>
}
