// Package frontend is a query-frontend for tests of what asks it: it answers as the test says.
package frontend

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
)

// Frontend answers questions by functions of the test, each on a goroutine of its own. It is the
// ask.Asker and the ask.Directory of whoever asks it.
type Frontend struct {
	*system.System

	// Query answers a query; nil answers that nothing is found. ctx ends when the asker has gone.
	// An error is the answer too.
	Query func(ctx context.Context, q *jobs.Query) (*jobs.Answer, error)
	// List and Cancel answer questions about running queries; nil: there are none.
	List   func(*jobs.ListQueries) *jobs.Queries
	Cancel func(*jobs.CancelQuery) error
	// Take answers those who take the chunks of a trace; it must not be nil then.
	Take func(*jobs.TakeChunk) (*jobs.TraceChunk, error)

	mu     sync.Mutex
	asked  []*jobs.Query
	askers map[*jobs.Query]ask.Ref
}

// New starts a front-end that stops with the test.
func New(t testing.TB) *Frontend {
	t.Helper()
	f := &Frontend{System: system.New(system.Options{}), askers: map[*jobs.Query]ask.Ref{}}
	kind := supervise.Kind{Name: kinds.QueryFrontend, Key: supervise.PerNode, Mailbox: mailbox.Limit{Messages: 1024},
		Policy: supervise.Policy{Backoff: supervise.Exponential(time.Millisecond, time.Second), Restarts: 3,
			Within: time.Minute, Then: supervise.Escalate},
		New: func(string) actor.Actor { return actor.ReceiveFunc(f.receive) }}
	require.NoError(t, f.Start([]supervise.Kind{kind}, func(supervise.Kind) []string { return []string{""} }))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = f.Drain(ctx)
	})
	return f
}

// Asked are the queries that came, in their order.
func (f *Frontend) Asked() []*jobs.Query {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*jobs.Query(nil), f.asked...)
}

// Tell sends the asker of a query what is known so far, if it wants that.
func (f *Frontend) Tell(q *jobs.Query, known *jobs.Answer) {
	f.mu.Lock()
	to := f.askers[q]
	f.mu.Unlock()
	if q.WantsProgress || q.Chunks != nil {
		f.Actors().Root.Send(to, ask.Progress{Known: known})
	}
}

func (f *Frontend) receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *jobs.Query:
		f.mu.Lock()
		f.asked, f.askers[m] = append(f.asked, m), c.Sender()
		f.mu.Unlock()
		to, ctx, sys := c.Sender(), ask.Context(c), c.ActorSystem()
		go func() {
			a, err := &jobs.Answer{Complete: true}, error(nil)
			if f.Query != nil {
				a, err = f.Query(ctx, m)
			}
			if err != nil {
				sys.Root.Send(to, err)
			} else {
				sys.Root.Send(to, a)
			}
		}()
	case *jobs.ListQueries:
		if f.List == nil {
			c.Respond(&jobs.Queries{})
			return
		}
		c.Respond(f.List(m))
	case *jobs.CancelQuery:
		if f.Cancel != nil {
			if err := f.Cancel(m); err != nil {
				c.Respond(err)
				return
			}
		}
		c.Respond(&jobs.QueryCanceled{})
	case *jobs.TakeChunk:
		chunk, err := f.Take(m)
		if err != nil {
			c.Respond(err)
			return
		}
		c.Respond(chunk)
	case supervise.Drain:
		c.Respond(supervise.Drained{})
	case system.Inspect:
		c.Respond(&system.ActorStatus{State: "ready"})
	}
}
