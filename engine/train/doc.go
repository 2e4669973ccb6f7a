// Package train runs a training from its configuration to its run folder.
//
// A [Config] holds what a user can ask for, by the names of the command line.
// [Run] opens the data, parses and compiles the model, makes the run folder
// and steps: draw the batch, of a size that may follow a schedule or the noise
// (sizes), measure it (package measure), add noise to its gradient where that is
// asked for (injector), move the parameters (updater: package optim, through the
// session), average them (averages), log a line (package record). After every epoch
// it evaluates the test set, with the weights and with their averages. [Resume] takes up a run that was interrupted or
// killed and ends with the same bits as one that was not. [Probe] measures
// fixed weights on fixed samples, [Listing] shows what a model compiles to.
//
// A wrong request is a [request.Error], found before any work; every other
// error happened while running, and what was logged before stays readable.
//
// The package prints nothing: what happens is told to a [Reporter]. It starts
// no goroutine of its own.
package train
