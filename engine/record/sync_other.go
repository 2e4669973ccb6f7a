//go:build !unix

package record

// syncDir does nothing: these systems have no call that makes the names in a
// folder durable.
func syncDir(string) error { return nil }
