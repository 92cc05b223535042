package plan

import (
	"cmp"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Query is one question of a client, sent by a gateway to the query-frontend and answered with Answer.
type Query struct {
	Tenant   string
	Range    Range         // of a scan; a trace by id is looked for in all time
	Trace    *trace.ID     // look up one trace, or
	Scan     Scan          // evaluate a scan
	Progress func(*Answer) // nil, or told what is known so far; must not block or keep what it is handed
}

// Answer is what is known, and how complete that is.
type Answer struct {
	Trace     []byte  // OTLP TracesData, nil when the trace is not found
	Partial   Partial // merged over all homes
	Done      int     // jobs answered; Jobs is how many are planned
	Complete  bool    // false: Warnings name what could not be read
	Warnings  []string
	Watermark int64 // unix nanoseconds: what arrived before is in the answer
	Jobs      int
	Blocks    int
	Bytes     int64
}

// Bounds collects candidates, each with the earliest start known, which is no earlier than its trace's.
type Bounds map[trace.ID]uint64

// Add notes a candidate.
func (b Bounds) Add(id trace.ID, start uint64) {
	if s, ok := b[id]; !ok || start < s {
		b[id] = start
	}
}

// Newest returns the candidates from the highest bound down, ties by id.
func (b Bounds) Newest() []traceql.Candidate {
	out := make([]traceql.Candidate, 0, len(b))
	for id, s := range b {
		out = append(out, traceql.Candidate{ID: id, Start: s})
	}
	slices.SortFunc(out, func(x, y traceql.Candidate) int {
		return cmp.Or(cmp.Compare(y.Start, x.Start), slices.Compare(x.ID[:], y.ID[:]))
	})
	return out
}

// Straddles reports whether a shared trace meets the range without lying inside it. A part of such a trace may lie in a block that the
// range alone would not open, so it is looked at whole whatever the scans find.
func (r Range) Straddles(e catalog.Extent) bool {
	return r.Overlaps(e.Start, e.End) && (e.Start < r.Start || e.End >= r.End)
}
