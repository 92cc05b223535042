package jobs

import (
	"maps"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Partial is the result of a Scan over one home or over several. The field of the scan's kind is
// set.
type Partial struct {
	Search  *eval.SearchPartial
	Metrics *eval.MetricsPartial
	Tags    eval.TagNames
	Values  *eval.TagValues
	Matches *eval.SpanMatches
}

// Merge adds another home's partial result of the same scan. It does not change o, and keeps
// nothing of o that may change later.
func (p *Partial) Merge(o Partial, s Scan) {
	switch {
	case o.Search != nil:
		if p.Search == nil {
			p.Search = &eval.SearchPartial{}
		}
		p.Search.Merge(o.Search, s.Search.Limit)
	case o.Metrics != nil:
		if p.Metrics == nil {
			p.Metrics = eval.NewMetricsPartial(s.Metrics)
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
	case o.Matches != nil:
		if p.Matches == nil {
			p.Matches = &eval.SpanMatches{}
		}
		p.Matches.Merge(o.Matches)
	}
}

// Pack makes the partial result as small as it can be. It can be merged as before.
func (p *Partial) Pack() {
	if p.Metrics != nil {
		p.Metrics.Pack()
	}
}

// Clone returns a copy that later merges into p do not change.
func (p *Partial) Clone(s Scan) (c Partial) {
	c.Merge(*p, s)
	return c
}

// Size returns about how many bytes of memory the result takes.
func (p *Partial) Size() (n int64) {
	switch {
	case p.Search != nil:
		return p.Search.Size()
	case p.Metrics != nil:
		return p.Metrics.Size()
	case p.Matches != nil:
		return int64(len(p.Matches.Places)) * 4
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

// TakeCandidates moves the candidates to bounds, and takes from bounds those that cannot belong to
// the answer. From then on only the traces that are found decide what can.
func (p *Partial) TakeCandidates(s Scan, bounds StartBounds) {
	switch {
	case p.Search != nil:
		addMatching(bounds, p.Search.Candidates, s.Search.CanMatch())
		floor := p.Floor(s.Search.Limit)
		maps.DeleteFunc(bounds, func(_ trace.ID, start uint64) bool { return start < floor })
		p.Search.Candidates = nil
	case p.Metrics != nil:
		addMatching(bounds, p.Metrics.Candidates(), s.Metrics.CanMatch())
	}
}

// addMatching adds the candidates that can match.
func addMatching(to StartBounds, list []eval.Candidate, canMatch func(eval.Candidate) bool) {
	for _, c := range list {
		if canMatch(c) {
			to.Add(c.ID, c.Start)
		}
	}
}

// Floor returns the start below which no trace can belong to the answer of a search any more,
// because as many newer ones match as it may return; 0 if there is none yet.
func (p *Partial) Floor(limit int) uint64 {
	if p.Search == nil {
		return 0
	}
	return p.Search.Floor(limit)
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
