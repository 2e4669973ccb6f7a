package train

import (
	"fmt"

	"sgflow/engine/problem"
	"sgflow/engine/request"
)

// The values of the device setting that leave it open, or mean the processor.
const (
	deviceAuto = "auto"
	deviceCPU  = "cpu"
)

// hostOnly returns what c asks for that only the processor computes, as a flag and
// its value; the flag is "" where there is nothing.
func (c *Config) hostOnly() (flag, value string) {
	if c.optimizer().IsAdam() {
		return "optimizer", c.Optimizer
	}
	return "", ""
}

// stepwise reports whether the host has a part in every step that c asks for, so that
// none can be taken ahead of what is logged.
func (c *Config) stepwise() bool {
	return c.Noise != "" || c.EMA > 0 || c.SWA != "" || c.batchesVary() || !c.optimizer().IsSGD()
}

// openProblem opens the problem of c on a device that computes what c asks for:
// auto takes the processor where no other does.
func (c *Config) openProblem(with ...problem.Option) (*problem.Opened, error) {
	flag, value := c.hostOnly()
	q := c.Problem
	if flag != "" && q.Device == deviceAuto {
		q.Device = deviceCPU
	}
	p, err := q.Open(with...)
	switch {
	case err != nil || flag == "":
		return p, err
	case p.Device.CUDA != nil:
		return nil, request.BadValue(flag, value, "it computes on the processor only: use --device cpu")
	case c.Device == deviceAuto:
		p.Why = fmt.Sprintf("auto: --%s %s computes on the processor only", flag, value)
	}
	return p, nil
}
