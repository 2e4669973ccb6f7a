package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"

	"sgflow/engine/nearest"
	"sgflow/engine/request"
	"sgflow/engine/train"
)

// configured is a command that takes its settings from files too.
type configured interface {
	// defaults returns a pointer to the configuration of which nothing is
	// asked.
	defaults() any
}

// setDefaults gives the flags of commands the defaults of their
// configurations. Zero values need none.
func setDefaults(k *kong.Kong) error {
	for _, command := range k.Model.Children {
		c, ok := command.Target.Addr().Interface().(configured)
		if !ok {
			continue
		}
		values := train.Values(c.defaults())
		for _, flag := range command.Flags {
			switch v := values[flag.Name]; v {
			case "", "0", "false":
			default:
				flag.Default, flag.HasDefault = v, true
			}
		}
	}
	return nil
}

// settings are values for flags that the command line leaves open.
type settings map[string]string

// Validate makes settings a kong.Resolver.
func (s settings) Validate(*kong.Application) error { return nil }

// Resolve returns the value of a flag, nil where there is none.
func (s settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if v, ok := s[flag.Name]; ok {
		return v, nil
	}
	return nil, nil
}

// configFile is a flag that names a YAML file of settings.
type configFile string

// BeforeResolve reads the file.
func (configFile) BeforeResolve(ctx *kong.Context, trace *kong.Path) error {
	path := string(ctx.FlagValue(trace.Flag).(configFile))
	config := ctx.Selected().Target.Addr().Interface().(configured).defaults()
	if err := readConfig(path, config); err != nil {
		return err
	}
	ctx.AddResolver(settings(train.Values(config)))
	return nil
}

// readConfig reads the settings in a YAML file into config. An error gives the
// position, and for an unknown key the nearest one.
func readConfig(path string, config any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	var keys map[string]any
	if err := yaml.Unmarshal(text, &keys); err != nil {
		return explainYAML(path, err, config)
	}
	for name, value := range keys {
		if value == nil {
			return fmt.Errorf("%s: %s has no value: give one or remove the line", path, name)
		}
	}
	if len(keys) == 0 {
		return nil // Unmarshal would clear the defaults
	}
	if err := yaml.UnmarshalWithOptions(text, config, yaml.Strict()); err != nil {
		return explainYAML(path, err, config)
	}
	// A fraction where a whole number belongs is cut without an error.
	values := train.Values(config)
	for name, value := range keys {
		x, ok := value.(float64)
		if got, err := strconv.ParseFloat(values[name], 64); ok && err == nil && got != x {
			return fmt.Errorf("%s: %s cannot be %v", path, name, x)
		}
	}
	return nil
}

// explainYAML makes one line of an error in a configuration file.
func explainYAML(path string, err error, config any) error {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	token := at.GetToken()
	what := at.GetMessage()
	var unknown *yaml.UnknownFieldError
	var mistyped *yaml.TypeError
	switch {
	case errors.As(err, &unknown):
		what = fmt.Sprintf("unknown key %q: did you mean %s?", token.Value, nearest.Name(token.Value, train.Names(config)))
	case errors.As(err, &mistyped) && mistyped.DstType != nil:
		what = fmt.Sprintf("%q is no %s", token.Value, mistyped.DstType)
	}
	return fmt.Errorf("%s:%d:%d: %s", path, token.Position.Line, token.Position.Column, what)
}

// resumeDir is a flag that names the folder of a run to go on with, whose
// settings are those of the run.
type resumeDir string

// BeforeResolve reads the run's settings.
func (resumeDir) BeforeResolve(ctx *kong.Context, trace *kong.Path) error {
	config, err := train.ReadConfig(string(ctx.FlagValue(trace.Flag).(resumeDir)))
	if err != nil {
		return err
	}
	ctx.AddResolver(settings(train.Values(&config)))
	return nil
}

// explain adds to an error of the parser what it leaves out: the nearest flag
// or command, however far, and where help is.
func explain(err error) error {
	var request *request.Error
	if errors.As(err, &request) {
		return request
	}
	var parse *kong.ParseError
	if !errors.As(err, &parse) || parse.Context == nil {
		return err
	}
	node := parse.Context.Model.Node
	if selected := parse.Context.Selected(); selected != nil {
		node = selected
	}
	text := err.Error()
	if !strings.Contains(text, "did you mean") {
		var near string
		if word, ok := strings.CutPrefix(text, "unknown flag "); ok {
			var flags []string
			for _, flag := range parse.Context.Flags() {
				flags = append(flags, "--"+flag.Name)
			}
			near = nearest.Name(word, flags)
		} else if word, ok := strings.CutPrefix(text, "unexpected argument "); ok {
			var commands []string
			for _, child := range node.Children {
				commands = append(commands, child.Name)
			}
			near = nearest.Name(word, commands)
		}
		if near != "" {
			text += fmt.Sprintf(", did you mean %q?", near)
		}
	}
	return fmt.Errorf("%s (see %s --help)", text, node.FullPath())
}
