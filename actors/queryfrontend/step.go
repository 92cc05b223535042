package queryfrontend

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

type phase uint8

const (
	viewing phase = iota
	homes
	scanning
	recalling // what is known of candidates
	reading   // fragments of candidates, or of the one trace asked for by id
	assembling
)

func (p phase) String() string {
	return [...]string{"viewing", "homes", "scanning", "recalling", "reading", "assembling"}[p]
}

// step is what one message caused. The zero step does nothing.
type step struct {
	jobs     []job // to send now
	again    *job  // to be handed back, after a pause
	after    time.Duration
	unused   int          // slots given back
	wants    bool         // the number of jobs that wait for slots has changed
	progress *jobs.Answer // for the client, frozen
	answer   *jobs.Answer // the end, or
	fail     error        // the end
	limit    string       // that was hit, by its key
}

// part is a part of a block.
type part struct {
	block string
	n     int
}

// running is the course of one query.
type running struct {
	cfg   Config
	q     *jobs.Query
	key   string // of the scan, for caches
	until time.Time

	phase   phase
	attempt int // of the plan
	view    *catalog.View
	homes   map[int32]*jobs.HomesResult
	parts   []int32 // numbers of partitions that live records were routed by, once there are found to be several
	shared  *jobs.Shared
	queue   []job       // wait for slots
	open    map[int]job // jobs sent, or to be sent again, whose ends matter; by number
	sent    int         // numbers jobs
	told    time.Time
	news    bool // traces were told

	partial    jobs.Partial
	candidates []eval.Candidate // to confirm, highest bound first
	bounds     jobs.Bounds
	beyond     bool // a metrics query depends on spans beyond the trace window, which are not read
	confirming
	most    int   // traces that are put together at a time, once a larger batch has needed too much memory; 0: any
	size    int64 // about the memory of what is known
	answer  jobs.Answer
	marks   int             // partitions whose watermark is in answer
	oldest  map[part]uint64 // where parts of blocks begin: no trace in the parts before starts later
	missing missing
	atLeast uint64 // version of the catalog that a live-store has named
	// the newest version that any query has seen, for when the scheduler does not answer; nil: none
	last      *catalog.View
	lost      map[string]uint64 // blocks that were not found, by the version of the catalog that named them
	read      int               // jobs that found out what they were asked
	explained jobs.Explained
}

const maxPlans = 8 // a query that meets a dropped range more often than this gives up and says so

func newRunning(cfg Config, q *jobs.Query, last *catalog.View) *running {
	own := *q
	own.Scan = q.Scan.Seeing(cfg.TraceWindow)
	return &running{cfg: cfg, q: &own, key: own.Scan.Key(), last: last, lost: map[string]uint64{}}
}

// start begins the course, which has until then.
func (r *running) start(until time.Time) step {
	r.until = until
	return r.plan()
}

// plan begins, or begins anew on a newer catalog; what an older plan still answers is dropped.
func (r *running) plan() step {
	r.attempt++
	if r.attempt > maxPlans {
		return step{fail: status.Errorf(status.Unavailable, "plan query: the catalog moved on %d times", maxPlans)}
	}
	r.phase, r.open, r.queue = viewing, map[int]job{}, nil
	r.parts = nil
	r.homes, r.oldest = map[int32]*jobs.HomesResult{}, map[part]uint64{}
	r.partial, r.candidates, r.bounds, r.confirming = jobs.Partial{}, nil, jobs.Bounds{}, confirming{}
	r.answer = jobs.Answer{Bytes: r.answer.Bytes}
	r.missing, r.read, r.marks, r.beyond, r.most = missing{}, 0, 0, false, 0
	r.explained = jobs.Explained{}
	return r.send(job{kind: kinds.BackendScheduler, msg: &jobs.ViewJob{AtLeast: r.atLeast}})
}

// send sends jobs that need no slot.
func (r *running) send(jobs ...job) (s step) {
	for _, j := range jobs {
		s.jobs = append(s.jobs, r.opened(j))
	}
	return s
}

func (r *running) opened(j job) job {
	r.sent++
	j.number = r.sent
	r.open[j.number] = j
	return j
}

// enqueue has jobs wait for slots; without any the course goes on.
func (r *running) enqueue(jobs []job) step {
	r.queue = append(r.queue, jobs...)
	if len(r.queue) == 0 {
		return r.advance()
	}
	return step{wants: true}
}

// waiting says how many jobs wait for slots, and what one is expected to cost.
func (r *running) waiting() (n int, each time.Duration) {
	for _, j := range r.queue {
		each += j.cost()
	}
	return len(r.queue), each / time.Duration(max(len(r.queue), 1))
}

