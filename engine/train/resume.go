package train

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"sgflow/engine/record"
	"sgflow/engine/request"
)

// ReadConfig returns the configuration of the run in the folder dir.
func ReadConfig(dir string) (Config, error) {
	c, _, err := readRun(dir)
	return c, err
}

func readRun(dir string) (Config, *record.Run, error) {
	c := Default()
	run, err := record.ReadRun(dir, &c)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil, request.Wrap(fmt.Errorf("%s holds no run that could be resumed: it has no run.json", dir))
	}
	return c, run, request.Wrap(err)
}

// free names the settings that may change when a run is resumed, since its
// results do not depend on them.
var free = []string{"threads", "checkpoint-every"}

// conflict returns an error where c asks for another run than the one that
// stored is the configuration of.
func conflict(stored, c *Config) error {
	was, is := Values(stored), Values(c)
	for _, name := range Names(c) {
		if was[name] != is[name] && !slices.Contains(free, name) {
			return request.Wrap(fmt.Errorf("--%s %s: the run was started with %s, and a resumed run keeps its settings: leave it out, or start a new run",
				name, is[name], was[name]))
		}
	}
	return nil
}
