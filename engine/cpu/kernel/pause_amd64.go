package kernel

// pause tells the processor that the caller is waiting in a loop.
func pause() { spinPause() }