// onSlots sends jobs into the slots that were given, as far as there is need for them.
func (r *running) onSlots(n int) (s step) {
	before := len(r.queue)
	for ; n > 0 && len(r.queue) > 0; n-- {
		r.dropNeedless()
		if len(r.queue) == 0 {
			break
		}
		j := r.queue[0]
		r.queue = r.queue[1:]
		s.jobs = append(s.jobs, r.opened(r.bounded(j)))
	}
	s.unused = n
	if before > 0 && len(r.queue) == 0 && len(r.open) == 0 {
		next := r.advance()
		next.unused += s.unused
		return next
	}
	s.wants = before-len(s.jobs) != len(r.queue)
	return s
}

// onEnded takes the end of a job.
func (r *running) onEnded(now time.Time, m ended) step {
	if _, ok := r.open[m.job.number]; !ok {
		return step{} // of an older plan, or nobody waits for it any more
	}
	if m.err != nil && r.mayTry(now, m.job, m.err) {
		j := m.job
		j.tries++
		return step{again: &j, after: r.cfg.RetryAfter << min(j.tries-1, 10)}
	}
	delete(r.open, m.job.number)
	err := m.err
	if e, ok := m.reply.(error); ok && err == nil {
		err = e
	}
	var s step
	over := false
	if err != nil {
		r.explain(m.job, now.Sub(m.sent), jobs.Failed, nil, err)
		s, over = r.onFailed(m.job, err)
	} else {
		if scan, ok := m.reply.(*jobs.ScanResult); ok {
			r.explain(m.job, now.Sub(m.sent), jobs.WasRead, scan, nil)
		}
		s, over = r.onReply(m.job, m.reply)
	}
	if over {
		return s
	}
	if s, over := r.exceeded(); over {
		return s
	}
	before := len(r.queue)
	r.dropNeedless()
	if len(r.open) == 0 && len(r.queue) == 0 {
		s = r.advance()
	} else {
		s = step{wants: len(r.queue) != before}
	}
	if s.answer == nil && s.fail == nil {
		s.progress = r.progress(now)
	}
	return s
}

// mayTry reports whether a job that found nobody is sent again, perhaps elsewhere. Its slot is
// given back meanwhile.
func (r *running) mayTry(now time.Time, j job, err error) bool {
	if r.phase == viewing && r.mayUseLast() {
		return false
	}
	return status.Of(err).Class == status.Unavailable && j.tries+1 < r.cfg.MaxTries && now.Before(r.until)
}

// onAgain queues or sends a job whose pause is over.
func (r *running) onAgain(j job) step {
	if _, ok := r.open[j.number]; !ok {
		return step{}
	}
	delete(r.open, j.number)
	if j.slotted() {
		r.queue = append(r.queue, j)
		return step{wants: true}
	}
	return r.send(j)
}

// onDeadline answers with what is known, and names what is not.
func (r *running) onDeadline() step {
	late := status.Errorf(status.Timeout, "query: not answered in time; ask for less time or narrow the filter")
	if r.phase < scanning && r.q.Trace == nil || r.read == 0 {
		return step{fail: late}
	}
	r.missing.cause("query", late)
	if r.q.Trace == nil || r.phase != reading {
		r.missing.add("timeout", "timeout: %d jobs had not ended when the query's time was over", len(r.open)+len(r.queue))
		return r.finish()
	}
	for _, n := range slices.Sorted(maps.Keys(r.open)) {
		r.queue = append(r.queue, r.open[n])
	}
	for _, j := range r.queue {
		switch m := j.msg.(type) {
		case *jobs.LiveTracesJob:
			r.missing.partition(j.partition, false, late)
		case *jobs.BlockTracesJob:
			for _, b := range m.Blocks {
				r.missing.block(b, late)
			}
		}
	}
	clear(r.open)
	r.queue = nil
	r.missing.assembled(r.home, r.ids)
	r.phase = assembling
	return r.send(job{msg: r.assembly()}) // there is no time to wait for a slot
}

