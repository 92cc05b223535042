package sim

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/actors/backendscheduler"
	"github.com/troupe-tracing/troupe/actors/backendworker"
	"github.com/troupe-tracing/troupe/actors/blockbuilder"
	"github.com/troupe-tracing/troupe/actors/distributor"
	"github.com/troupe-tracing/troupe/actors/livestore"
	"github.com/troupe-tracing/troupe/actors/querier"
	"github.com/troupe-tracing/troupe/actors/queryfrontend"
	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	kernel "github.com/troupe-tracing/troupe/runtime/kernel/sim"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/cache"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// world is one log, one bucket, some nodes that run every kind, and clients. Its nodes know nothing
// of each other: each has a scheduler, live-stores and builders of its own for every partition, as
// two halves of a cluster have that cannot hear each other.
type world struct {
	*kernel.World
	t      testing.TB
	log    *history
	faulty *kafkalog.Faulty // what the nodes see
	bucket *objstore.Memory
	store  *objstore.Faulty // what the nodes see
	nodes  []*node
	client *client
	lose   func(kind string) bool // whether the next message to an actor of this kind is lost; nil: none is
	passed bool                   // whether the log lost records by retention that the catalog does not cover
	ids    int
	bugs   []string
	said   map[string]int // lines of the nodes' logs by kind and message, from info on
}

// settings of a world.
type settings struct {
	nodes, partitions int
	builder           func(*blockbuilder.Config)
	scheduler         func(*backendscheduler.Config)
	live              func(*livestore.Config)
	distributor       func(*distributor.Config)
}

// newWorld makes a world of n nodes that run.
func newWorld(t testing.TB, seed uint64, s settings) *world {
	w := &world{World: kernel.New(seed), t: t, bucket: objstore.NewMemory(), said: map[string]int{}}
	if s.nodes == 0 {
		s.nodes = 1
	}
	if s.partitions == 0 {
		s.partitions = 3
	}
	w.log = newHistory(s.partitions)
	w.log.SetClock(w.Now)
	w.log.NoWait()
	w.faulty = kafkalog.NewFaulty(w.log, nil)
	w.store = objstore.NewFaulty(w.bucket, nil)
	w.client = newClient(w)
	for i := range s.nodes {
		name := "main"
		if i > 0 {
			name = fmt.Sprint("node-", i)
		}
		n := &node{w: w, settings: s, label: name, Node: w.Node(name)}
		n.LogTo(slog.New(&listener{w: w, node: name}))
		w.nodes = append(w.nodes, n)
		n.boot()
	}
	return w
}

// node is one process.
type node struct {
	*kernel.Node
	w        *world
	label    string
	settings settings
	sys      *system.System // nil: it is down
	failure  error          // why the process ends by itself, once gaveUp has seen it
	paused   bool
}

func (n *node) boot() {
	s := n.settings
	n.w.client.able = n.w.Now()
	live, build, dist, sched := livestore.DefaultConfig(), blockbuilder.DefaultConfig(), distributor.DefaultConfig(),
		backendscheduler.DefaultConfig()
	live.FetchWait, live.Pause, live.SegmentSpans, live.FetchBytes = 0, 500*time.Millisecond, 1024, 4<<10
	build.Tick, build.BuildTimeout = 2*time.Second, time.Minute
	sched.SnapshotEvery, sched.SweepInterval, sched.SweepGrace = 7, time.Minute, 5*time.Minute
	sched.RetiredGrace, sched.NewName = 2*time.Minute, n.w.chance
	worker := backendworker.DefaultConfig()
	front := queryfrontend.DefaultConfig()
	front.Slots, front.TenantSlots = 4, 2
	for _, f := range []func(){
		func() { call(s.live, &live) }, func() { call(s.builder, &build) }, func() { call(s.distributor, &dist) },
		func() { call(s.scheduler, &sched) },
	} {
		f()
	}
	sys := n.System()
	n.sys, n.failure, n.paused = sys, nil, false
	reg, log := prometheus.NewRegistry(), slog.New(&listener{w: n.w, node: "kind"})
	open := &opener{bucket: n.w.store, opened: map[string]*block.Block{}}
	dir := &directory{w: n.w, sys: sys}
	table := []supervise.Kind{
		{Name: "nobody", New: func(string) actor.Actor { return actor.ReceiveFunc(nobody) }},
		backendscheduler.Kind(backendscheduler.Deps{Log: n.w.faulty, Journal: journal.New(n.w.store, "catalog/"),
			Bucket: n.w.store, Blocks: open, Directory: dir, Writer: n.label,
			IO: n.Pool("io"), Clock: n.Clock(), Logger: log, Metrics: backendscheduler.NewMetrics(reg)}, sched),
		livestore.Kind(livestore.Deps{Log: n.w.faulty, Blocks: open, Directory: dir, Fetch: n.Pool("fetch"),
			Scan: n.Pool("scan"), Budget: livestore.NewBudget(live),
			Clock: n.Clock(), Logger: log, Metrics: livestore.NewMetrics(reg)}, live),
		blockbuilder.Kind(blockbuilder.Deps{Log: n.w.faulty, Bucket: n.w.store, Blocks: open, Directory: dir,
			Build: n.Pool("build"), IO: n.Pool("io"), Clock: n.Clock(),
			NewID: n.w.blockID, Logger: log, Metrics: blockbuilder.NewMetrics(reg)}, build),
		distributor.Kind(distributor.Deps{Log: n.w.faulty, Ingest: n.Pool("ingest"), Clock: n.Clock(),
			Metrics: distributor.NewMetrics(reg)}, dist),
		backendworker.Kind(backendworker.Deps{Name: n.label, Bucket: n.w.store, Blocks: open, Directory: dir,
			Merge: n.Pool("merge"), Clock: n.Clock(), NewID: n.w.mergedID, Logger: log,
			Metrics: backendworker.NewMetrics(reg)}, worker),
		querier.Kind(querier.Deps{Blocks: open, Ahead: 1 << 20, Directory: dir, Scan: n.Pool("scan"), IO: n.Pool("io"),
			Cache: cache.New[querier.KnownResult](1 << 20), Logger: log,
			Metrics: querier.NewMetrics(reg, func() int64 { return 0 })}),
		queryfrontend.Kind(queryfrontend.Deps{Directory: dir, Combine: n.Pool("combine"), Clock: n.Clock(), Logger: log,
			Metrics: queryfrontend.NewMetrics(reg)}, front),
	}
	err := sys.Start(table, func(k supervise.Kind) []string {
		if k.Key != supervise.PerPartition {
			return []string{""}
		}
		var keys []string
		for p := range n.w.log.Partitions() {
			keys = append(keys, strconv.Itoa(p))
		}
		return keys
	})
	if err != nil {
		n.w.t.Fatal(err)
	}
}

