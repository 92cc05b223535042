package queryfrontend

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

type phase uint8

const (
	viewing phase = iota
	homes
	scanning
	reading // fragments of candidates, or of the one trace asked for by id
	assembling
)

// job is one question to another kind, or one assembly on the pool.
type job struct {
	kind, key string
	partition int32 // of live-store jobs
	msg       any
	attempt   int    // of the plan; answers to an older plan do not count
	what      string // for the warning when it fails
}

// step is what one message caused.
type step struct {
	jobs   []job
	end    bool
	answer *plan.Answer
	fail   error
}

// running is one query.
type running struct {
	id    int64
	cfg   Config
	from  *actor.PID
	ctx   context.Context
	q     *plan.Query
	began time.Time

	phase   phase
	attempt int
	view    *catalog.View
	homes   map[int32]*plan.HomesResult
	shared  *plan.Shared
	queue   []job
	open    int // jobs sent and not answered

	partial    plan.Partial
	candidates []traceql.Candidate // to confirm, highest bound first
	bounds     plan.Bounds
	home       uint32 // homes read so far
	fragments  [][]trace.Fragment
	answer     plan.Answer
	warned     map[string]bool
}

const maxPlans = 8 // a query that meets a dropped range more often than this gives up and says so

func newRunning(id int64, cfg Config, from *actor.PID, ctx context.Context, q *plan.Query) *running {
	return &running{id: id, cfg: cfg, from: from, ctx: ctx, q: q, answer: plan.Answer{Complete: true}, warned: map[string]bool{}}
}

func (r *running) op() string {
	switch {
	case r.q.Trace != nil:
		return "traces"
	case r.q.Scan.Metrics != nil:
		return "metrics"
	case r.q.Scan.Search != nil:
		return "search"
	}
	return "tags"
}

// plan begins, or begins anew on a newer catalog; what an older plan still answers is dropped.
func (r *running) plan() step {
	r.attempt++
	if r.attempt > maxPlans {
		return step{end: true, fail: status.Errorf(status.Unavailable, "plan query: the catalog moved on %d times", maxPlans)}
	}
	r.phase, r.open, r.queue = viewing, 0, nil
	r.homes = map[int32]*plan.HomesResult{}
	r.partial, r.fragments, r.candidates, r.bounds = plan.Partial{}, nil, nil, plan.Bounds{}
	r.answer = plan.Answer{Complete: true}
	clear(r.warned)
	return r.next([]job{{kind: "backend-scheduler", msg: &plan.ViewJob{}, what: "catalog"}})
}

// next queues jobs and sends as many as may be outstanding.
func (r *running) next(jobs []job) step {
	r.queue = append(r.queue, jobs...)
	var s step
	for len(r.queue) > 0 && r.open < r.cfg.Outstanding {
		j := r.queue[0]
		r.queue = r.queue[1:]
		if r.needless(j) {
			continue
		}
		j.attempt = r.attempt
		r.open++
		s.jobs = append(s.jobs, j)
	}
	return s
}

// needless reports whether a block cannot add to a search any more: as many traces as asked for are found, and all it holds is older.
func (r *running) needless(j job) bool {
	b, ok := j.msg.(*plan.BlockScanJob)
	if !ok || r.q.Scan.Search == nil {
		return false
	}
	oldest, full := r.partial.Full(r.q.Scan.Search.Limit)
	return full && b.Block.GetMaxEndUnixNano() < oldest
}

func (r *running) onEnded(m ended) step {
	if m.job.attempt != r.attempt {
		return step{}
	}
	r.open--
	if err := m.err; err != nil {
		if s, over := r.onFailed(m.job, err); over {
			return s
		}
	} else if s, over := r.onReply(m.job, m.reply); over {
		return s
	}
	if r.open == 0 && len(r.queue) == 0 {
		return r.advance()
	}
	return r.next(nil)
}

// onFailed notes what is missing from the answer. Without a catalog there is no answer, and a question that is wrong is wrong everywhere.
func (r *running) onFailed(j job, err error) (step, bool) {
	if c := status.Of(err).Class; c == status.Invalid {
		return step{end: true, fail: err}, true
	}
	if r.phase == viewing || r.phase == assembling {
		return step{end: true, fail: fmt.Errorf("%s: %w", j.what, err)}, true
	}
	r.warn("%s: %v", j.what, err)
	return step{}, false
}

