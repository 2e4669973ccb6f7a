package main

import (
	"fmt"

	"sgflow/engine/train"
)

// devicesCommand is `sgflow devices`.
type devicesCommand struct{}

// Help returns the text below the summary in --help.
func (devicesCommand) Help() string { return "Example:\n\n  sgflow devices --json" }

// Run runs the command.
func (devicesCommand) Run(a *app) error {
	cpu, err := train.CPU()
	if err != nil {
		return err
	}
	if a.json {
		return a.print(cpu)
	}
	return a.write(fmt.Sprintf("%s, %d cores\ncuda: none: %s\n", cpu, cpu.Cores, train.NoCUDA))
}
