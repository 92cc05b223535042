package livestore

import (
	"context"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// answerTrace reads one trace by its id, in everything that was read so far.
func (s *state) answerTrace(now time.Time, q question, m *jobs.LiveTraceJob) (answer, bool) {
	retained, ok := s.retainedFor(now, m.Snapshot, m.Tenant, offsetRange{m.From, -1})
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
		behind:    s.behind,
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
	r, err := jobs.RunTrace(ctx, w.tables, w.job.ID, w.job.MaxBytes)
	if err != nil {
		return nil, err
	}
	r.Retained, r.Behind, r.Watermark = w.retained, w.behind, w.watermark
	return r, nil
}