// onFailed notes what is missing from the answer. Without a catalog there is no answer, and a
// question that is wrong is wrong everywhere.
func (r *running) onFailed(j job, err error) (step, bool) {
	class := status.Of(err).Class
	switch {
	case r.phase == assembling && class == status.Timeout && r.q.Trace == nil:
		r.missing.unassembled(r.ids)
		return step{}, false
	case class == status.Invalid, class == status.Limited && j.slotted(), r.phase == assembling:
		return step{fail: err}, true
	case r.phase == viewing && r.mayUseLast():
		// An older version is as exact as the newest: what it does not cover is in the live stores,
		// or they say that it is not.
		r.view = r.last
		return step{}, false
	case r.phase == viewing:
		return step{fail: fmt.Errorf("read catalog: %w", err)}, true
	}
	r.answer.Done += r.counts(j)
	switch m := j.msg.(type) {
	case *jobs.BlockScanJob:
		return r.onBlock(m.Block, err)
	case *jobs.BlockTracesJob:
		for _, b := range m.Blocks {
			if s, over := r.onBlock(b, err); over {
				return s, over
			}
		}
	default:
		r.missing.partition(j.partition, r.phase == homes, err)
	}
	return step{}, false
}

func (r *running) mayUseLast() bool { return r.last != nil && r.last.Version >= r.atLeast }

// onBlock notes a block that could not be read. One that is gone was replaced: the query is planned
// again where the catalog has moved on.
func (r *running) onBlock(m *blocks.BlockMeta, err error) (step, bool) {
	if gone(err) && r.lost[m.GetId()] < r.view.Version {
		r.lost[m.GetId()] = r.view.Version
		return r.plan(), true
	}
	r.missing.block(m, err)
	return step{}, false
}

func gone(err error) bool {
	return status.Of(err).Class == status.NotFound || errors.Is(err, objstore.ErrNotFound)
}

// exceeded ends a query that has passed a limit. Traces that are put together for it are not the
// answer: of those it reads fewer at a time.
func (r *running) exceeded() (step, bool) {
	if r.answer.Bytes > r.cfg.MaxBytes {
		return limited("max_bytes_per_query", "it has read more than %d bytes; ask for less time or narrow the filter", r.cfg.MaxBytes), true
	}
	known := r.partial.Size()
	if r.size = known + r.fragments; r.size > r.cfg.MaxResult {
		if r.phase == reading && r.q.Trace == nil && known <= r.cfg.MaxResult {
			return r.readFewer(), true
		}
		return limited("max_result_bytes", "its answer needs more than %d bytes of memory; ask for fewer traces or series, or less time", r.cfg.MaxResult), true
	}
	return step{}, false
}

// limited is the end of a query that has hit a limit.
func limited(key, format string, args ...any) step {
	return step{limit: key, fail: status.Limitedf(0, "query: %s (%s)", fmt.Sprintf(format, args...), key)}
}

func (r *running) onReply(j job, reply any) (step, bool) {
	if j.kind == kinds.LiveStore && r.view != nil {
		held, behind := heldOf(reply)
		if held.Floor > r.view.Covered[j.partition] {
			r.atLeast = max(r.atLeast, held.Version)
			return r.plan(), true // it has dropped what a newer catalog says is in blocks
		}
		r.aside(held.Aside)
		if behind != "" {
			what := fmt.Sprintf("live-store of partition %d", j.partition)
			r.missing.add(what, "%s cannot read on in the log: %s", what, behind)
		}
	}
	r.answer.Done += r.counts(j)
	switch m := reply.(type) {
	case *catalog.View:
		r.view, r.last = m, m
		return step{}, false
	case *jobs.HomesResult:
		r.homes[m.Partition] = m
		for _, f := range m.Unread {
			if !gone(f) {
				r.missing.home(f.Block, f)
			} else if s, over := r.onBlock(f.Block, f); over {
				return s, true
			}
		}
	case *jobs.ScanResult:
		r.answer.Bytes += m.Bytes
		r.answer.Spans += m.Spans
		r.answer.CacheHits += m.CacheHits
		r.known = r.phase == recalling
		if b, ok := j.msg.(*jobs.BlockScanJob); ok && m.Oldest > 0 {
			r.oldest[part{b.Block.GetId(), b.Part}] = m.Oldest
		}
		if j.kind == kinds.LiveStore && m.Partial.Search != nil {
			r.missing.foundLive(m.Partial.Search)
		}
		r.partial.Merge(m.Partial, r.q.Scan)
	case *jobs.TracesResult:
		r.answer.Bytes += m.Bytes
		if j.kind == kinds.LiveStore && r.q.Trace != nil {
			r.watermark(m.Watermark)
		}
		for _, f := range m.Failed {
			if s, over := r.onBlock(f.Block, f); over {
				return s, true
			}
		}
		for i, homes := range m.Fragments {
			r.traces[i] = append(r.traces[i], homes...)
			for _, fs := range homes {
				for k := range fs {
					r.fragments += int64(len(fs[k].Span)) + 96
				}
			}
		}
		if b, ok := j.msg.(*jobs.BlockTracesJob); ok && len(m.Failed) == len(b.Blocks) {
			return step{}, false
		}
	case assembled:
		r.answer.Trace = m.otlp
	case unknown:
		return step{}, false
	default:
		return step{fail: status.Errorf(status.Internal, "BUG: unexpected reply %T to %T", reply, j.msg)}, true
	}
	r.read++
	return step{}, false
}

