package main

import (
	"sgflow/engine/record"
	"sgflow/engine/train"
)

// trainCommand is `sgflow train`.
type trainCommand struct {
	Config train.Config `embed:""`

	File        configFile `name:"config" placeholder:"FILE" xor:"settings" help:"Take settings from a YAML file with the flags' names as keys; flags win."`
	Resume      resumeDir  `placeholder:"DIR" xor:"settings" help:"Go on with the run in this folder from its last checkpoint."`
	Force       bool       `help:"Replace the run in the folder --out."`
	DumpProgram bool       `help:"Print what the model compiles to, and do nothing else."`
}

// Help returns the text below the summary in --help.
func (trainCommand) Help() string {
	return `The run folder gets run.json (settings and summary), steps.jsonl (a line of
measurements a step), epochs.jsonl, TensorBoard events and checkpoints.

Examples:

  sgflow train
  sgflow train --model cnn --lr 0.05 --momentum 0.9 --epochs 3 --out runs/cnn
  sgflow train --model mlp:784-200-200-10,act=tanh --limit 1000 --loss mse --sampling full --steps 500
  sgflow train --optimizer adamw --lr 0.001 --weight-decay 0.01 --ema 0.999
  sgflow train --optimizer sam --momentum 0.9 --swa 3e
  sgflow train --batch 512 --noise sigma:64 --batch-schedule step:2e:2
  sgflow train --resume runs/cnn`
}

func (trainCommand) defaults() any {
	c := train.Default()
	return &c
}

// Run runs the command.
func (c *trainCommand) Run(a *app) error {
	if c.DumpProgram {
		listing, err := train.Listing(c.Config)
		if err != nil {
			return err
		}
		if a.json {
			return a.print(map[string]string{"program": listing})
		}
		return a.write(listing)
	}
	r := newReport(a.stderr)
	summary, err := c.train(a, r)
	r.end()
	if err != nil {
		return err
	}
	if a.json {
		return a.print(summary)
	}
	return a.write(r.table(summary))
}

// train runs or resumes.
func (c *trainCommand) train(a *app, r *report) (*record.Summary, error) {
	if c.Resume != "" {
		return train.Resume(a.ctx, string(c.Resume), c.Config, r)
	}
	return train.Run(a.ctx, c.Config, c.Force, r)
}
