package work

import (
	"context"
	"runtime/debug"
	"sync"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Each calls f for 0 ≤ i < n, on at most workers goroutines at a time, and returns when all of
// these have ended. worker, below workers, is the same for calls that follow each other on one
// goroutine. After the first error, a panic, or the end of ctx no further call begins, and the
// context of those under way ends; Each returns that error. With one worker the calls are made in
// order on the caller's goroutine.
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
			if err := caught(func() error { return f(ctx, worker, i) }); err != nil {
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

// caught returns a panic of f as an error.
func caught(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicked(r)
		}
	}()
	return f()
}

func panicked(r any) error {
	return status.Errorf(status.Internal, "BUG: job panicked: %v\n%s", r, debug.Stack())
}
