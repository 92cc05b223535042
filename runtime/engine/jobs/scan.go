package jobs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Scan is what a job evaluates over one home; exactly one field is set.
type Scan struct {
	Search  *eval.SearchRequest
	Metrics *eval.MetricsRequest
	Tags    *eval.TagsRequest
	Values  *eval.ValuesRequest
	Matches *eval.MatchesRequest
}

// JudgesTraces reports whether traces with several homes must be put together before they are
// evaluated. Names and values of attributes are sets, which do not change with where a span lies,
// and how often.
func (s Scan) JudgesTraces() bool { return s.Search != nil || s.Metrics != nil }

// IsSpanwise reports whether the scan counts each span by itself. Then a trace need not be put
// together, however many homes it has, as long as they are disjoint.
func (s Scan) IsSpanwise() bool { return s.Metrics != nil && s.Metrics.IsSpanwise() }

// NeedsStraddling reports whether shared traces that reach beyond the range are candidates whatever
// scans find: a home that is not scanned may have the spans that decide. A metrics query counts
// spans in its range only, so it does not matter unless the other spans of the trace select them.
func (s Scan) NeedsStraddling() bool {
	return s.Search != nil || s.Metrics != nil && s.Metrics.SelectsAcrossSpans()
}

// Key returns the scan without its range, as text. Scans with equal keys ask the same.
func (s Scan) Key() string {
	var b strings.Builder
	query := func(q *traceql.Query) {
		if q != nil {
			b.WriteString(q.String())
		}
	}
	switch {
	case s.Search != nil:
		r := s.Search
		fmt.Fprintf(&b, "search %s %d %d %t ", r.Window(), r.Limit, r.SpansPerSpanSet, r.Bare)
		query(r.Query)
	case s.Metrics != nil:
		r := s.Metrics
		fmt.Fprintf(&b, "metrics %s %d %t %d %d %d ",
			r.Window(), r.Step, r.Instant, r.Exemplars, r.ExemplarBinWidth(), r.MaxSeries)
		query(r.Query)
	case s.Tags != nil:
		b.WriteString("tags ")
		query(s.Tags.Query)
	case s.Values != nil:
		b.WriteString("values " + strconv.Itoa(s.Values.MaxBytes) + " " + strconv.Quote(s.Values.Field.String()) + " ")
		query(s.Values.Query)
	case s.Matches != nil:
		b.WriteString("matches " + s.Matches.Trace.String() + " ")
		query(s.Matches.Query)
	}
	return b.String()
}

// Range returns the scan's time range in unix ns, as its request has it: that of a metrics query
// excludes its start and includes its end, and the others include their start and exclude their
// end.
func (s Scan) Range() (start, end uint64) {
	switch {
	case s.Search != nil:
		return s.Search.Start, s.Search.End
	case s.Metrics != nil:
		return uint64(s.Metrics.Start), uint64(s.Metrics.End)
	case s.Tags != nil:
		return s.Tags.Start, s.Tags.End
	case s.Values != nil:
		return s.Values.Start, s.Values.End
	case s.Matches != nil:
		return 0, math.MaxUint64
	}
	return 0, 0
}

// Window is how far beyond its range the scan sees spans of a trace.
func (s Scan) Window() time.Duration {
	switch {
	case s.Search != nil:
		return s.Search.Window()
	case s.Metrics != nil:
		return s.Metrics.Window()
	}
	return eval.DefaultTraceWindow
}

// WithTraceWindow returns the scan with another trace window. Scans for names and values have none,
// because they look at spans, not at traces.
func (s Scan) WithTraceWindow(window time.Duration) Scan {
	switch {
	case s.Search != nil:
		r := *s.Search
		r.TraceWindow = window
		s.Search = &r
	case s.Metrics != nil:
		r := *s.Metrics
		r.TraceWindow = window
		s.Metrics = &r
	}
	return s
}

// Since returns a search that also leaves out the traces that start before newer.
func (s Scan) Since(newer uint64) Scan {
	r := *s.Search
	r.Newer = max(r.Newer, newer)
	s.Search = &r
	return s
}

// ClippedTo returns the scan with its range narrowed to the part that can affect the block. Its
// partial results merge with those of the scan itself.
func (s Scan) ClippedTo(m *blocks.BlockMeta) Scan {
	lo, hi := m.GetMinStartUnixNano(), m.GetMaxEndUnixNano()
	if hi < ^uint64(0) {
		hi++
	}
	clip := func(start, end *uint64) {
		*start, *end = max(*start, lo), min(*end, hi)
		if *start > *end {
			*start = *end
		}
	}
	switch {
	case s.Search != nil:
		r := *s.Search
		clip(&r.Start, &r.End)
		s.Search = &r
	case s.Metrics != nil:
		r := *s.Metrics
		r.BinWidth = r.ExemplarBinWidth()
		if !r.Instant && hi < math.MaxInt64 {
			r.Start, r.End = clipSteps(r.Start, r.End, r.Step, int64(lo), int64(hi))
		}
		s.Metrics = &r
	case s.Tags != nil:
		r := *s.Tags
		clip(&r.Start, &r.End)
		s.Tags = &r
	case s.Values != nil:
		r := *s.Values
		clip(&r.Start, &r.End)
		s.Values = &r
	}
	return s
}

// clipSteps returns the least part of (start, end], in whole steps, that holds (lo-1, hi]. Where
// the two do not meet it returns all of (start, end].
func clipSteps(start, end, step, lo, hi int64) (from, to int64) {
	if step <= 0 || lo > end || hi <= start {
		return start, end
	}
	from, to = start, end
	if lo-1 > start {
		from += (lo - 1 - start) / step * step
	}
	if hi < end {
		to -= (end - hi) / step * step
	}
	return from, to
}
