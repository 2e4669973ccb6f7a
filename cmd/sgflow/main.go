// Command sgflow trains small networks with mini-batch SGD and measures, at
// every step, the noise in the gradient and the flatness of the loss.
//
//	sgflow train --model cnn --lr 0.05 --momentum 0.9 --epochs 3
//	sgflow train --help
//
// It only turns flags into calls: package train has the work. Exit codes: 0
// done; 1 failed while running; 2 the request is wrong; 130 interrupted, state
// saved.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	keepFileLimit()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the work in good order; then the default is back,
	// so that a second one kills.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
