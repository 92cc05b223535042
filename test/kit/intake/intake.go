// Package intake is what stands behind the door of the receivers in tests: a distributor whose
// answers a test decides.
package intake

import (
	"context"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
)

// Distributor keeps what is pushed to it. Without Answer it accepts whatever it can read.
type Distributor struct {
	System *system.System

	Mu     sync.Mutex // of the fields below, while requests are under way
	Pushed []*ingest.PushSpans
	Answer func(*ingest.PushSpans) any
}

// Start runs a distributor until the test ends.
func Start(t testing.TB) *Distributor {
	t.Helper()
	d := &Distributor{System: system.New(system.Options{})}
	t.Cleanup(func() { require.NoError(t, d.System.Drain(context.Background())) })
	kind := supervise.Kind{
		Name: kinds.Distributor,
		New:  func(string) actor.Actor { return actor.ReceiveFunc(d.receive) },
	}
	_, err := d.System.SpawnRoot(kind, "")
	require.NoError(t, err)
	return d
}

func (d *Distributor) receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *ingest.PushSpans:
		d.Mu.Lock()
		d.Pushed = append(d.Pushed, m)
		answer := d.Answer
		d.Mu.Unlock()
		if answer != nil {
			c.Respond(answer(m))
			return
		}
		s := trace.Splitter{MaxRecordBytes: 1 << 20, Parts: 4}
		if _, err := s.Split(m.Tenant, m.Otlp); err != nil {
			c.Respond(status.Errorf(status.Invalid, "%w", err))
			return
		}
		c.Respond(&ingest.PushSpansReply{Spans: 1})
	case supervise.Drain:
		c.Respond(supervise.Drained{})
	}
}
