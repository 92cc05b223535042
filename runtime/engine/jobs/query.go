package jobs

import (
	"cmp"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/long"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Query is one question of a client, sent by a gateway to the query-frontend and answered with
// *Answer. It may be repeated.
type Query struct {
	Tenant string
	Text   string         // as the client wrote it, for lists and logs; decides nothing
	Range  Range          // of a scan; a trace by its id is looked for in all of time
	Trace  *trace.ID      // looks up one trace; nil: Scan is evaluated
	Only   []trace.SpanID // the spans of Trace that are wanted, ascending; nil: all
	Scan   Scan
	Chunks *Chunks // how the trace is to be read in chunks; nil: it is wanted whole
	// Explain asks how the answer is found. No known results are used then.
	Explain bool

	// WantsProgress asks for the results so far, as jobs end: first when something is found, then
	// at a bounded rate. Each such *Answer is sent to the asker ahead of the answer, as
	// ask.Progress. It holds everything known, takes the place of the one before, and is frozen.
	WantsProgress bool
}

// Op names the kind of the question, for lists and metrics.
func (q *Query) Op() string {
	switch {
	case q.Chunks != nil && q.Chunks.Outline:
		return "outline"
	case q.Only != nil:
		return "spans"
	case q.Trace != nil:
		return "traces"
	case q.Scan.Search != nil:
		return "search"
	case q.Scan.Metrics != nil:
		return "metrics"
	case q.Scan.Values != nil:
		return "values"
	case q.Scan.Matches != nil:
		return "matches"
	}
	return "tags"
}

// Answer answers Query, and tells how complete it is. It must not be changed once it is sent.
type Answer struct {
	OfTrace
	Partial Partial // merged over all homes

	Complete bool       // false: Warnings name what could not be read
	Warnings []string   // one reason each
	Partials []trace.ID // the traces of the answer of which a part could not be read, by id
	// Watermark is in unix ns. Everything that arrived in the log before it is in the answer,
	// except what Warnings name. It is the least of the partitions' watermarks, because a trace may
	// be in any of them, and 0 where one of them is not known.
	Watermark int64

	Jobs       int // planned
	Done       int // ended: with a result, with an error, or as needless
	Blocks     int // planned
	BlockBytes int64
	Bytes      int64 // read for this answer
	Spans      int64 // looked at for this answer
	CacheHits  int   // parts of blocks whose result was known

	Explained *Explained // where Query.Explain asks for it
}

// OfTrace is what an answer has of the trace that was asked for by its id.
type OfTrace struct {
	Trace []byte // OTLP TracesData as it was sent; nil where the trace is not found, or is long
	Long  bool   // the trace is too large to be put together in memory
	// QueryID names a query for chunks in TakeChunk.
	QueryID string
	// Next is where a trace goes on that was read in chunks up to a number of bytes; nil: it ended.
	Next *long.Cursor
}

// StartBounds collects candidates. Each has the least bound that is known of the start that the
// query sees of its trace.
type StartBounds map[trace.ID]uint64

// Add notes a candidate.
func (b StartBounds) Add(id trace.ID, start uint64) {
	if s, ok := b[id]; !ok || start < s {
		b[id] = start
	}
}

// NewestFirst returns the candidates from the highest bound down. Equal bounds are ordered by id.
func (b StartBounds) NewestFirst() []eval.Candidate {
	out := make([]eval.Candidate, 0, len(b))
	for id, s := range b {
		out = append(out, eval.Candidate{ID: id, Start: s})
	}
	slices.SortFunc(out, func(x, y eval.Candidate) int {
		return cmp.Or(cmp.Compare(y.Start, x.Start), slices.Compare(x.ID[:], y.ID[:]))
	})
	return out
}

// Straddles reports whether a shared trace meets the range without lying inside it. A part of such
// a trace may lie in a block that is outside the range, so the trace is a candidate whatever the
// scans find.
func (r Range) Straddles(e catalog.Extent) bool {
	return r.Overlaps(e.Start, e.End) && (e.Start < r.Start || e.End >= r.End)
}

// CutsTrace reports whether a trace with this extent has spans beyond the range, in which homes
// were read, that an answer about the trace lacks.
func (r Range) CutsTrace(e catalog.Extent, t *eval.TraceMatch) bool {
	return e.Start < r.Start && t.Start > e.Start || e.End >= r.End && t.Start+t.Duration < e.End
}

// LatestStart bounds the start that a query over the range sees of a trace that meets the range.
// The query does not see spans beyond the window around the range, so a trace that began before the
// window may seem to start as late as the range ends.
func (r Range) LatestStart(e catalog.Extent, window time.Duration) uint64 {
	if e.Start >= r.Widen(window).Start {
		return e.Start
	}
	return min(r.End, max(e.Start, e.End))
}
