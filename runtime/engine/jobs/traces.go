package jobs

import (
	"context"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// TracesAsk is what is asked for of some traces: columns of their spans. With Only that is of those
// spans alone which it names, and their contents.
type TracesAsk struct {
	IDs     []trace.ID
	Columns *extract.Asked
	Only    []extract.Span // by trace
}

// LiveTracesJob asks a live-store for columns of traces in [From, UpTo).
type LiveTracesJob struct {
	Snapshot
	Tenant     string
	From, UpTo int64
	TracesAsk
}

// BlockTracesJob asks a querier for columns of traces in some blocks. The trace-id filter of a
// block answers for most ids without a read.
type BlockTracesJob struct {
	Blocks []*blocks.BlockMeta
	TracesAsk
}

// TracesResult answers LiveTracesJob and BlockTracesJob. It has an extract of each table that holds
// a part of a trace.
type TracesResult struct {
	Extracts []*extract.Extract
	Bytes    int64          // read for this job
	Failed   []BlockFailure // blocks of the job that could not be read

	// The rest is of a live-store only.
	Retained
	Behind string // as in HomesResult
}

// Size returns about how many bytes of memory the extracts take.
func (r *TracesResult) Size() (n int64) {
	for _, e := range r.Extracts {
		n += e.Size()
	}
	return n
}

// Wanted returns the traces that something is asked for of, and the places of these in IDs.
func (a *TracesAsk) Wanted() (ids []trace.ID, places []uint32) {
	if a.Only == nil {
		for i := range a.IDs {
			places = append(places, uint32(i))
		}
		return a.IDs, places
	}
	for i, s := range a.Only {
		if i == 0 || s.Trace != a.Only[i-1].Trace {
			ids, places = append(ids, a.IDs[s.Trace]), append(places, s.Trace)
		}
	}
	return ids, places
}

// TraceColumns returns the columns that a scan which judges traces reads.
func (s Scan) TraceColumns() (*extract.Asked, error) {
	switch {
	case s.Search != nil:
		return eval.SearchColumns(s.Search)
	case s.Matches != nil:
		return eval.MatchesColumns(s.Matches)
	}
	return eval.MetricsColumns(s.Metrics)
}

// RunTraces takes what is asked for out of tables.
func RunTraces(ctx context.Context, tables []column.Table, a *TracesAsk) (*TracesResult, error) {
	r := &TracesResult{}
	ids, places := a.Wanted()
	var index map[trace.ID]uint32
	for _, t := range tables {
		var found []extract.Found
		var err error
		if len(ids) > fewTraces && len(ids) > t.Traces()/8 {
			if index == nil {
				index = make(map[trace.ID]uint32, len(ids))
				for i, id := range ids {
					index[id] = places[i]
				}
			}
			found, err = findAmong(ctx, t, index)
		} else {
			found, err = lookUp(ctx, t, ids, places)
		}
		if err != nil {
			return nil, err
		}
		if err := r.AddTable(ctx, t, found, a); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// fewTraces is the number of traces up to which each is looked up in a table.
const fewTraces = 4

// AddTable adds the extract of one table, which holds the traces found.
func (r *TracesResult) AddTable(
	ctx context.Context, t column.Table, found []extract.Found, a *TracesAsk,
) error {
	if len(found) == 0 {
		return nil
	}
	e, err := extract.Read(ctx, t, found, a.Columns, a.Only)
	if err == nil && len(e.Traces) > 0 {
		r.Extracts = append(r.Extracts, e)
	}
	return err
}

// findAmong looks for each trace of a table among those that are asked for.
func findAmong(ctx context.Context, t column.Table, asked map[trace.ID]uint32) (out []extract.Found, err error) {
	for i := range t.Traces() {
		id, err := t.TraceID(ctx, i)
		if err != nil {
			return nil, err
		}
		if n, ok := asked[id]; ok {
			out = append(out, extract.Found{Ordinal: i, Trace: n})
		}
	}
	return out, ctx.Err()
}

// lookUp looks for each trace that is asked for in a table.
func lookUp(ctx context.Context, t column.Table, ids []trace.ID, places []uint32) (out []extract.Found, err error) {
	for n, id := range ids {
		i, ok, err := t.Lookup(ctx, id)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, extract.Found{Ordinal: i, Trace: places[n]})
		}
	}
	return out, ctx.Err()
}

// JoinedResult is what some traces add to an answer that were put together. Tied are spans without
// whose contents their traces cannot be judged; these traces are not in the result.
type JoinedResult struct {
	Partial Partial
	Tied    []extract.Span // by trace
}

// RunJoined evaluates a scan over those traces that are set in which, each put together from its
// parts. Spans beyond the trace window of the scan take no part.
func RunJoined(ctx context.Context, p *extract.Parts, which column.Bitmap, s Scan) (*JoinedResult, error) {
	t, tied, err := extract.Join(ctx, p, which)
	if err != nil || t.Rows() == 0 {
		return &JoinedResult{Tied: tied}, err
	}
	r, err := RunScan(ctx, []column.Table{t}, s, nil)
	if err != nil {
		return nil, err
	}
	return &JoinedResult{Partial: r.Partial, Tied: tied}, nil
}
