//go:build gpu && cgo && linux && amd64

package driver

// #include "extra.h"
import "C"

import (
	"errors"
	"runtime"
)

// Graph is captured work, launched as one.
type Graph struct {
	context    *Context
	executable C.CUgraphExec
	nodes      int
}

// Capture calls f and returns what it queued on s as a graph, instead of running
// it. f may queue on other streams that wait for an event of s, if s waits for an
// event of theirs before f returns; it must not wait for the device. The arguments
// of kernels are fixed; memory they point to is read when the graph runs.
func (s *Stream) Capture(what string, f func() error) (*Graph, error) {
	c := s.context
	// A capture ends on the thread that began it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := c.code("cuStreamBeginCapture", what, func() int { return int(C.extra_begin_capture(s.handle())) }); err != nil {
		return nil, err
	}
	s.capture = true
	failed := f()
	s.capture = false
	var captured C.CUgraph
	err := c.code("cuStreamEndCapture", what, func() int { return int(C.extra_end_capture(s.handle(), &captured)) })
	if failed != nil {
		if err == nil {
			err = c.code("cuGraphDestroy", what, func() int { return int(C.extra_discard(captured)) })
		}
		return nil, errors.Join(failed, err)
	}
	if err != nil {
		return nil, err
	}
	g := &Graph{context: c}
	var nodes C.size_t
	err = c.code("cuGraphInstantiateWithFlags", what, func() int { return int(C.extra_instantiate(captured, &g.executable, &nodes)) })
	g.nodes = int(nodes)
	return g, err
}

// Nodes is how many launches, copies and fills the graph has.
func (g *Graph) Nodes() int { return g.nodes }

// LaunchGraph queues the graph. what names it in errors.
func (s *Stream) LaunchGraph(what string, g *Graph) error {
	s.counts.Graphs++
	err := s.context.code("cuGraphLaunch", what, func() int { return int(C.extra_launch_graph(g.executable, s.handle())) })
	if err == nil && s.context.sync {
		err = s.Synchronize(what)
	}
	return err
}

// Close gives the graph back. It must not be running.
func (g *Graph) Close() error {
	return g.context.code("cuGraphExecDestroy", "closing a graph", func() int { return int(C.extra_destroy_graph(g.executable)) })
}
