package report

import (
	"slices"

	"sgflow/engine/analysis"
	"sgflow/engine/train"
	"sgflow/models"
)

// varied are the settings that do not make another problem: those of
// analysis.Setting, the seed, and what results do not depend on or only measure.
var varied = []string{
	"batch", "lr", "momentum", "epochs", "steps", "seed",
	"threads", "device", "out", "checkpoint-every", "until-every",
	"measure", "measure-every", "measure-log", "flatness-tol", "flatness-iters", "flatness-window",
}

// fixed returns the settings that make a run's problem, in the order of the flags.
// Presets are written out, so that mlp and its spec are one model.
func fixed(c train.Config) []analysis.Field {
	if spec, err := models.Parse(c.Model); err == nil {
		c.Model = spec.String()
	}
	values := train.Values(c)
	var fields []analysis.Field
	for _, name := range train.Names(c) {
		if !slices.Contains(varied, name) {
			fields = append(fields, analysis.Field{Name: name, Value: values[name]})
		}
	}
	return fields
}

// value returns a problem's setting.
func value(fields []analysis.Field, name string) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}
