package work

import (
	"context"
	"runtime/debug"
	"sync"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Each calls f for 0 ≤ i < n, on at most workers goroutines at a time, and returns when all calls
// have ended. The calls that follow each other on one goroutine have the same worker, 0 ≤ worker <
// workers. After the first error, a panic, or the end of ctx no further call begins and the context
// of the running calls ends; Each returns that error. With one worker the calls are made in order
// on the caller's goroutine.
func Each(ctx context.Context, workers, n int, f func(ctx context.Context, worker, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	next := 0
	take := func() (i int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		i, ok = next, next < n && ctx.Err() == nil
		if ok {
			next++
		}
		return i, ok
	}
	run := func(worker int) {
		for {
			i, ok := take()
			if !ok {
				return
			}
			if err := catchPanic(func() error { return f(ctx, worker, i) }); err != nil {
				cancel(err)
				return
			}
		}
	}
	if workers = min(workers, n); workers <= 1 {
		run(0)
		return context.Cause(ctx)
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { run(w) })
	}
	wg.Wait()
	return context.Cause(ctx)
}

// catchPanic calls f and returns its error, or its panic as an error.
func catchPanic(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicError(r)
		}
	}()
	return f()
}

func panicError(r any) error {
	return status.Errorf(status.Internal, "BUG: job panicked: %v\n%s", r, debug.Stack())
}
