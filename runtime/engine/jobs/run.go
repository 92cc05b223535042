package jobs

import (
	"cmp"
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
)

// RunScan evaluates a scan over tables: the segments of a live-store, or row groups of a block. A
// search goes through the newest first, and leaves out tables that hold nothing newer than what it
// has found. The traces of leftOut take no part and are named as candidates.
// Next: runtime/engine/eval evaluates one table.
func RunScan(ctx context.Context, tables []column.Table, s Scan, leftOut *LeftOut) (*ScanResult, error) {
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
		p, err := scanTable(ctx, t, one, leftOut)
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

func scanTable(ctx context.Context, t column.Table, s Scan, leftOut *LeftOut) (p Partial, err error) {
	switch {
	case s.Search != nil:
		p.Search, err = eval.Search(ctx, t, s.Search, leftOut.asSet())
	case s.Metrics != nil:
		p.Metrics, err = eval.QueryRange(ctx, t, s.Metrics, leftOut.asSet())
	case s.Tags != nil:
		p.Tags, err = eval.Tags(ctx, t, s.Tags)
	case s.Values != nil:
		p.Values, err = eval.Values(ctx, t, s.Values)
	case s.Matches != nil:
		p.Matches, err = eval.Matches(ctx, t, s.Matches)
	}
	return p, err
}
