package train

import (
	"sgflow/engine/problem"
	"sgflow/engine/record"
)

// Reporter is told what a run does, on the goroutine that runs it. What it is
// handed stays the run's: it keeps no pointer.
type Reporter interface {
	// Started is called once, before the first step.
	Started(*Info)
	// Stepped is called after every step.
	Stepped(*record.Step)
	// EpochEnded is called after the evaluation that ends an epoch.
	EpochEnded(*record.Epoch)
	// Measured is told at the end what each quantity cost.
	Measured([]record.Cost)
	// Warned is told what is amiss but no reason to stop.
	Warned(text string)
}

// Info describes a run that starts.
type Info struct {
	Config  *Config
	Classes int
	Train   int // samples
	Test    int // samples
	Params  int
	Spec    string // the model, presets written out
	// Layers holds a line for each layer: what it is and the shape it gives.
	Layers []string
	Device problem.Device
	// Why says why it is that device, Threads how many of its cores are used.
	Why     string
	Threads int
	Out     string // the run folder
	// First is the number of the first step: not 0 in a resumed run.
	First         int
	Steps         int // in the whole run
	Epochs        int // in the whole run, the last perhaps in part
	StepsPerEpoch int // with batches of --batch samples

	// Where sizes of batches adapt, Steps or Epochs is what it would be with batches
	// of --batch samples.
}