func (r *running) warn(format string, args ...any) {
	r.answer.Complete = false
	w := fmt.Sprintf(format, args...)
	if !r.warned[w] {
		r.warned[w] = true
		r.answer.Warnings = append(r.answer.Warnings, w)
	}
}

func (r *running) onReply(j job, reply any) (step, bool) {
	switch m := reply.(type) {
	case *catalog.View:
		r.view = m
	case *plan.HomesResult:
		if m.Floor > r.view.Covered[j.partition] {
			return r.plan(), true
		}
		r.homes[m.Partition] = m
	case *plan.ScanResult:
		if j.kind == liveStore && m.Floor > r.view.Covered[j.partition] {
			return r.plan(), true
		}
		r.answer.Bytes += m.Bytes
		r.answer.Done++
		r.partial.Merge(m.Partial, r.q.Scan)
	case *plan.TracesResult:
		if j.kind == liveStore && m.Floor > r.view.Covered[j.partition] {
			return r.plan(), true
		}
		r.answer.Bytes += m.Bytes
		r.home++
		for i, fs := range m.Fragments {
			for k := range fs {
				fs[k].Group |= uint32(r.home&0xff) << 16 // groups of different homes stay apart
			}
			r.fragments[i] = append(r.fragments[i], fs...)
		}
	}
	return step{}, false
}

// advance goes on when every job of the phase has ended.
func (r *running) advance() step {
	switch r.phase {
	case viewing:
		r.gaps()
		if r.q.Trace != nil {
			return r.read([]trace.ID{*r.q.Trace}, plan.Range{End: ^uint64(0)})
		}
		r.phase = homes
		var jobs []job
		var others []*blocks.BlockMeta // homes of live traces do not matter to sets of names and values
		if r.q.Scan.Whole() {
			others = r.view.Blocks(r.q.Tenant, 0, ^uint64(0))
		}
		for _, p := range r.partitions() {
			jobs = append(jobs, r.liveJob(p, &plan.HomesJob{Tenant: r.q.Tenant, From: r.view.Covered[p], Blocks: others}))
		}
		return r.advanceIfIdle(r.next(jobs))
	case homes:
		return r.scan()
	case scanning:
		return r.collect()
	case reading:
		if r.q.Trace != nil {
			r.answer.Trace = trace.Relink(trace.Assemble(r.fragments[0]))
			return r.finish()
		}
		r.phase = assembling
		return r.next([]job{{msg: &assembleJob{fragments: r.fragments, scan: r.q.Scan}, what: "assemble traces"}})
	default:
		return r.confirm()
	}
}

// partitions lists the partitions that the trace, or any trace, may be in.
func (r *running) partitions() []int32 {
	return slices.Sorted(maps.Keys(r.view.Covered))
}

// gaps warns of what the log has lost, where it may have been in the answer: records hold spans of about the time they arrived.
func (r *running) gaps() {
	for _, g := range r.view.Gaps {
		arrived := plan.Range{Start: uint64(max(g.GetMinArrivalUnixNano(), 0)), End: uint64(max(g.GetMaxArrivalUnixNano(), 0))}.Widen(plan.TraceWindow)
		if r.q.Trace != nil || arrived.Start < r.q.Range.End && r.q.Range.Start < arrived.End {
			r.warn("log-gap: records [%d, %d) of partition %d were lost from the log before they were in a block", g.GetFrom(), g.GetTo(), g.GetPartition())
		}
	}
}

const liveStore = "live-store"

func (r *running) liveJob(p int32, msg any) job {
	return job{kind: liveStore, key: strconv.Itoa(int(p)), partition: p, msg: msg, what: fmt.Sprintf("live-store of partition %d", p)}
}

func (r *running) blockJob(m *blocks.BlockMeta, msg any) job {
	return job{kind: "querier", msg: msg, what: "block " + m.GetId()}
}

