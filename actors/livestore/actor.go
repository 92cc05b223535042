package livestore

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// Deps is what a live-store reaches.
type Deps struct {
	Log       kafkalog.Log
	Blocks    blockstore.Opener
	Directory ask.Directory
	Fetch     work.Pool    // reads of the log; at least one worker a partition
	Scan      work.Pool    // evaluation of queries
	Budget    *work.Budget // memory of all live-stores of the node
	// TraceLimit returns how many bytes a trace of the tenant may have at present; 0 means any
	// number. A nil TraceLimit limits no tenant.
	TraceLimit func(tenant string) int64
	Clock      clock.Clock
	Logger     *slog.Logger
	Metrics    *Metrics
}

// NewBudget returns the memory budget that all live-stores of a node share.
func NewBudget(cfg Config) *work.Budget { return work.NewBudget(int64(cfg.NodeBytes), cfg.mostBytes()) }

// Kind declares the live-store.
func Kind(d Deps, cfg Config) supervise.Kind {
	return supervise.Kind{
		Name:    kinds.LiveStore,
		Key:     supervise.PerPartition,
		New:     func(key string) actor.Actor { return newActor(d, cfg, key) },
		Mailbox: mailbox.Limit{Messages: 4096},
		Policy: supervise.Policy{
			Backoff:  supervise.Exponential(100*time.Millisecond, 10*time.Second),
			Restarts: 8,
			Within:   5 * time.Minute,
			Then:     supervise.Escalate,
		},
		Loses: "the live segments; read again from the covered offset of the log",
	}
}

// askTimeout is how long the catalog may take to say where to start. It may have to be loaded
// first.
const askTimeout = 30 * time.Second

// Actor is the live-store of one partition.
type Actor struct {
	deps  Deps
	log   *slog.Logger
	key   string
	state *state
}

func newActor(d Deps, cfg Config, key string) *Actor {
	p, err := strconv.ParseInt(key, 10, 32)
	if err != nil {
		panic("BUG: live-store key " + key + " is no partition")
	}
	return &Actor{
		deps:  d,
		log:   d.Logger.With("kind", kinds.LiveStore, "partition", key),
		key:   key,
		state: newState(int32(p), cfg, d.TraceLimit),
	}
}

// Self-messages.
type (
	// tick ends a pause, after which the actor attaches or reads on.
	tick       struct{}
	secondTick struct{}
	// covered is the catalog's answer: the offset to start at.
	covered struct {
		reply *jobs.CoveredResult
		err   error
	}
	// logBounds are the first offset of the log and the one behind its last record.
	logBounds struct {
		began      time.Time
		covered    *jobs.CoveredResult
		log        string // identity
		start, end int64
		err        error
	}
	// batchRead is the end of a read of the log.
	batchRead struct {
		began time.Time
		batch kafkalog.Batch
		err   error
	}
	// workResult is the end of a question's work on the pool.
	workResult struct {
		asker *actor.PID
		reply any
	}
)

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	now := a.deps.Clock.Now()
	switch m := c.Message().(type) {
	case *actor.Started:
		a.do(c, a.state.start())
	case tick:
		a.do(c, a.state.onTick())
	case covered:
		a.do(c, a.state.onCovered(m))
	case logBounds:
		a.do(c, a.state.onBounds(now, m))
	case batchRead:
		a.do(c, a.state.onRead(now, m))
	case secondTick:
		a.do(c, a.state.onSecond(now, a.deps.Budget.IsTight()))
	case *jobs.CoverageChanged:
		a.do(c, a.state.onCoverage(now, m, a.deps.Budget.IsTight()))
	case *jobs.CutJob:
		a.do(c, a.state.onCut(now, m, a.deps.Budget.IsFattest(a.key)))
	case *jobs.HomesJob, *jobs.LiveScanJob, *jobs.LiveTracesJob, *jobs.LiveTraceJob, *jobs.LiveKeysJob,
		*jobs.LiveSpansJob:
		a.do(c, a.state.onQuestion(now, newQuestion(now, c.Sender(), ask.Context(c), m)))
	case homesFound:
		a.do(c, a.state.onHomesFound(now, m))
	case workResult:
		system.Send(c, m.asker, m.reply)
	case work.Failed:
		a.do(c, step{fail: fmt.Errorf("run job: %w", m.Err)})
	case supervise.Drain:
		a.do(c, a.state.onDrain())
	case system.Inspect:
		c.Respond(a.state.inspect())
	case *actor.Restarting, *actor.Stopping:
		a.do(c, a.state.onEnd())
	case *actor.Stopped:
	default:
		system.Unhandled(c)
	}
}

