package livestore

import (
	"context"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// answerTrace reads one trace by its id, in everything that was read so far.
func (s *state) answerTrace(now time.Time, q question, m *jobs.LiveTraceJob) (answer, bool) {
	retained, ok := s.retainedFor(now, q, m.Snapshot, m.Tenant, offsetRange{m.From, -1})
	switch {
	case !ok:
		return answer{}, false
	case retained.Floor > m.From:
		return answer{question: q, reply: &jobs.TraceResult{Retained: retained}}, true
	}
	return answer{question: q, work: &traceWork{
		job:       m,
		retained:  retained,
		tables:    s.snapshotsOf(m.Tenant, m.From, s.next),
		behind:    s.whyBehind(s.next, q.at),
		watermark: s.watermark(),
	}}, true
}

// traceWork reads the spans of one trace.
type traceWork struct {
	job       *jobs.LiveTraceJob
	retained  jobs.Retained
	tables    []column.Table
	behind    string
	watermark int64
}

func (w *traceWork) run(ctx context.Context, _ blockstore.Opener) (any, error) {
	r, err := jobs.RunTrace(ctx, w.tables, w.job.ID, w.job.MaxBytes, w.job.Only)
	if err != nil {
		return nil, err
	}
	r.Retained, r.Behind, r.Watermark = w.retained, w.behind, w.watermark
	return r, nil
}

// answerKeys reads the keys of a trace that is read in chunks.
func (s *state) answerKeys(now time.Time, q question, m *jobs.LiveKeysJob) (answer, bool) {
	retained, ok := s.retainedFor(now, q, m.Snapshot, m.Tenant, offsetRange{m.From, m.UpTo})
	switch {
	case !ok:
		return answer{}, false
	case retained.Floor > m.From:
		return answer{question: q, reply: &jobs.KeysResult{Retained: retained}}, true
	}
	w := &keysWork{job: m, retained: retained, upTo: m.UpTo, watermark: s.watermark()}
	if m.UpTo < 0 {
		w.upTo, w.behind = s.next, s.whyBehind(s.next, q.at)
	}
	w.tables = s.snapshotsOf(m.Tenant, m.From, w.upTo)
	return answer{question: q, work: w}, true
}

// keysWork reads the keys of one trace.
type keysWork struct {
	job       *jobs.LiveKeysJob
	retained  jobs.Retained
	tables    []column.Table
	upTo      int64
	behind    string
	watermark int64
}

func (w *keysWork) run(ctx context.Context, _ blockstore.Opener) (any, error) {
	r, err := jobs.RunKeys(ctx, w.tables, w.job.KeysWanted)
	if err != nil {
		return nil, err
	}
	r.Retained, r.UpTo = w.retained, w.upTo
	r.Behind, r.Watermark = w.behind, w.watermark
	return r, nil
}

// answerSpans reads rows of tables. They are numbered as for the keys, because equal ranges have
// equal tables.
func (s *state) answerSpans(now time.Time, q question, m *jobs.LiveSpansJob) (answer, bool) {
	retained, ok := s.retainedFor(now, q, m.Snapshot, m.Tenant, offsetRange{m.From, m.UpTo})
	switch {
	case !ok:
		return answer{}, false
	case retained.Floor > m.From:
		return answer{question: q, reply: &jobs.SpansResult{Retained: retained}}, true
	}
	w := &spansWork{job: m, retained: retained, tables: s.snapshotsOf(m.Tenant, m.From, m.UpTo)}
	return answer{question: q, work: w}, true
}

// spansWork reads rows of tables.
type spansWork struct {
	job      *jobs.LiveSpansJob
	retained jobs.Retained
	tables   []column.Table
}

func (w *spansWork) run(ctx context.Context, _ blockstore.Opener) (any, error) {
	r := &jobs.SpansResult{Retained: w.retained}
	for _, h := range w.job.Rows {
		if h.Home >= len(w.tables) {
			return nil, status.Errorf(status.Internal, "BUG: read rows of table %d of %d", h.Home, len(w.tables))
		}
		if err := r.AddRows(ctx, w.tables[h.Home], h.Rows, w.job.SpansWanted); err != nil {
			return nil, err
		}
	}
	return r, nil
}
