package jobs

import (
	"context"
	"iter"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// LiveTraceJob asks a live-store for all spans of one trace from From on, as far as it has read.
type LiveTraceJob struct {
	Snapshot
	Tenant string
	From   int64 // the covered offset of the partition in the query's version of the catalog
	ID     trace.ID
	// MaxBytes is the size from which a trace is long: its spans are not wanted then.
	MaxBytes int64
	Only     []trace.SpanID // the spans that are wanted, ascending; nil: all
}

// BlockTraceJob asks a querier for all spans of one trace in some blocks. The trace-id filter of a
// block mostly answers without a read.
type BlockTraceJob struct {
	Blocks   []*blocks.BlockMeta
	ID       trace.ID
	MaxBytes int64          // as in LiveTraceJob
	Only     []trace.SpanID // as in LiveTraceJob
}

// TraceResult answers LiveTraceJob and BlockTraceJob.
type TraceResult struct {
	Fragments [][]trace.Fragment // by table that holds a part of the trace
	Size      int64              // bytes of Fragments in memory, about
	Long      bool               // the trace has more than MaxBytes; Fragments are empty
	Bytes     int64              // read for this job
	Failed    []BlockFailure     // blocks of the job that could not be read

	// The rest is of a live-store only.
	Retained
	Watermark int64  // as in HomesResult
	Behind    string // as in HomesResult
}

const (
	// fragmentBytes is about the memory of a fragment beside its span.
	fragmentBytes = 96
	// fewRows are read without a look at how large the trace is.
	fewRows = 1024
)

// batchesOf yields rows, which ascend, in batches. After each it can be seen how large they are.
// Batches end with pages, because a page is read once for a batch.
func batchesOf(rows []uint32) iter.Seq[[]uint32] {
	return func(yield func([]uint32) bool) {
		for len(rows) > 0 {
			n := len(rows)
			if n > fewRows {
				next := (rows[0]/column.PageRows + 1) * column.PageRows
				n, _ = slices.BinarySearch(rows, next)
			}
			if !yield(rows[:n]) {
				return
			}
			rows = rows[n:]
		}
	}
}

// AddTable adds what a table holds of the trace, whose ordinal it is, unless that makes the trace
// long. only may be nil; otherwise it names the spans that are wanted.
func (r *TraceResult) AddTable(
	ctx context.Context, t column.Table, ordinal int, maxBytes int64, only []trace.SpanID,
) error {
	if r.Long {
		return nil
	}
	rows := t.TraceRows(ordinal, nil)
	if only != nil {
		var err error
		if rows, err = column.RowsOf(ctx, t, rows, only); err != nil {
			return err
		}
	}
	size := r.Size + int64(len(rows))*fragmentBytes
	if size > maxBytes {
		r.setLong()
		return nil
	}
	found := make([]trace.Fragment, 0, len(rows))
	for batch := range batchesOf(rows) {
		from := len(found)
		var err error
		if found, err = column.Fragments(ctx, t, batch, found); err != nil {
			return err
		}
		for i := range found[from:] {
			size += int64(len(found[from+i].Span))
		}
		if size > maxBytes {
			r.setLong()
			return nil
		}
	}
	if len(found) > 0 {
		r.Fragments, r.Size = append(r.Fragments, found), size
	}
	return nil
}

func (r *TraceResult) setLong() { r.Long, r.Fragments, r.Size = true, nil, 0 }

// RunTrace collects what tables hold of a trace.
func RunTrace(
	ctx context.Context, tables []column.Table, id trace.ID, maxBytes int64, only []trace.SpanID,
) (*TraceResult, error) {
	r := &TraceResult{}
	for _, t := range tables {
		n, ok, err := t.Lookup(ctx, id)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if err := r.AddTable(ctx, t, n, maxBytes, only); err != nil {
			return nil, err
		}
	}
	return r, nil
}
