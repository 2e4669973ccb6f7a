package main

import (
	"fmt"

	"sgflow/engine/train"
)

// versionCommand is `sgflow version`.
type versionCommand struct{}

// Help returns the text below the summary in --help.
func (versionCommand) Help() string { return "Example:\n\n  sgflow version --json" }

// Run runs the command.
func (versionCommand) Run(a *app) error {
	v := train.Versions()
	if a.json {
		return a.print(v)
	}
	text := fmt.Sprintf("sgflow %s, %s, %s", v["sgflow"], v["go"], v["platform"])
	if revision := v["revision"]; revision != "" {
		text += ", revision " + revision
	}
	return a.write(text + "\n")
}
