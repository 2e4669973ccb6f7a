//go:build !unix

package main

// keepFileLimit does nothing: these systems have no such limit.
func keepFileLimit() {}
