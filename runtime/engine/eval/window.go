package eval

import (
	"context"
	"math"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// DefaultTraceWindow bounds a trace in time where nothing else is configured: a query over a range
// sees of a trace the spans within this distance of the range.
const DefaultTraceWindow = 7 * 24 * time.Hour

// Window returns how far beyond its range the search sees spans of a trace.
func (r *SearchRequest) Window() time.Duration { return orDefault(r.TraceWindow) }

// Window returns how far beyond its range the query sees spans of a trace.
func (r *MetricsRequest) Window() time.Duration { return orDefault(r.TraceWindow) }

// IsSpanwise reports whether what a span contributes to the result depends on that span alone.
func (r *MetricsRequest) IsSpanwise() bool { return traceql.IsSpanwise(r.Query.Root) }

// orDefault returns a trace window, or DefaultTraceWindow if none is set.
func orDefault(d time.Duration) time.Duration {
	if d <= 0 {
		return DefaultTraceWindow
	}
	return d
}

// window is a half-open range of time, in unix ns. Spans that do not meet it do not exist for a
// scan.
type window struct{ start, end uint64 }

var allTime = window{0, math.MaxUint64}

// meets reports whether a span with these times meets the window. Its end belongs to the span. A
// span that ends before its start counts as ending there.
func (w window) meets(start, end uint64) bool { return start < w.end && max(start, end) >= w.start }

// widen returns the window around w in which a query over w sees spans of a trace.
func (w window) widen(by time.Duration) window {
	reach := uint64(by)
	out := window{w.start - min(w.start, reach), w.end + reach}
	if out.end < w.end {
		out.end = math.MaxUint64
	}
	return out
}

// findCutTraces finds the traces of which the view sees a part only, and reports whether one of
// them has a span in the range. Only a clipped view has any.
func (v *tableView) findCutTraces(ctx context.Context, within window) (touches bool, err error) {
	if !v.clipped {
		return false, nil
	}
	v.cutTraces = column.NewBitmap(v.table.Traces())
	met := column.NewBitmap(v.table.Traces())
	for page := range v.pageCount() {
		if err := v.seekPage(ctx, page); err != nil {
			return false, err
		}
		var columns [3][]int64
		for i, c := range []*pageColumn{v.traceRow, v.start, v.duration} {
			x, err := c.loadFull(ctx)
			if err != nil {
				return false, err
			}
			columns[i] = x.Ints
		}
		for i, n := range columns[0] {
			start := uint64(columns[1][i])
			end := start + uint64(columns[2][i])
			switch {
			case !v.window.meets(start, end):
				v.cutTraces.Set(int(n))
			case within.meets(start, end):
				met.Set(int(n))
			}
		}
	}
	met.And(v.cutTraces)
	return !met.Empty(), nil
}

// isCut reports whether the view sees only a part of a trace.
func (v *tableView) isCut(trace int) bool { return v.clipped && v.cutTraces.Get(trace) }
