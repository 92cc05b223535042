package plan

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// RunScan evaluates a scan over several tables of one place: the segments of a live-store, or one block.
func RunScan(ctx context.Context, tables []column.Table, s Scan, shared *Shared) (*ScanResult, error) {
	r := &ScanResult{}
	for _, t := range tables {
		p, err := scanOne(ctx, t, s, shared)
		if err != nil {
			return nil, err
		}
		r.Partial.Merge(p, s)
	}
	return r, nil
}

func scanOne(ctx context.Context, t column.Table, s Scan, shared *Shared) (p Partial, err error) {
	switch {
	case s.Search != nil:
		p.Search, err = traceql.Search(ctx, t, s.Search, shared.set())
	case s.Metrics != nil:
		p.Metrics, err = traceql.QueryRange(ctx, t, s.Metrics, shared.set())
	case s.Tags != nil:
		p.Tags, err = traceql.Tags(ctx, t, s.Tags)
	case s.Values != nil:
		p.Values, err = traceql.Values(ctx, t, s.Values)
	}
	return p, err
}

// Merge adds another home's partial result of the same scan.
func (p *Partial) Merge(o Partial, s Scan) {
	switch {
	case o.Search != nil && p.Search != nil:
		p.Search.Merge(o.Search, s.Search.Limit)
	case o.Metrics != nil && p.Metrics != nil:
		p.Metrics.Merge(o.Metrics)
	case o.Tags != nil && p.Tags != nil:
		p.Tags.Merge(o.Tags)
	case o.Values != nil && p.Values != nil:
		p.Values.Merge(o.Values, s.Values.MaxBytes)
	default:
		if o.Search != nil || o.Metrics != nil || o.Tags != nil || o.Values != nil {
			*p = o
		}
	}
}

// Candidates calls f for every trace that must be looked at whole.
func (p *Partial) Candidates(f func(id trace.ID, start uint64)) {
	var list []traceql.Candidate
	switch {
	case p.Search != nil:
		list = p.Search.Candidates
	case p.Metrics != nil:
		list = p.Metrics.Candidates()
	}
	for _, c := range list {
		f(c.ID, c.Start)
	}
}

// Full reports whether a search has found as many traces as it may return, and then the start of the oldest of them.
func (p *Partial) Full(limit int) (oldest uint64, full bool) {
	if p.Search == nil || len(p.Search.Traces) < limit {
		return 0, false
	}
	return p.Search.Traces[limit-1].Start, true
}

// RunTraces collects what tables hold of traces. Fragments of the i-th id come in Fragments[i]; group numbers are kept apart
// between tables.
func RunTraces(ctx context.Context, tables []column.Table, ids []trace.ID) (*TracesResult, error) {
	r := &TracesResult{Fragments: make([][]trace.Fragment, len(ids))}
	var rows []uint32
	for n, t := range tables {
		for i, id := range ids {
			row, ok, err := t.Lookup(ctx, id)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			rows = t.TraceRows(row, rows[:0])
			fs, err := column.Fragments(ctx, t, rows, nil)
			if err != nil {
				return nil, err
			}
			for k := range fs {
				fs[k].Group |= uint32(n) << 24
			}
			r.Fragments[i] = append(r.Fragments[i], fs...)
		}
	}
	return r, nil
}

// RunAssembled evaluates a scan over traces put together from all their homes: a scratch segment makes them one home, so the same
// engine decides. Spans farther than TraceWindow from the range take no part.
func RunAssembled(ctx context.Context, fragments [][]trace.Fragment, s Scan) (*ScanResult, error) {
	seg := live.New(live.Limits{MaxColumns: 1 << 14})
	n := int64(0)
	for _, f := range fragments {
		if len(f) == 0 {
			continue
		}
		if _, err := seg.Append(n, 0, trace.Assemble(f)); err != nil {
			return nil, err
		}
		n++
	}
	seg.Seal()
	snap := seg.Snapshot(0, n)
	if snap.Rows() == 0 {
		return &ScanResult{}, nil
	}
	return RunScan(ctx, []column.Table{snap}, s, nil)
}
