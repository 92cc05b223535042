package eval

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// MaxExemplars bounds the exemplars of one query.
const MaxExemplars = 100

// MetricsPartial is what one or more homes contribute to the series of a query: mergeable, in any
// order, with the same result. The zero MetricsPartial is that of no home.
type MetricsPartial struct {
	firsts     []counted // in the order of firsts(query)
	candidates map[trace.ID]uint64
	cut        bool
}

// Cut reports whether what is counted depends on spans beyond the window around the range, which
// were not seen.
func (p *MetricsPartial) Cut() bool { return p.cut }

// counted is what one first stage has counted: spans by labels, or a comparison.
type counted struct {
	tally      *series.Tally
	comparison *series.Comparison
}

// QueryRange evaluates a metrics query over one home. Traces of shared are left out and named as
// candidates where they may match.
// Errors: ErrLimit, ErrUnsupported, those of the table.
func QueryRange(ctx context.Context, t Fetcher, r *MetricsRequest, shared Set) (*MetricsPartial, error) {
	p := &MetricsPartial{candidates: map[trace.ID]uint64{}}
	stages := firsts(r.Query.Root)
	for _, m := range stages {
		c, err := newCounted(r, m, len(stages))
		if err != nil {
			return nil, err
		}
		p.firsts = append(p.firsts, c)
	}
	for i, m := range stages {
		s, err := newMetricsScan(ctx, t, r, m, shared, p)
		if err != nil {
			return nil, err
		}
		if err := s.run(ctx, p.firsts[i]); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// firsts returns the distinct first stages of a query, left to right: what is written twice is
// counted once.
func firsts(n traceql.Node) []*traceql.Metrics {
	var out []*traceql.Metrics
	seen := map[string]bool{}
	traceql.EachMetrics(n, func(m *traceql.Metrics) {
		if key := traceql.FormatNode(m); !seen[key] {
			seen[key] = true
			out = append(out, m)
		}
	})
	return out
}

// window returns the intervals asked for.
func (r *MetricsRequest) window() (series.Window, error) {
	if r.Instant {
		return series.NewInstant(r.Start, r.End)
	}
	return series.NewWindow(r.Start, r.End, r.Step)
}

// exemplars returns how many exemplars the query wants: the hint goes before the request.
func (r *MetricsRequest) exemplars() int {
	n := r.Exemplars
	if h, ok := r.Query.Hint("exemplars"); ok {
		switch {
		case h.Type == traceql.TypeInt:
			n = int(min(max(h.Int, 0), MaxExemplars))
		case h.Type == traceql.TypeBool && h.Int == 0:
			n = 0
		case h.Type == traceql.TypeBool && n == 0:
			n = MaxExemplars
		}
	}
	if r.Instant {
		return 0
	}
	return min(n, MaxExemplars)
}

// ExemplarSlot returns the value of Slot with which a request for a part of the range chooses the
// same exemplars as r.
func (r *MetricsRequest) ExemplarSlot() int64 {
	if r.Slot > 0 {
		return r.Slot
	}
	return series.SlotWidthFor(r.Start, r.End, r.exemplars())
}

// newCounted returns an empty count of one of n first stages.
func newCounted(r *MetricsRequest, m *traceql.Metrics, n int) (counted, error) {
	w, err := r.window()
	if err != nil {
		return counted{}, err
	}
	if m.Compare != nil {
		return counted{comparison: series.NewComparison(w, extrapolates(r.Query))}, nil
	}
	s := series.Spec{Func: metricsFunc(m.Func), Name: m.Func, Window: w, SlotWidth: r.ExemplarSlot(), Weighted: extrapolates(r.Query)}
	if r.Instant {
		s.RatePer = r.Step
	}
	if want := r.exemplars(); want > 0 {
		s.MaxExemplars = max(want/n, 1)
	}
	for _, f := range groupFields(m) {
		s.Labels = append(s.Labels, f.String())
	}
	for _, q := range m.Quantiles {
		s.Quantiles = append(s.Quantiles, q.Number())
	}
	s.InSeconds = m.Field != nil && m.Field.Scope == traceql.ScopeIntrinsic && traceql.IntrinsicType(m.Field.Name) == traceql.TypeDuration
	return counted{tally: series.NewTally(s)}, nil
}

func metricsFunc(name string) series.Func {
	switch name {
	case "rate":
		return series.Rate
	case "count_over_time":
		return series.Count
	case "min_over_time":
		return series.Min
	case "max_over_time":
		return series.Max
	case "avg_over_time":
		return series.Avg
	case "sum_over_time":
		return series.Sum
	case "quantile_over_time":
		return series.Quantile
	case "histogram_over_time":
		return series.Histogram
	}
	panic("BUG: no metrics function " + name)
}

// groupFields returns the fields of by(), each once.
func groupFields(m *traceql.Metrics) []*traceql.Field {
	var out []*traceql.Field
	for _, f := range m.By {
		if !slices.ContainsFunc(out, func(o *traceql.Field) bool { return o.String() == f.String() }) {
			out = append(out, f)
		}
	}
	return out
}

// Merge adds the partial result of another home, or of several. Both must be of the same query and
// step; their ranges may be different parts of time. o stays as it is.
func (p *MetricsPartial) Merge(o *MetricsPartial) {
	if len(p.firsts) == 0 {
		for _, c := range o.firsts {
			if c.comparison != nil {
				p.firsts = append(p.firsts, counted{comparison: c.comparison.EmptyCopy()})
			} else {
				p.firsts = append(p.firsts, counted{tally: c.tally.EmptyCopy()})
			}
		}
	}
	for i, c := range o.firsts {
		ok := i < len(p.firsts)
		if ok && c.comparison != nil {
			ok = p.firsts[i].comparison != nil && p.firsts[i].comparison.Merge(c.comparison)
		} else if ok {
			ok = p.firsts[i].tally != nil && p.firsts[i].tally.Merge(c.tally)
		}
		if !ok {
			panic("BUG: partial results of different metrics queries or steps are merged")
		}
	}
	p.cut = p.cut || o.cut
	for id, start := range o.candidates {
		p.candidate(Candidate{ID: id, Start: start})
	}
}

// candidate notes a trace that must be looked at whole.
func (p *MetricsPartial) candidate(c Candidate) {
	if p.candidates == nil {
		p.candidates = map[trace.ID]uint64{}
	}
	if start, ok := p.candidates[c.ID]; !ok || c.Start < start {
		p.candidates[c.ID] = c.Start
	}
}

// Candidates lists the traces that must be looked at whole, by id.
func (p *MetricsPartial) Candidates() []Candidate {
	out := make([]Candidate, 0, len(p.candidates))
	for id, start := range p.candidates {
		out = append(out, Candidate{ID: id, Start: start})
	}
	slices.SortFunc(out, func(a, b Candidate) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return out
}

// Size returns the memory that the partial takes, in bytes, roughly.
func (p *MetricsPartial) Size() int64 {
	n := int64(64 + 48*len(p.candidates))
	for _, c := range p.firsts {
		if c.comparison != nil {
			n += int64(c.comparison.Bytes())
		} else {
			n += int64(c.tally.Bytes())
		}
	}
	return n
}

// limited says that counting takes too much memory.
func limited(bytes int) error {
	if bytes <= MaxMemory {
		return nil
	}
	return fmt.Errorf("%w: its series take more than %d MiB; group by fewer fields, filter, or ask for a longer step", ErrLimit, MaxMemory>>20)
}
