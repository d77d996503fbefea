package app

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// signalled is added to the number of the signal that has ended the program at once, as a shell does for
// the exit status of a command that a signal has killed.
const signalled = 128

// untilSignal returns a context that ends with the first SIGINT or SIGTERM, whose handling takes up to a
// second. A second one means now: it ends the program. stop gives both signals back to the system.
//
// It calls exit, because the signal's default action does not exist for process 1 of a container.
func untilSignal() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2) // room for both, however close they come
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	stopped := make(chan struct{})
	next := func() (s os.Signal) {
		select {
		case s = <-signals:
		case <-stopped:
		}
		return s
	}
	go func() {
		next()
		cancel()
		if s, ok := next().(syscall.Signal); ok {
			os.Exit(signalled + int(s))
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(stopped)
	}
}
