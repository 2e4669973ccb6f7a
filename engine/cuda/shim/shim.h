// What shim.go calls in shim.c.
#pragma once

// shim_load opens the library at path, points the slots to its functions and
// calls its cuInit, whose result goes to *initialised. It returns NULL or why the
// library could not be opened. It may be called once.
const char *shim_load(const char *path, int *initialised);

// shim_lacks returns the name of the i-th function that the loaded library lacks,
// or NULL.
const char *shim_lacks(int i);

// shim_called_absent returns the name of the absent function that was called
// last, or NULL.
const char *shim_called_absent(void);