// scan asks every home in the range. Traces with several homes take no part; they are named as candidates.
func (r *running) scan() step {
	r.phase = scanning
	var live [][]catalog.Extent
	var jobs []job
	for _, p := range r.partitions() {
		if h := r.homes[p]; h != nil {
			live = append(live, h.Shared)
			r.answer.Watermark = max(r.answer.Watermark, h.Watermark)
		}
	}
	if r.q.Scan.Whole() {
		r.shared = plan.NewShared(r.view.Shared(r.q.Tenant), live...)
		r.straddling(live)
	}
	for _, p := range r.partitions() {
		if h := r.homes[p]; h != nil && h.UpTo > r.view.Covered[p] {
			jobs = append(jobs, r.liveJob(p, &plan.LiveScanJob{Tenant: r.q.Tenant, From: r.view.Covered[p], UpTo: h.UpTo, Scan: r.q.Scan, Shared: r.shared}))
		}
	}
	metas := r.view.Blocks(r.q.Tenant, r.q.Range.Start, r.q.Range.End) // newest first
	for _, m := range metas {
		jobs = append(jobs, r.blockJob(m, &plan.BlockScanJob{Block: m, Scan: r.q.Scan, Shared: r.shared}))
	}
	r.answer.Blocks, r.answer.Jobs = len(metas), len(jobs)
	return r.advanceIfIdle(r.next(jobs))
}

// straddling names the shared traces that a search must look at whatever the scans find.
func (r *running) straddling(live [][]catalog.Extent) {
	if r.q.Scan.Search == nil {
		return
	}
	all := map[trace.ID]catalog.Extent{}
	for _, l := range live {
		for _, e := range l {
			if old, ok := all[e.ID]; ok {
				e = e.Join(old)
			}
			if old, ok := r.view.Shared(r.q.Tenant)[e.ID]; ok {
				e = e.Join(old)
			}
			all[e.ID] = e
		}
	}
	for _, e := range all {
		if r.q.Range.Straddles(e) {
			r.bounds.Add(e.ID, e.Start)
		}
	}
	for id, e := range r.view.Shared(r.q.Tenant) {
		if _, ok := all[id]; !ok && r.q.Range.Straddles(e) {
			r.bounds.Add(id, e.Start)
		}
	}
}

func (r *running) advanceIfIdle(s step) step {
	if len(s.jobs) == 0 && r.open == 0 && len(r.queue) == 0 {
		return r.advance()
	}
	return s
}

// collect orders the candidates the scans have named.
func (r *running) collect() step {
	r.partial.Candidates(r.bounds.Add)
	r.candidates = r.bounds.Newest()
	return r.confirm()
}

// confirm puts the next candidates together. A search stops when no open candidate can be newer than what is already found.
func (r *running) confirm() step {
	n := min(len(r.candidates), r.cfg.Confirm)
	if s := r.q.Scan.Search; s != nil && n > 0 {
		if oldest, full := r.partial.Full(s.Limit); full && r.candidates[0].Start < oldest {
			n = 0
		}
	}
	if n == 0 {
		return r.finish()
	}
	ids := make([]trace.ID, n)
	for i := range ids {
		ids[i] = r.candidates[i].ID
	}
	r.candidates = r.candidates[n:]
	return r.read(ids, r.q.Range.Widen(plan.TraceWindow))
}

// read asks every home that may hold one of the traces for all it has of them.
func (r *running) read(ids []trace.ID, within plan.Range) step {
	r.phase = reading
	r.fragments = make([][]trace.Fragment, len(ids))
	r.home = 0
	var jobs []job
	for _, p := range r.partitions() {
		from, upTo := r.view.Covered[p], int64(-1)
		if r.q.Trace == nil {
			h := r.homes[p]
			if h == nil || h.UpTo <= from {
				continue
			}
			upTo = h.UpTo
		}
		jobs = append(jobs, r.liveJob(p, &plan.LiveTracesJob{Tenant: r.q.Tenant, From: from, UpTo: upTo, IDs: ids}))
	}
	for _, m := range r.view.Blocks(r.q.Tenant, within.Start, within.End) {
		may := false
		for _, id := range ids {
			if may = plan.MayHold(m, id); may {
				break
			}
		}
		if may {
			jobs = append(jobs, r.blockJob(m, &plan.BlockTracesJob{Block: m, IDs: ids}))
		}
	}
	return r.advanceIfIdle(r.next(jobs))
}

func (r *running) finish() step {
	r.answer.Partial = r.partial
	return step{end: true, answer: &r.answer}
}
