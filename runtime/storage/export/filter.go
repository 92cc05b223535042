package export

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

const (
	// batchBytes is how many bytes of traces are judged at a time.
	batchBytes = 16 << 20

	// allTime is further than any two spans of a trace are apart that a query sees together.
	allTime = 100 * 365 * 24 * time.Hour
)

// filter visits the traces that a query finds. It puts whole traces into a segment, and searches
// there, so that a query means what it means everywhere.
type filter struct {
	request Request
	visit   func([]byte) error
	segment *live.Segment
	records int64
	traces  map[trace.ID][][]byte
	order   []trace.ID
	bytes   int
}

// add judges a trace, now or with others.
func (f *filter) add(ctx context.Context, id trace.ID, parts [][]byte) error {
	if f.segment == nil {
		f.segment, f.traces = live.New(live.Limits{}), map[trace.ID][][]byte{}
		f.order, f.bytes, f.records = nil, 0, 0
	}
	for _, otlp := range parts {
		if _, err := f.segment.Append(f.records, 0, otlp); err != nil {
			if errors.Is(err, live.ErrFull) {
				err = fmt.Errorf("trace %s is too large to be judged by a query", id)
			}
			return err
		}
		f.records++
		f.bytes += len(otlp)
	}
	f.traces[id], f.order = parts, append(f.order, id)
	if f.bytes < batchBytes {
		return nil
	}
	return f.evaluate(ctx)
}

// evaluate judges the traces that were added, and visits those that the query finds.
func (f *filter) evaluate(ctx context.Context) error {
	if f.segment == nil {
		return nil
	}
	found, err := eval.Search(ctx, f.segment.Snapshot(0, f.records), &eval.SearchRequest{
		Query:           f.request.Query,
		Start:           f.request.Start,
		End:             min(f.request.End, math.MaxInt64),
		Limit:           len(f.order),
		SpansPerSpanSet: 1,
		Bare:            true,
		TraceWindow:     allTime,
	}, nil)
	if err != nil {
		return err
	}
	matches := map[trace.ID]bool{}
	for i := range found.Traces {
		matches[found.Traces[i].ID] = true
	}
	for _, id := range f.order {
		for _, otlp := range f.traces[id] {
			if !matches[id] {
				break
			}
			if err := f.visit(otlp); err != nil {
				return err
			}
		}
	}
	f.segment = nil
	return nil
}
