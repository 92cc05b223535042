package livestore

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// question is a job that a query-frontend has sent. It waits as long as it asks for more than was
// read so far.
type question struct {
	asker *actor.PID
	ctx   context.Context // ends when nobody waits for the answer any longer
	job   any             // *jobs.HomesJob, *jobs.LiveScanJob, *jobs.LiveTracesJob or *jobs.LiveTraceJob
}

// answer is how a question goes on: with a reply at once, or with work whose result is the reply.
type answer struct {
	question
	reply any
	work  tableWork // nil: reply is the answer
}

// tableWork is the part of a question that looks at tables or blocks. It runs on the pool, and uses
// nothing of the state but immutable snapshots.
type tableWork interface {
	// run returns the reply, or homesFound.
	run(ctx context.Context, opener blockstore.Opener) (any, error)
}

// readSlack is how much longer ago than usual the last read may have begun.
const readSlack = time.Second

// isOverdue reports whether the last read began so long ago that a question about the present must
// wait for the next one: a process that has slept does not answer from before its sleep. It does
// not wait for a log that cannot be read.
func (s *state) isOverdue(now time.Time) bool {
	return s.behind == "" && now.Sub(s.current) > 2*s.cfg.FetchWait+s.cfg.Pause+readSlack
}

// onQuestion answers a question, or keeps it until enough was read.
func (s *state) onQuestion(now time.Time, q question) step {
	if x, ok := s.answerQuestion(now, q); ok {
		return step{answers: []answer{x}}
	}
	s.waiting = append(s.waiting, q)
	return step{}
}

// answerWaiting answers the waiting questions for which enough was read. The others wait on.
func (s *state) answerWaiting(now time.Time) (out []answer) {
	waiting := s.waiting
	s.waiting = nil
	for _, q := range waiting {
		if q.ctx.Err() != nil {
			continue
		}
		if x, ok := s.answerQuestion(now, q); ok {
			out = append(out, x)
		} else {
			s.waiting = append(s.waiting, q)
		}
	}
	return out
}

// answerQuestion returns false if the question has to wait.
func (s *state) answerQuestion(now time.Time, q question) (answer, bool) {
	switch m := q.job.(type) {
	case *jobs.HomesJob:
		retained, ok := s.retainedFor(now, m.Snapshot, m.Tenant, offsetRange{m.From, -1})
		if !ok {
			return answer{}, false
		}
		return s.answerHomes(q, m, retained), true
	case *jobs.LiveScanJob:
		retained, ok := s.retainedFor(now, m.Snapshot, m.Tenant, offsetRange{m.From, m.UpTo})
		switch {
		case !ok:
			return answer{}, false
		case retained.Floor > m.From:
			return answer{question: q, reply: &jobs.ScanResult{Retained: retained}}, true
		}
		w := &scanWork{job: m, retained: retained, tables: s.snapshotsOf(m.Tenant, m.From, m.UpTo)}
		return answer{question: q, work: w}, true
	case *jobs.LiveTracesJob:
		retained, ok := s.retainedFor(now, m.Snapshot, m.Tenant, offsetRange{m.From, m.UpTo})
		switch {
		case !ok:
			return answer{}, false
		case retained.Floor > m.From:
			return answer{question: q, reply: &jobs.TracesResult{Retained: retained}}, true
		}
		w := &tracesWork{job: m, retained: retained, tables: s.snapshotsOf(m.Tenant, m.From, m.UpTo)}
		return answer{question: q, work: w}, true
	case *jobs.LiveTraceJob:
		return s.answerTrace(now, q, m)
	case *jobs.LiveKeysJob:
		return s.answerKeys(now, q, m)
	case *jobs.LiveSpansJob:
		return s.answerSpans(now, q, m)
	}
	panic("BUG: question of an unknown type")
}

// retainedFor returns what the actor has of the offsets that a question of a tenant asks for, and
// false if the question has to wait. A range that ends below 0 means everything that there is at
// present; one that begins above everything that was read waits, because blocks may be built by
// another node that is ahead. If the version that the question was planned on is too old, the floor
// is above the range.
func (s *state) retainedFor(
	now time.Time, at jobs.Snapshot, tenant string, asked offsetRange,
) (retained jobs.Retained, ok bool) {
	retained = jobs.Retained{Floor: s.floor, Version: s.version}
	switch {
	case s.phase != ready, asked.to < 0 && s.isOverdue(now):
		return retained, false
	case at.Epoch != s.epoch && at.Version > s.version:
		s.giveUp(dropped) // the catalog is in another epoch of the log, and nobody has told us
		return retained, false
	case at.Epoch != s.epoch:
		retained.Floor = math.MaxInt64
		return retained, true
	case s.floor > asked.from:
		return retained, true
	}
	s.keeping.noteAsked(now, asked.from)
	end := asked.to
	if end < 0 {
		end = max(asked.from, s.next)
	}
	if len(s.records.aside) > 0 {
		aside := slices.DeleteFunc(s.records.asideBetween(asked.from, end), func(r jobs.AsideRecord) bool {
			return r.Tenant != "" && r.Tenant != tenant
		})
		retained.Aside = jobs.SummarizeSetAside(s.epoch, s.partition, aside)
	}
	return retained, end <= s.next
}

