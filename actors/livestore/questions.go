package livestore

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
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
	at    time.Time       // when it came
	// patience is how long it waits for the end of the log. Then an answer that says that it may
	// miss something is better than none.
	patience time.Time
}

// newQuestion takes a question. A third of its time may go by with waiting.
func newQuestion(now time.Time, asker *actor.PID, ctx context.Context, job any) question {
	q := question{asker: asker, ctx: ctx, job: job, at: now, patience: now.Add(longestPatience)}
	if end, ok := ctx.Deadline(); ok {
		q.patience = now.Add(end.Sub(now) / 3)
	}
	return q
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

// longestPatience is for questions without a deadline.
const longestPatience = time.Minute

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
		retained, ok := s.retainedFor(now, q, m.Snapshot, m.Tenant, offsetRange{m.From, -1})
		if !ok {
			return answer{}, false
		}
		return s.answerHomes(q, m, retained), true
	case *jobs.LiveScanJob:
		retained, ok := s.retainedFor(now, q, m.Snapshot, m.Tenant, offsetRange{m.From, m.UpTo})
		switch {
		case !ok:
			return answer{}, false
		case retained.Floor > m.From:
			return answer{question: q, reply: &jobs.ScanResult{Retained: retained}}, true
		}
		w := &scanWork{
			job:      m,
			retained: retained,
			tables:   s.snapshotsOf(m.Tenant, m.From, m.UpTo),
			leftOut:  s.leftOutOf(m),
		}
		return answer{question: q, work: w}, true
	case *jobs.LiveTracesJob:
		retained, ok := s.retainedFor(now, q, m.Snapshot, m.Tenant, offsetRange{m.From, m.UpTo})
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
	now time.Time, q question, at jobs.Snapshot, tenant string, asked offsetRange,
) (retained jobs.Retained, ok bool) {
	retained = jobs.Retained{Floor: s.floor, Version: s.version}
	switch {
	case s.phase != ready,
		asked.to < 0 && s.behind == "" && !s.isFresh(q.at) && now.Before(q.patience):
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
		Behind:    s.whyBehind(s.next, q.at),
		Watermark: s.watermark(),
		Spans:     s.spansOf(m.Tenant, m.From, s.next),
		Parts:     s.records.partsFrom(m.From),
	}
	t := s.tenants[m.Tenant]
	if retained.Floor > m.From || t == nil {
		return answer{question: q, reply: r}
	}
	t.indexHomes()
	h := &homesWork{question: q, job: m, tenant: t, dropCount: t.homes.dropCount, asked: s.rangeOf(t, m), result: r}
	h.searches = t.homes.pendingSearches(m.Blocks, h.asked.segment)
	if len(h.searches) == 0 {
		return s.answerShared(h)
	}
	return answer{question: q, work: searchWork{h}}
}

// rangeOf returns which records a question about homes is about.
func (s *state) rangeOf(t *tenant, m *jobs.HomesJob) homeRange {
	r := homeRange{segment: t.firstSegment(m.From), offset: m.From}
	if len(m.Parts) > 0 {
		r.isElsewhere = func(id trace.ID) bool {
			return slices.ContainsFunc(m.Parts, func(n int32) bool {
				return trace.Partition(m.Tenant, id, int(n)) != s.partition
			})
		}
	}
	return r
}

// onHomesFound goes on with a question whose blocks were searched or read.
func (s *state) onHomesFound(now time.Time, m homesFound) step {
	h := m.work
	t := s.tenants[h.job.Tenant]
	if t != h.tenant || t.homes.dropCount != h.dropCount {
		return s.onQuestion(now, h.question) // segments were dropped meanwhile
	}
	for _, f := range m.found {
		ownTo := int64(0)
		if f.meta.GetEpoch() == s.epoch && f.meta.GetPartition() == s.partition {
			ownTo = f.meta.GetTo()
		}
		t.homes.noteFound(h.asked.segment, f.blockSearch, f.parts, ownTo)
	}
	for _, r := range m.read {
		t.homes.shared.noteRead(r)
	}
	h.result.Unread = append(h.result.Unread, m.unread...)
	return step{answers: []answer{s.answerShared(h)}}
}

// answerShared names the traces that have another home, all blocks having been searched. Where only
// the repeating ones are asked for, parts of traces in blocks may have to be read before.
func (s *state) answerShared(h *homesWork) answer {
	t := h.tenant
	t.homes.shareElsewhere(h.asked)
	t.homes.shared.readRows(t.segments)
	if !h.job.Repeating {
		h.result.Shared = t.homes.shared.listAll(h.asked)
		return answer{question: h.question, reply: h.result}
	}
	if !h.haveRead {
		h.haveRead = true
		if reads := t.homes.pendingReads(h.job.Blocks); len(reads) > 0 {
			return answer{question: h.question, work: readWork{h, reads}}
		}
	}
	h.result.Shared = t.homes.shared.listRepeating(h.asked)
	return answer{question: h.question, reply: h.result}
}

// leftOutOf lists the traces that a scan has to leave out because segments of its range share them.
// Mostly the scan's own set has them. But that may come from a live-store of the same partition
// whose segments were cut elsewhere: there each of these traces may lie in one segment.
func (s *state) leftOutOf(m *jobs.LiveScanJob) []trace.ID {
	t := s.tenants[m.Tenant]
	if t == nil || m.Shared == nil {
		return nil
	}
	t.indexHomes()
	r := homeRange{segment: t.firstSegment(m.From), offset: m.From}
	return t.homes.shared.listLive(r, t.firstSegmentAfter(m.UpTo), m.Scan.IsSpanwise())
}

// scanWork evaluates a scan.
type scanWork struct {
	job      *jobs.LiveScanJob
	retained jobs.Retained
	tables   []column.Table
	leftOut  []trace.ID // whether or not job.Shared has them
}

func (w *scanWork) run(ctx context.Context, _ blockstore.Opener) (any, error) {
	r, err := jobs.RunScan(ctx, w.tables, w.job.Scan, w.job.Shared.LeftOutLive(w.leftOut))
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

// homesWork is a question about homes for which blocks are looked at.
type homesWork struct {
	question  question
	job       *jobs.HomesJob // of question
	tenant    *tenant
	dropCount int // of the tenant's homeIndex when the work began
	asked     homeRange
	searches  []blockSearch
	haveRead  bool // the parts of traces that were in doubt
	result    *jobs.HomesResult
}

// homesFound is the end of a searchWork or a readWork. It comes back to the actor, which remembers
// it.
type homesFound struct {
	work   *homesWork
	found  []foundTraces
	read   []*partsRead
	unread []jobs.BlockFailure
}

// foundTraces are the traces that a block has, of those that it was searched for.
type foundTraces struct {
	blockSearch
	parts []foundPart
}

// searchWork looks for traces in blocks.
type searchWork struct{ *homesWork }

func (w searchWork) run(ctx context.Context, opener blockstore.Opener) (any, error) {
	out := homesFound{work: w.homesWork}
	for _, b := range w.searches {
		parts, err := b.findTraces(ctx, opener)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			out.unread = append(out.unread, failureOf(b.meta, err))
			continue
		}
		out.found = append(out.found, foundTraces{b, parts})
	}
	return out, nil
}

// readWork reads which spans blocks have of some traces. Traces of a block that cannot be read stay
// in doubt.
type readWork struct {
	*homesWork
	reads []*partsRead
}

func (w readWork) run(ctx context.Context, opener blockstore.Opener) (any, error) {
	out := homesFound{work: w.homesWork}
	for _, r := range w.reads {
		err := r.readSpans(ctx, opener)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			out.read = append(out.read, r)
		}
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