// heldOf returns what a live-store says of itself: what it holds, and why it cannot read on.
func heldOf(reply any) (held jobs.Held, behind string) {
	switch m := reply.(type) {
	case *jobs.HomesResult:
		return m.Held, m.Behind
	case *jobs.ScanResult:
		return m.Held, ""
	case *jobs.TracesResult:
		return m.Held, m.Behind
	}
	return held, ""
}

// at is what live-stores are told of the plan.
func (r *running) at() jobs.Snapshot {
	return jobs.Snapshot{Version: r.view.Version, Epoch: r.view.Epoch}
}

// advance goes on when every job of the phase has ended.
func (r *running) advance() step {
	switch r.phase {
	case viewing:
		r.gaps()
		r.aside(r.view.Aside)
		if r.q.Trace != nil {
			r.ids = []trace.ID{*r.q.Trace}
			r.metas = r.view.Blocks(r.q.Tenant, 0, math.MaxUint64)
			return r.readTraces()
		}
		return r.askHomes()
	case homes:
		if parts := r.routedBy(); len(parts) > 0 && !slices.Equal(parts, r.routes()) && r.parts == nil && r.q.Scan.Whole() {
			r.parts = parts // the number of partitions has grown: parts of a trace may lie in two
			return r.askHomes()
		}
		return r.scan()
	case scanning:
		r.partial.Candidates(r.bounds.Add)
		r.sortCandidates()
		return r.confirm()
	case recalling:
		if r.confirming.known {
			return r.confirm()
		}
		return r.readTraces()
	case reading:
		r.missing.assembled(r.home, r.ids)
		r.phase = assembling
		if !slices.ContainsFunc(r.traces, func(homes [][]trace.Fragment) bool { return len(homes) > 0 }) {
			return r.advance() // none of them is there
		}
		return r.enqueue([]job{{msg: r.assembly()}})
	default:
		r.traces = nil
		if r.q.Trace != nil {
			return r.finish()
		}
		return r.confirm()
	}
}

// partitions lists the partitions that the trace, or any trace, may be in.
func (r *running) partitions() []int32 {
	return slices.Sorted(maps.Keys(r.view.Covered))
}

// home is the partition that a trace's live part is in.
func (r *running) home(id trace.ID) int32 {
	return trace.Partition(r.q.Tenant, id, len(r.view.Covered))
}

// counts is 1 for the jobs that the answer counts.
func (r *running) counts(j job) int {
	switch j.msg.(type) {
	case *jobs.LiveScanJob, *jobs.BlockScanJob:
		return 1
	case *jobs.LiveTracesJob, *jobs.BlockTracesJob:
		if r.q.Trace != nil {
			return 1
		}
	}
	return 0
}

// progress is what is known so far, if it is time to tell it.
func (r *running) progress(now time.Time) *jobs.Answer {
	if !r.q.WantsProgress || r.q.Trace != nil || r.answer.Done == 0 {
		return nil
	}
	news := r.partial.Search != nil && len(r.partial.Search.Traces) > 0 && !r.news
	if !r.told.IsZero() && now.Sub(r.told) < r.cfg.ProgressStep && !news {
		return nil
	}
	r.told, r.news = now, r.news || news
	a := r.answer
	a.Partial = r.partial.Clone(r.q.Scan)
	a.Warnings, a.Partials = r.missing.warnings(), r.missing.partials(r.home, a.Partial.Search)
	return &a
}

// finish is the answer, or why there is none: nothing of what was asked could be read.
func (r *running) finish() step {
	if r.read == 0 && r.missing.first != nil {
		return step{fail: fmt.Errorf("query: nothing could be read: %w", r.missing.first)}
	}
	a := &r.answer
	a.Partial = r.partial
	r.noteCut()
	a.Warnings = r.missing.warnings()
	a.Complete = len(a.Warnings) == 0
	if r.q.Explain {
		a.Explained = &r.explained
	}
	if r.q.Trace == nil {
		a.Partials = r.missing.partials(r.home, a.Partial.Search)
	} else if a.Trace != nil && r.missing.partial[*r.q.Trace] {
		a.Partials = []trace.ID{*r.q.Trace}
	}
	return step{answer: a}
}