func call[C any](f func(*C), c *C) {
	if f != nil {
		f(c)
	}
}

// crash ends the process as kill -9 does.
func (n *node) crash() {
	n.Crash()
	n.sys, n.paused = nil, false
}

func (n *node) pause() {
	n.Pause()
	n.paused = true
}

func (n *node) resume() {
	n.Resume()
	n.paused = false
}

// gaveUp is why the process ends by itself, nil while it does not.
func (n *node) gaveUp() error {
	if n.sys == nil {
		return nil
	}
	select {
	case n.failure = <-n.sys.Failed(): // it comes once, and several places ask
	default:
	}
	return n.failure
}

func (n *node) ref(kind, key string) ask.Ref {
	if n.sys == nil {
		return nil
	}
	ref, err := n.sys.Find(kind, key)
	if err != nil {
		return nil
	}
	return ref
}

func (w *world) blockID(tenant, epoch string, partition int32, from, to int64, attempt int) string {
	w.ids++
	return fmt.Sprintf("%08d-%d-%d-%d", w.ids, partition, from, to)
}

func (w *world) mergedID(tenant, lease string) string {
	w.ids++
	return fmt.Sprintf("%08d-of-%s", w.ids, lease)
}

// chance returns another text each time.
func (w *world) chance() string {
	w.ids++
	return fmt.Sprint(w.ids)
}

// nobody takes every message and answers none: what is sent to it is lost on the way.
func nobody(c actor.Context) {
	if _, ok := c.Message().(supervise.Drain); ok {
		c.Respond(supervise.Drained{})
	}
}

// directory finds the actors of its node. Some messages are lost on the way.
type directory struct {
	w   *world
	sys *system.System
}

func (d *directory) Find(kind, key string) (ask.Ref, error) {
	if lose := d.w.lose; lose != nil && lose(kind) {
		return d.sys.Find("nobody", "")
	}
	return d.sys.Find(kind, key)
}

func (d *directory) Keys(kind string) []string { return d.sys.Keys(kind) }

// opener opens blocks and keeps them.
type opener struct {
	bucket objstore.Bucket
	opened map[string]*block.Block
}

func (o *opener) Open(ctx context.Context, m *blocks.BlockMeta) (*block.Block, error) {
	key := blockstore.Key(m.GetTenant(), m.GetId())
	if b := o.opened[key]; b != nil {
		return b, nil
	}
	meta, err := blockstore.DecodeMeta(m)
	if err != nil {
		return nil, err
	}
	b, err := block.Open(ctx, blockstore.ObjectsOf(o.bucket, m.GetTenant(), m.GetId()), meta)
	if err == nil {
		o.opened[key] = b
	}
	return b, err
}

// listener hears what the nodes log: a fuse that blew and a broken invariant are failures whatever
// else happens.
type listener struct {
	w     *world
	node  string
	attrs string
}

func (l *listener) Enabled(context.Context, slog.Level) bool { return true }
func (l *listener) WithGroup(string) slog.Handler            { return l }
func (l *listener) WithAttrs(as []slog.Attr) slog.Handler {
	c := *l
	for _, a := range as {
		c.attrs += " " + a.String()
	}
	return &c
}

func (l *listener) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		l.w.said[r.Message+l.attrs]++
	}
	line := r.Message + l.attrs
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	line = fmt.Sprintf("%s %s %s", l.w.Now().Sub(kernel.Epoch), l.node, line)
	if strings.Contains(line, "BUG") || strings.Contains(line, "mailbox limit") ||
		strings.Contains(line, "message not handled") {
		l.w.bugs = append(l.w.bugs, line)
	}
	if *verbose && r.Level >= slog.LevelInfo {
		l.w.t.Log(line)
	}
	return nil
}
