package jobs

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Scan is what a job evaluates over one home; exactly one field is set.
type Scan struct {
	Search  *eval.SearchRequest
	Metrics *eval.MetricsRequest
	Tags    *eval.TagsRequest
	Values  *eval.ValuesRequest
}

// JudgesTraces reports whether traces with several homes must be evaluated put together. Names and
// values of attributes are sets: where a span lies, and how often, does not change them.
func (s Scan) JudgesTraces() bool { return s.Search != nil || s.Metrics != nil }

// Partial is the result of a Scan over one home or several; the field of the Scan's kind is set.
type Partial struct {
	Search  *eval.SearchPartial
	Metrics *eval.MetricsPartial
	Tags    eval.TagNames
	Values  *eval.TagValues
}

// Merge adds another home's partial result of the same scan. It neither changes o nor keeps
// anything of it that may change.
func (p *Partial) Merge(o Partial, s Scan) {
	switch {
	case o.Search != nil:
		if p.Search == nil {
			p.Search = &eval.SearchPartial{}
		}
		p.Search.Merge(o.Search, s.Search.Limit)
	case o.Metrics != nil:
		if p.Metrics == nil {
			p.Metrics = &eval.MetricsPartial{}
		}
		p.Metrics.Merge(o.Metrics)
	case o.Tags != nil:
		if p.Tags == nil {
			p.Tags = eval.TagNames{}
		}
		p.Tags.Merge(o.Tags)
	case o.Values != nil:
		if p.Values == nil {
			p.Values = &eval.TagValues{}
		}
		p.Values.Merge(o.Values, s.Values.MaxBytes)
	}
}

// Clone returns a copy that later merges into p do not change.
func (p *Partial) Clone(s Scan) (c Partial) {
	c.Merge(*p, s)
	return c
}

// Size is about how many bytes of memory it takes.
func (p *Partial) Size() (n int64) {
	switch {
	case p.Search != nil:
		return p.Search.Size()
	case p.Metrics != nil:
		return p.Metrics.Size()
	case p.Values != nil:
		for v := range p.Values.Values {
			n += int64(len(v.Value)) + 64
		}
	}
	for _, names := range p.Tags {
		for name := range names {
			n += int64(len(name)) + 48
		}
	}
	return n
}

// Candidates calls f for every trace that must be looked at whole.
func (p *Partial) Candidates(f func(id trace.ID, start uint64)) {
	var list []eval.Candidate
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

// Full reports whether a search has found as many traces as it may return, and then the start of
// the oldest of them.
func (p *Partial) Full(limit int) (oldest uint64, full bool) {
	if p.Search == nil || len(p.Search.Traces) < limit {
		return 0, false
	}
	return p.Search.Traces[limit-1].Start, true
}

// Key is the scan as text but for its range: equal keys ask the same.
func (s Scan) Key() string {
	var b strings.Builder
	query := func(q *traceql.Query) {
		if q != nil {
			b.WriteString(q.String())
		}
	}
	switch {
	case s.Search != nil:
		fmt.Fprintf(&b, "search %s %d %d %t ", s.Search.Window(), s.Search.Limit, s.Search.SpansPerSpanSet, s.Search.Bare)
		query(s.Search.Query)
	case s.Metrics != nil:
		fmt.Fprintf(&b, "metrics %s %d %t %d %d %d ", s.Metrics.Window(), s.Metrics.Step, s.Metrics.Instant, s.Metrics.Exemplars, s.Metrics.ExemplarBinWidth(), s.Metrics.MaxSeries)
		query(s.Metrics.Query)
	case s.Tags != nil:
		b.WriteString("tags ")
		query(s.Tags.Query)
	case s.Values != nil:
		b.WriteString("values " + strconv.Itoa(s.Values.MaxBytes) + " " + strconv.Quote(s.Values.Field.String()) + " ")
		query(s.Values.Query)
	}
	return b.String()
}

// Range is the scan's time range in unix ns, as its request has it.
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

// WithTraceWindow returns the scan with another trace window. Names and values have none: they are
// of spans, not of traces.
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

// DependsOnUnseen reports whether the result depends on spans beyond the trace window, which were
// not seen.
func (p *Partial) DependsOnUnseen() bool {
	switch {
	case p.Search != nil:
		return p.Search.Cut || slices.ContainsFunc(p.Search.Traces, func(t eval.TraceMatch) bool { return t.Cut })
	case p.Metrics != nil:
		return p.Metrics.CutsTraces()
	}
	return false
}

// Since returns a search that leaves out traces that start before newer, beside those that it
// leaves out already.
func (s Scan) Since(newer uint64) Scan {
	r := *s.Search
	r.Newer = max(r.Newer, newer)
	s.Search = &r
	return s
}

// ClippedTo narrows the scan to the part of its range that can affect the block. Partials of the
// narrowed scan merge with those of the scan itself.
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

// clipSteps returns the least part of (start, end], in whole steps, that holds (lo-1, hi]; all of
// it where it holds none of that.
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
