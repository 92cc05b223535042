package jobs

import (
	"cmp"
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// RunScan evaluates a scan over tables: the segments of a live-store, or row groups of a block. A
// search goes through the newest first, and leaves out tables that hold nothing newer than what it
// has found. Traces of shared take no part and are named as candidates.
// Next: runtime/engine/eval evaluates one table.
func RunScan(ctx context.Context, tables []column.Table, s Scan, shared *Shared) (*ScanResult, error) {
	r := &ScanResult{}
	if s.Search != nil {
		tables = newestFirst(tables)
	}
	for _, t := range tables {
		one := s
		if s.Search != nil {
			if floor := r.Partial.Floor(s.Search.Limit); floor > 0 {
				if eval.NewestStart(t) < floor {
					continue
				}
				one = s.Since(floor)
			}
		}
		p, err := scanTable(ctx, t, one, shared)
		if err != nil {
			return nil, err
		}
		if len(tables) == 1 && p.Metrics != nil {
			return &ScanResult{Partial: p}, nil
		}
		r.Partial.Merge(p, s)
	}
	r.Partial.Pack()
	return r, nil
}

// newestFirst returns the tables in the order of their newest starts. Tables that do not know
// theirs come first.
func newestFirst(tables []column.Table) []column.Table {
	newest := make(map[column.Table]uint64, len(tables))
	for _, t := range tables {
		newest[t] = eval.NewestStart(t)
	}
	tables = slices.Clone(tables)
	slices.SortStableFunc(tables, func(a, b column.Table) int { return cmp.Compare(newest[b], newest[a]) })
	return tables
}

func scanTable(ctx context.Context, t column.Table, s Scan, shared *Shared) (p Partial, err error) {
	switch {
	case s.Search != nil:
		p.Search, err = eval.Search(ctx, t, s.Search, shared.asSet())
	case s.Metrics != nil:
		p.Metrics, err = eval.QueryRange(ctx, t, s.Metrics, shared.asSet())
	case s.Tags != nil:
		p.Tags, err = eval.Tags(ctx, t, s.Tags)
	case s.Values != nil:
		p.Values, err = eval.Values(ctx, t, s.Values)
	}
	return p, err
}

// RunTraces collects what tables hold of traces. Fragments[i] has the fragments of each table that
// holds the i-th id.
func RunTraces(ctx context.Context, tables []column.Table, ids []trace.ID) (*TracesResult, error) {
	r := &TracesResult{Fragments: make([][][]trace.Fragment, len(ids))}
	for _, t := range tables {
		var at, of []int
		for i, id := range ids {
			n, ok, err := t.Lookup(ctx, id)
			if err != nil {
				return nil, err
			}
			if ok {
				at, of = append(at, n), append(of, i)
			}
		}
		found, err := TracesOf(ctx, t, at)
		if err != nil {
			return nil, err
		}
		for k, i := range of {
			r.Fragments[i] = append(r.Fragments[i], found[k])
		}
	}
	return r, nil
}

// TracesOf returns the fragments of some traces of a table, which are named by their ordinals.
// Every page is read once for all of them.
func TracesOf(ctx context.Context, t column.Table, traces []int) ([][]trace.Fragment, error) {
	if len(traces) == 0 {
		return nil, nil
	}
	type of struct {
		row   uint32
		trace int
	}
	var list []of
	var rows []uint32
	for i, n := range traces {
		rows = t.TraceRows(n, rows[:0])
		for _, r := range rows {
			list = append(list, of{r, i})
		}
	}
	slices.SortFunc(list, func(a, b of) int { return cmp.Compare(a.row, b.row) })
	rows = rows[:0]
	for _, o := range list {
		rows = append(rows, o.row)
	}
	all, err := column.Fragments(ctx, t, rows, make([]trace.Fragment, 0, len(rows)))
	if err != nil {
		return nil, err
	}
	out := make([][]trace.Fragment, len(traces))
	for k, o := range list {
		out[o.trace] = append(out[o.trace], all[k])
	}
	return out, nil
}

// RunAssembled evaluates a scan over traces that are put together from all of their homes. A
// scratch segment makes these one home, so the same engine judges them. traces has the fragments by
// trace and by home. Spans beyond the trace window of the scan take no part.
func RunAssembled(ctx context.Context, traces [][][]trace.Fragment, s Scan) (*ScanResult, error) {
	seg := live.New(live.Limits{MaxColumns: 1 << 14})
	n := int64(0)
	for _, homes := range traces {
		if len(homes) == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := seg.Append(n, 0, trace.Assemble(homes...)); err != nil {
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
