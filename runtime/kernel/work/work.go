// Package work runs jobs that take long, beside the actors: on bounded pools, with results that
// come back as messages.
package work

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Pool runs jobs.
type Pool interface {
	// Go has a job run and returns at once. The actor that handles c handles the job's result as a
	// message, unless it has restarted meanwhile. The job's context ends with ctx and with the
	// actor's incarnation. When the job panics, or finds the queue full, the actor handles the
	// result of failed instead; NewFailed serves actors that treat all such failures alike. A job
	// whose actor has ended before the job's turn is not run.
	Go(c actor.Context, ctx context.Context, job func(context.Context) any, failed func(error) any)
}

// Failed is a message that takes the place of a job's result. Its class is Internal when the job
// panicked, Limited when the queue was full, and Unavailable when the pool is closed.
type Failed struct{ Err error }

// NewFailed returns the error as a Failed.
func NewFailed(err error) any { return Failed{Err: err} }

// String shows the failure.
func (f Failed) String() string { return fmt.Sprintf("job failed: %v", f.Err) }

// Job is one job of one incarnation.
type Job struct {
	inc    ask.Incarnation
	ctx    context.Context
	run    func(context.Context) any
	failed func(error) any
}

// NewJob binds a job to the incarnation that handles c.
func NewJob(c actor.Context, ctx context.Context, run func(context.Context) any, failed func(error) any) Job {
	return Job{inc: ask.IncarnationOf(c), ctx: ctx, run: run, failed: failed}
}

// Run runs the job and posts its result.
func (j Job) Run() {
	if j.inc.Ended() {
		return
	}
	ctx, cancel := context.WithCancel(j.ctx)
	defer cancel()
	defer j.inc.OnEnd(cancel)()
	result := j.runGuarded(ctx)
	j.inc.Post(func() any { return result })
}

// Refuse posts that the job was not run.
func (j Job) Refuse(err error) { j.inc.Post(func() any { return j.failed(err) }) }

func (j Job) runGuarded(ctx context.Context) (result any) {
	defer func() {
		if r := recover(); r != nil {
			result = j.failed(panicError(r))
		}
	}()
	return j.run(ctx)
}

// Workers is a pool of goroutines with a bounded queue. Jobs start in the order they came.
type Workers struct {
	name  string
	limit int

	mu     sync.Mutex
	wake   *sync.Cond
	queue  []Job
	closed bool
	wg     sync.WaitGroup
}

// NewPool starts a pool of workers goroutines; at most queue jobs wait for one. The queue is a
// fuse: actors bound what they start.
func NewPool(name string, workers, queue int) *Workers {
	p := &Workers{name: name, limit: queue}
	p.wake = sync.NewCond(&p.mu)
	for range workers {
		p.wg.Add(1)
		go p.runJobs()
	}
	return p
}

// Go queues a job.
func (p *Workers) Go(c actor.Context, ctx context.Context, run func(context.Context) any, failed func(error) any) {
	j := NewJob(c, ctx, p.withSpan(run), failed)
	p.mu.Lock()
	closed, full := p.closed, len(p.queue) >= p.limit
	if !closed && !full {
		p.queue = append(p.queue, j)
	}
	p.mu.Unlock()
	switch {
	case closed:
		j.Refuse(status.Errorf(status.Unavailable, "run job: pool %s is closed", p.name))
	case full:
		j.Refuse(status.Limitedf(time.Second, "run job: %d jobs wait for pool %s already", p.limit, p.name))
	default:
		p.wake.Signal()
	}
}

// withSpan runs a job under a span of its own when its asker is traced.
func (p *Workers) withSpan(run func(context.Context) any) func(context.Context) any {
	return func(ctx context.Context) any {
		ctx, end := ask.Span(ctx, "job "+p.name)
		defer end(nil)
		return run(ctx)
	}
}

// Waiting is the number of jobs that wait for a worker.
func (p *Workers) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

func (p *Workers) runJobs() {
	defer p.wg.Done()
	for {
		p.mu.Lock()
		for len(p.queue) == 0 && !p.closed {
			p.wake.Wait()
		}
		if p.closed {
			p.mu.Unlock()
			return
		}
		j := p.queue[0]
		p.queue[0] = Job{}
		p.queue = p.queue[1:]
		p.mu.Unlock()
		j.Run()
	}
}

// Close waits for the jobs that run and refuses those that wait.
func (p *Workers) Close() {
	p.mu.Lock()
	p.closed = true
	left := p.queue
	p.queue = nil
	p.mu.Unlock()
	p.wake.Broadcast()
	for _, j := range left {
		j.Refuse(status.Errorf(status.Unavailable, "run job: pool %s is closed", p.name))
	}
	p.wg.Wait()
}

// After has the actor that handles c handle msg, d from now, unless it has restarted meanwhile. The
// message of a stopped timer is not handled, even when it is in the mailbox already.
func After(c actor.Context, clk clock.Clock, d time.Duration, msg any) clock.Timer {
	inc := ask.IncarnationOf(c)
	t := &timer{}
	inner := clk.AfterFunc(d, func() {
		inc.Post(func() any {
			if !t.over.CompareAndSwap(false, true) {
				return nil
			}
			t.forget()
			return msg
		})
	})
	t.inner = inner
	t.forget = inc.OnEnd(func() { inner.Stop() })
	return t
}

// timer is a message to come. Only over is used outside of the actor's turn.
type timer struct {
	inner  clock.Timer
	forget func()
	over   atomic.Bool // handled or stopped
}

// Stop is called on the actor's turn.
func (t *timer) Stop() bool {
	if !t.over.CompareAndSwap(false, true) {
		return false
	}
	t.forget()
	t.inner.Stop()
	return true
}
