package eval

import (
	"bytes"
	"cmp"
	"slices"
)

// A search wants the newest Limit traces. The floor of what is known so far is a start below which
// no trace can be among them: at least Limit traces match for sure, and none of these starts before
// it.
//
// Of a trace that was found in its one home the start is known. Of a shared trace one home knows
// only a part, and two bounds: the trace starts no later than this part, and no earlier than the
// extent that the set of shared traces has for it. If its part here matches by filters alone, the
// trace matches for sure, because a filter looks at one span; and if its part meets the range, the
// trace does. Then the lower bound counts for the floor. A candidate, certain or not, is of no
// interest where its upper bound lies below the floor, because Limit others are newer. At the floor
// itself the ids decide, so it stays.
//
//	limit 2, and traces with the bounds     A [90, 90]   B [70, 95]   C [80, 80]   D [10, 75]
//	certain are A, B and C: the floor is the second greatest lower bound, 80
//	D starts at 75 at the latest: it is left out. B may be the newest, or the last of three.

// newestStarts is the floor of one table while it is searched.
type newestStarts struct{ top topK[uint64] }

func newNewestStarts(limit int) newestStarts {
	return newestStarts{topK[uint64]{limit: limit, before: func(a, b *uint64) bool { return *a > *b }}}
}

// add notes a trace that matches for sure and starts no earlier than start.
func (n *newestStarts) add(start uint64) {
	if start > 0 {
		n.top.add(start)
	}
}

// floor returns the floor, 0 for none.
func (n *newestStarts) floor() uint64 {
	if !n.top.isFull() {
		return 0
	}
	return *n.top.last()
}

// Floor returns the start below which no trace can be among the newest limit ones, 0 if there is
// none yet.
func (p *SearchPartial) Floor(limit int) uint64 {
	switch {
	case limit <= 0, len(p.Traces)+len(p.Candidates) < limit:
		return 0
	case len(p.Candidates) == 0:
		return p.Traces[limit-1].Start
	}
	n := newNewestStarts(limit)
	for i := range p.Traces {
		n.add(p.Traces[i].Start)
	}
	for i := range p.Candidates {
		n.add(p.Candidates[i].Earliest)
	}
	return n.floor()
}

// cutCandidates brings the candidates into their order, without those that lie below a floor.
func (p *SearchPartial) cutCandidates(floor uint64) {
	p.Candidates = slices.DeleteFunc(p.Candidates, func(c Candidate) bool { return c.Start < floor })
	slices.SortFunc(p.Candidates, func(a, b Candidate) int { return bytes.Compare(a.ID[:], b.ID[:]) })
}

// Merge adds the partial result of another home and keeps the newest limit traces. It does not
// change o.
func (p *SearchPartial) Merge(o *SearchPartial, limit int) {
	traces := make([]TraceMatch, 0, min(len(p.Traces)+len(o.Traces), max(limit, 0)))
	a, b := p.Traces, o.Traces
	for len(traces) < limit && (len(a) > 0 || len(b) > 0) {
		if len(b) == 0 || len(a) > 0 && compareMatches(&a[0], &b[0]) <= 0 {
			traces, a = append(traces, a[0]), a[1:]
		} else {
			traces, b = append(traces, b[0]), b[1:]
		}
	}
	p.Traces = traces
	p.Candidates = joinCandidates(p.Candidates, o.Candidates)
	if floor := p.Floor(limit); floor > 0 {
		p.Candidates = slices.DeleteFunc(p.Candidates, func(c Candidate) bool { return c.Start < floor })
	}
	p.Cut = p.Cut || o.Cut
	p.InspectedTraces += o.InspectedTraces
	p.InspectedSpans += o.InspectedSpans
}

func compareMatches(a, b *TraceMatch) int {
	return cmp.Or(cmp.Compare(b.Start, a.Start), bytes.Compare(a.ID[:], b.ID[:]))
}

// joinCandidates joins the candidates of two homes in a new list.
func joinCandidates(a, b []Candidate) []Candidate {
	if len(a)+len(b) == 0 {
		return nil
	}
	out := make([]Candidate, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := bytes.Compare(a[0].ID[:], b[0].ID[:]); {
		case c < 0:
			out, a = append(out, a[0]), a[1:]
		case c > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			out = append(out, a[0].join(b[0]))
			a, b = a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// Size is roughly the memory it takes, in bytes.
func (p *SearchPartial) Size() int64 {
	attributes := func(list []Attribute) int64 {
		n := int64(len(list)) * 64
		for i := range list {
			n += int64(len(list[i].Value.Bytes))
		}
		return n
	}
	n := int64(len(p.Candidates))*40 + 128
	for i := range p.Traces {
		t := &p.Traces[i]
		n += 160 + int64(len(t.RootName)+len(t.RootService)) + int64(len(t.Services))*32
		for j := range t.SpanSets {
			set := &t.SpanSets[j]
			n += 64 + attributes(set.Attributes)
			for k := range set.Spans {
				n += 72 + int64(len(set.Spans[k].Name)) + attributes(set.Spans[k].Attributes)
			}
		}
	}
	return n
}
