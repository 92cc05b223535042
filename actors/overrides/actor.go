package overrides

import (
	"context"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/documents"
)

// Deps is what the actor reaches.
type Deps struct {
	Live      Live             // holds the first limits, and those in force from then on
	Documents *documents.Store // what tenants have set; nil: they set nothing themselves
	IO        work.Pool
	Clock     clock.Clock
	Logger    *slog.Logger
}

// Kind declares the actor.
func Kind(d Deps, cfg Config) supervise.Kind {
	return supervise.Kind{
		Name:    kinds.Overrides,
		Key:     supervise.PerNode,
		New:     func(string) actor.Actor { return newActor(d, cfg) },
		Mailbox: mailbox.Limit{Messages: 4096},
		Policy: supervise.Policy{
			Backoff:  supervise.Exponential(100*time.Millisecond, 10*time.Second),
			Restarts: 8,
			Within:   10 * time.Minute,
			Then:     supervise.Escalate,
		},
		Loses: "the writes that were not answered; their senders read the document again",
	}
}

// Actor owns the limits of tenants of a node.
type Actor struct {
	deps  Deps
	log   *slog.Logger
	state *state
}

func newActor(d Deps, cfg Config) *Actor {
	inForce := d.Live.Load()
	return &Actor{
		deps:  d,
		log:   d.Logger,
		state: &state{cfg: cfg, inForce: inForce, lastText: inForce.text},
	}
}

// Self-messages.
type (
	lookAtFile struct{}
	fileRead   struct {
		limits *Limits // nil: nothing is put in force
		text   []byte  // nil: it could not be read
		err    error
	}
	written struct {
		asker   *actor.PID
		version uint64
		err     error
	}
	refreshDue struct{}
	refreshed  struct{ err error }
)

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		a.do(c, a.state.start())
	case lookAtFile:
		a.do(c, a.state.onLookAtFile())
	case fileRead:
		a.do(c, a.state.onFileRead(m))
	case refreshDue:
		a.do(c, a.state.onRefreshDue())
	case refreshed:
		a.do(c, a.state.onRefreshed(m.err))
	case written:
		a.do(c, a.state.onWritten(m))
	case supervise.Drain:
		a.do(c, a.state.onDrain(c.Sender()))
	case system.Inspect:
		c.Respond(a.inspect())
	case limits.ReadOwn, limits.ListOwn, limits.WriteOwn, limits.RemoveOwn:
		a.onRequest(c, m)
	case *actor.Stopping, *actor.Stopped, *actor.Restarting:
	default:
		system.Unhandled(c)
	}
}

// onRequest answers from memory what only reads, and hands on what writes.
func (a *Actor) onRequest(c actor.Context, m any) {
	if a.deps.Documents == nil {
		system.Reply(c, status.Errorf(status.NotFound, "tenants set no limits themselves on this node"))
		return
	}
	switch m := m.(type) {
	case limits.ReadOwn:
		d := a.deps.Documents.Get(m.Tenant)
		system.Reply(c, limits.OwnDocument{Body: d.Body, Version: d.Version})
	case limits.ListOwn:
		system.Reply(c, limits.OwnTenants{Tenants: a.deps.Documents.Tenants()})
	case limits.WriteOwn:
		w := write{asker: c.Sender(), ctx: ask.Context(c), tenant: m.Tenant, version: m.Version, body: m.Body}
		a.do(c, a.state.onWrite(w))
	case limits.RemoveOwn:
		w := write{asker: c.Sender(), ctx: ask.Context(c), tenant: m.Tenant, version: m.Version}
		a.do(c, a.state.onWrite(w))
	}
}

// do starts what the step asks for and waits for none of it; ends come back as messages.
func (a *Actor) do(c actor.Context, s step) {
	if s.putInForce != nil {
		a.deps.Live.Store(s.putInForce)
		LogRead(a.log, s.putInForce)
	}
	if s.keepOld != nil {
		a.log.Error("limits of tenants stay as they are", "err", s.keepOld)
	}
	if s.readFile {
		a.startReading(c)
	}
	if s.fileAfter > 0 {
		work.After(c, a.deps.Clock, s.fileAfter, lookAtFile{})
	}
	if s.reply != nil {
		system.Send(c, s.asker, s.reply)
	}
	if s.write != nil {
		a.startWrite(c, *s.write)
	}
	if s.refresh {
		a.startRefresh(c)
	}
	if s.refreshError != nil {
		a.log.Error("what tenants have set stays as it was read last", "err", s.refreshError)
	}
	if s.refreshAfter > 0 {
		work.After(c, a.deps.Clock, s.refreshAfter, refreshDue{})
	}
	system.Send(c, s.drained, supervise.Drained{})
}

// startReading reads the file where its text has changed.
func (a *Actor) startReading(c actor.Context) {
	cfg, last := a.state.cfg, a.state.lastText
	a.deps.IO.Go(c, context.Background(),
		func(context.Context) any { return readChanged(cfg, last) },
		func(err error) any { return fileRead{err: err} })
}

// startWrite replaces or removes a document.
func (a *Actor) startWrite(c actor.Context, w write) {
	store := a.deps.Documents
	a.deps.IO.Go(c, w.ctx,
		func(ctx context.Context) any {
			if w.body == nil {
				return written{asker: w.asker, err: store.Delete(ctx, w.tenant, w.version)}
			}
			version, err := store.Put(ctx, w.tenant, w.version, w.body)
			return written{asker: w.asker, version: version, err: err}
		},
		func(err error) any { return written{asker: w.asker, err: err} })
}

// startRefresh takes up what other processes have written.
func (a *Actor) startRefresh(c actor.Context) {
	store := a.deps.Documents
	a.deps.IO.Go(c, context.Background(),
		func(ctx context.Context) any { return refreshed{store.Refresh(ctx)} },
		func(err error) any { return refreshed{err} })
}

func (a *Actor) inspect() *system.ActorStatus {
	own := 0
	if a.deps.Documents != nil {
		own = len(a.deps.Documents.Tenants())
	}
	return &system.ActorStatus{State: "ready", Detail: a.state.describeState(own)}
}

// LogRead says in the log that limits were read from the file, and which of its keys are not acted
// on.
func LogRead(log *slog.Logger, l *Limits) {
	config.LogWarnings(log, "limits of tenants", l.Warnings)
	log.Info("limits of tenants read", "tenants", len(l.Entries))
}
