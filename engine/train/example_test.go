package train_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"sgflow/engine/record"
	"sgflow/engine/train"
)

// quiet is a Reporter that shows only the ends of epochs.
type quiet struct{}

func (quiet) Started(*train.Info)    {}
func (quiet) Stepped(*record.Step)   {}
func (quiet) Warned(warning string)  { log.Print(warning) }
func (quiet) Measured([]record.Cost) {}
func (quiet) EpochEnded(e *record.Epoch) {
	fmt.Println("epoch", e.Epoch, "ended with step", e.Step)
}

func ExampleRun() {
	dir, err := os.MkdirTemp("", "sgflow")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	c := train.Default()
	c.Model, c.Limit, c.Epochs = "mlp:784-16-10", 640, 2
	c.Out = filepath.Join(dir, "run")
	summary, err := train.Run(context.Background(), c, false, quiet{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(summary.Steps, "steps,", summary.Params, "parameters")
	// Output:
	// epoch 0 ended with step 9
	// epoch 1 ended with step 19
	// 20 steps, 12730 parameters
}