// do carries out a step, in this order, and waits for nothing; whatever ends later comes back as a
// message.
func (a *Actor) do(c actor.Context, s step) {
	a.publishReport(s.report)
	if s.fail != nil {
		panic(supervise.Fail(s.fail))
	}
	system.Reply(c, s.reply)
	if s.memory != nil {
		a.deps.Budget.SetHeld(a.key, s.memory.free, s.memory.pending)
	}
	if s.announce != nil {
		a.announceAppended(c, s.announce)
	}
	for _, x := range s.answers {
		a.giveAnswer(c, x)
	}
	if s.locate != nil {
		a.askCovered(c, s.locate)
	}
	if s.bounds != nil {
		a.readBounds(c, s.bounds)
	}
	if s.after > 0 {
		work.After(c, a.deps.Clock, s.after, tick{})
	}
	if s.nextSecond {
		work.After(c, a.deps.Clock, time.Second, secondTick{})
	}
	switch {
	case s.read == nil:
	case a.deps.Budget.IsFull():
		a.do(c, a.state.onMemoryFull())
	default:
		a.readLog(c, s.read)
	}
}

// publishReport writes the log lines of a step and moves the instruments.
func (a *Actor) publishReport(r report) {
	s, m := a.state, a.deps.Metrics
	if r.notAttached != nil {
		a.log.Warn("attach to the catalog and the log", "err", r.notAttached)
	}
	if r.attached {
		a.log.Info("live-store attached", "epoch", s.epoch, "offset", s.covered, "end", s.target)
	}
	if r.outOfRange != nil {
		a.log.Warn("the log is not the one that was read; the catalog is asked anew, "+
			"and everything uncovered is read again", "offset", s.next, "err", r.outOfRange)
	}
	if r.unread != nil {
		if m.failed.Inc(); s.failedReads == 1 {
			a.log.Warn("read the log; answers say that they may miss what came since",
				"offset", s.next, "err", r.unread)
		}
	}
	for _, err := range r.setAside {
		m.setAside.Inc()
		a.log.Error("record set aside", "err", err)
	}
	if r.paused {
		m.paused.Inc()
	}
	if r.gauges {
		free, pending := s.memoryUse()
		m.bytes.WithLabelValues(a.key).Set(float64(free + pending))
		m.spans.WithLabelValues(a.key).Set(float64(s.spanCount()))
		m.next.WithLabelValues(a.key).Set(float64(s.next))
		m.covered.WithLabelValues(a.key).Set(float64(s.covered))
	}
}

// announceAppended tells every distributor what can be found by now.
func (a *Actor) announceAppended(c actor.Context, m *jobs.Appended) {
	for _, key := range a.deps.Directory.Keys(kinds.Distributor) {
		if to, err := a.deps.Directory.Find(kinds.Distributor, key); err == nil {
			c.Send(to, m)
		}
	}
}

// giveAnswer replies at once, or leaves the work to the pool, so that readers never hold up the
// writer. A question that breaks the engine fails alone.
func (a *Actor) giveAnswer(c actor.Context, x answer) {
	if x.work == nil {
		system.Send(c, x.asker, x.reply)
		return
	}
	failed := func(err error) any { return workResult{asker: x.asker, reply: status.Of(err)} }
	a.deps.Scan.Go(c, x.ctx, func(ctx context.Context) any {
		switch reply, err := x.work.run(ctx, a.deps.Blocks); r := reply.(type) {
		case homesFound:
			return r
		default:
			if err != nil {
				return failed(err)
			}
			return workResult{asker: x.asker, reply: r}
		}
	}, failed)
}

// askCovered asks the catalog where to start. The scheduler answers when it has compared the
// catalog with the log.
func (a *Actor) askCovered(c actor.Context, m *jobs.CoveredJob) {
	r := ask.Request{Kind: kinds.BackendScheduler, Message: m, Timeout: askTimeout}
	ask.Send(context.Background(), c, a.deps.Directory, r, func(r *jobs.CoveredResult, err error) any {
		return covered{reply: r, err: err}
	})
}

func (a *Actor) readBounds(c actor.Context, at *jobs.CoveredResult) {
	p := a.state.partition
	a.deps.Fetch.Go(c, context.Background(), func(ctx context.Context) any {
		m := logBounds{began: a.deps.Clock.Now(), covered: at, log: a.deps.Log.Epoch()}
		m.start, m.end, m.err = a.deps.Log.Bounds(ctx, p)
		return m
	}, func(err error) any { return logBounds{err: err} })
}

func (a *Actor) readLog(c actor.Context, j *readJob) {
	a.deps.Fetch.Go(c, context.Background(), func(ctx context.Context) any {
		m := batchRead{began: a.deps.Clock.Now()}
		m.batch, m.err = j.readBatch(ctx, a.deps.Log)
		return m
	}, func(err error) any { return batchRead{err: err} })
}