// answerHomes names the traces that have another home. Blocks that were not searched yet are
// searched on the pool first.
func (s *state) answerHomes(q question, m *jobs.HomesJob, retained jobs.Retained) answer {
	r := &jobs.HomesResult{
		Retained:  retained,
		Partition: s.partition,
		UpTo:      s.next,
		Behind:    s.behind,
		Watermark: s.watermark(),
		Spans:     s.spansOf(m.Tenant, m.From, s.next),
		Parts:     s.records.partsFrom(m.From),
	}
	t := s.tenants[m.Tenant]
	if retained.Floor > m.From || t == nil {
		return answer{question: q, reply: r}
	}
	t.indexTraces()
	from := t.firstSegment(m.From)
	searches := t.homes.pendingSearches(m.Blocks, from)
	if len(searches) == 0 {
		return s.answerShared(q, t, r)
	}
	w := &searchWork{question: q, tenant: t, dropCount: t.homes.dropCount, from: from, searches: searches, result: r}
	return answer{question: q, work: w}
}

// onHomesFound goes on with a question whose blocks were searched.
func (s *state) onHomesFound(now time.Time, m homesFound) step {
	q := m.work.question
	t := s.tenants[q.job.(*jobs.HomesJob).Tenant]
	if t != m.work.tenant || t.homes.dropCount != m.work.dropCount {
		return s.onQuestion(now, q) // segments were dropped meanwhile
	}
	for _, f := range m.found {
		t.homes.noteFound(m.work.from, f.blockSearch, f.traces)
	}
	r := m.work.result
	r.Unread = m.unread
	return step{answers: []answer{s.answerShared(q, t, r)}}
}

// answerShared names the traces that have another home, all blocks having been searched.
func (s *state) answerShared(q question, t *tenant, r *jobs.HomesResult) answer {
	m := q.job.(*jobs.HomesJob)
	r.Shared = t.homes.sharedTraces(t.firstSegment(m.From), func(id trace.ID) bool {
		isElsewhere := func(n int32) bool { return trace.Partition(m.Tenant, id, int(n)) != s.partition }
		return slices.ContainsFunc(m.Parts, isElsewhere)
	})
	if m.Repeating {
		r.Shared = slices.DeleteFunc(r.Shared, func(e catalog.Extent) bool { return e.Disjoint })
	}
	if len(r.Shared) == 0 {
		return answer{question: q, reply: r}
	}
	return answer{question: q, work: &extentsWork{result: r, tables: s.snapshotsOf(m.Tenant, m.From, r.UpTo)}}
}

// scanWork evaluates a scan.
type scanWork struct {
	job      *jobs.LiveScanJob
	retained jobs.Retained
	tables   []column.Table
}

func (w *scanWork) run(ctx context.Context, _ blockstore.Opener) (any, error) {
	r, err := jobs.RunScan(ctx, w.tables, w.job.Scan, w.job.Shared.LeftOutLive())
	if err != nil {
		return nil, err
	}
	r.Retained = w.retained
	return r, nil
}

// tracesWork reads columns of some traces.
type tracesWork struct {
	job      *jobs.LiveTracesJob
	retained jobs.Retained
	tables   []column.Table
}

func (w *tracesWork) run(ctx context.Context, _ blockstore.Opener) (any, error) {
	r, err := jobs.RunTraces(ctx, w.tables, &w.job.TracesAsk)
	if err != nil {
		return nil, err
	}
	r.Retained = w.retained
	return r, nil
}

// searchWork looks for traces in blocks. Its result comes back to the actor, which remembers it.
type searchWork struct {
	question  question
	tenant    *tenant
	dropCount int // of the tenant's homeIndex when the work began
	from      int // number of the first segment that the question asks for
	searches  []blockSearch
	result    *jobs.HomesResult
}

// homesFound is the end of searchWork.
type homesFound struct {
	work   *searchWork
	found  []foundTraces
	unread []jobs.BlockFailure
}

// foundTraces are the traces that a block has, of those that it was searched for.
type foundTraces struct {
	blockSearch
	traces []catalog.Extent
}

func (w *searchWork) run(ctx context.Context, opener blockstore.Opener) (any, error) {
	out := homesFound{work: w}
	for _, b := range w.searches {
		traces, err := b.findTraces(ctx, opener)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			out.unread = append(out.unread, failureOf(b.meta, err))
			continue
		}
		out.found = append(out.found, foundTraces{b, traces})
	}
	return out, nil
}

// failureOf describes a block that could not be read.
func failureOf(m *blocks.BlockMeta, err error) jobs.BlockFailure {
	class := status.Of(err).Class
	if errors.Is(err, objstore.ErrNotFound) {
		class = status.NotFound
	}
	return jobs.BlockFailure{Block: m, Class: class.String(), Reason: err.Error()}
}

// extentsWork completes the extents of shared traces by their live parts.
type extentsWork struct {
	result *jobs.HomesResult
	tables []column.Table
}

func (w *extentsWork) run(ctx context.Context, _ blockstore.Opener) (any, error) {
	if err := addLiveExtents(ctx, w.result.Shared, w.tables); err != nil {
		return nil, err
	}
	return w.result, nil
}
