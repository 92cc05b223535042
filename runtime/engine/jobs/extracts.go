package jobs

import (
	"context"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// ExtractAsk is what is asked for of some traces: the columns of their spans. With Only that is
// those spans alone which it names, with their contents.
type ExtractAsk struct {
	IDs     []trace.ID
	Columns *extract.Asked
	Only    []extract.Span
}

// LiveExtractJob asks a live-store for columns of traces in [From, UpTo).
type LiveExtractJob struct {
	Snapshot
	Tenant     string
	From, UpTo int64
	ExtractAsk
}

// BlockExtractJob asks a querier for columns of traces in some blocks. The trace-id filter of a
// block answers for most ids without a read.
type BlockExtractJob struct {
	Blocks []*blocks.BlockMeta
	ExtractAsk
}

// ExtractResult answers LiveExtractJob and BlockExtractJob: an extract of each table that holds a
// part of a trace.
type ExtractResult struct {
	Extracts []*extract.Extract
	Bytes    int64          // read for this job
	Failed   []BlockFailure // blocks of the job that could not be read
	Retained                // of a live-store only
	Behind   string         // of a live-store only, as in HomesResult
}

// ColumnsOf returns the columns that a scan which judges traces reads.
func ColumnsOf(s Scan) (*extract.Asked, error) {
	if s.Search != nil {
		return eval.SearchColumns(s.Search)
	}
	return eval.MetricsColumns(s.Metrics)
}

// RunExtract takes what is asked for out of tables.
func RunExtract(ctx context.Context, tables []column.Table, a *ExtractAsk) (*ExtractResult, error) {
	r := &ExtractResult{}
	var index map[trace.ID]uint32
	for _, t := range tables {
		var found []extract.Found
		var err error
		if len(a.IDs) > 4 && len(a.IDs) > t.Traces()/8 {
			if index == nil {
				index = make(map[trace.ID]uint32, len(a.IDs))
				for i, id := range a.IDs {
					index[id] = uint32(i)
				}
			}
			found, err = findAmong(ctx, t, index)
		} else {
			found, err = lookUp(ctx, t, a.IDs)
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

// AddTable adds the extract of one table, which holds the traces found.
func (r *ExtractResult) AddTable(ctx context.Context, t column.Table, found []extract.Found, a *ExtractAsk) error {
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
func lookUp(ctx context.Context, t column.Table, asked []trace.ID) (out []extract.Found, err error) {
	for n, id := range asked {
		i, ok, err := t.Lookup(ctx, id)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, extract.Found{Ordinal: i, Trace: uint32(n)})
		}
	}
	return out, ctx.Err()
}

// RunJoined evaluates a scan over those traces that are set in which, each put together from its
// parts. Traces that cannot be judged without the contents of some spans are left out, and these
// spans returned. Spans beyond the trace window of the scan take no part.
func RunJoined(ctx context.Context, p *extract.Parts, which column.Bitmap, s Scan) (*ScanResult, []extract.Span, error) {
	t, tied, err := extract.Join(ctx, p, which)
	if err != nil || t.Rows() == 0 {
		return &ScanResult{}, tied, err
	}
	r, err := RunScan(ctx, []column.Table{t}, s, nil)
	return r, tied, err
}
