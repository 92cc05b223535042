package eval

import (
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Fetcher is the storage that an evaluation reads: typed columns in pages. Live segments and blocks
// implement it. Less is read of a table that also implements column.Hinter.
type Fetcher = column.Table

// Set is a fixed set of traces: the shared ones, which have several homes. An evaluation of one
// home leaves them out and names the ones that may match as candidates, which are then put together
// and evaluated again. nil is the empty set.
type Set interface {
	Has(id trace.ID) bool
	// IDs returns all traces of the set that the home may hold. Some may come twice. The caller
	// must not change it.
	IDs() []trace.ID
	// Earliest bounds the start of a trace of the set from below, in unix ns.
	Earliest(id trace.ID) uint64
}

// Candidate is a trace that may match and must be looked at whole.
type Candidate struct {
	ID    trace.ID
	Start uint64 // unix ns: the trace starts no later
	// Earliest is set where it is certain that the trace matches a search and meets its range: it
	// starts no earlier, in unix ns. 0: it may turn out not to match.
	Earliest uint64
	Clues    Clues // what is known of whether it can match
}

// join joins what two homes know of a candidate. All is true that either says.
func (c Candidate) join(o Candidate) Candidate {
	return Candidate{
		ID:       c.ID,
		Start:    min(c.Start, o.Start),
		Earliest: max(c.Earliest, o.Earliest),
		Clues:    c.Clues.join(o.Clues),
	}
}

// Attribute is a named value of an answer. Durations, status and kind are text.
type Attribute struct {
	Key   string
	Value trace.Value
}

// SearchRequest asks for the newest traces that match.
type SearchRequest struct {
	Query *traceql.Query

	// Start and End are a half-open range in unix ns. A trace is in it if all its spans taken
	// together overlap it.
	Start, End uint64
	// Traces that start before Newer, in unix ns, are not wanted, because enough newer ones are
	// known. 0: all are.
	Newer uint64

	Limit           int           // of traces, > 0
	SpansPerSpanSet int           // > 0
	Bare            bool          // traces only, without span sets and service counts
	TraceWindow     time.Duration // how far beyond the range spans of a trace are seen; 0: DefaultTraceWindow
}

// TraceMatch is one trace found. Everything but SpanSets describes the whole trace.
type TraceMatch struct {
	ID                    trace.ID
	RootService, RootName string
	Start, Duration       uint64 // unix ns, ns
	SpanSets              []SpanSet
	Services              []ServiceStats // by name
	Cut                   bool           // the trace has spans outside of the trace window, which were not seen
}

// ServiceStats counts a service's spans in a trace.
type ServiceStats struct {
	Service       string
	Spans, Errors uint32
}

// SpanSet holds spans of one trace that matched together, by start and then by span id. Matched
// counts the spans beyond SpansPerSpanSet, too.
type SpanSet struct {
	Spans      []SpanMatch
	Matched    int
	Attributes []Attribute // of by() and aggregates, in the order of the pipeline
}

// SpanMatch is one matched span.
type SpanMatch struct {
	ID trace.SpanID
	// Name is set if the query mentions it. If the query only compares it with constants, one of
	// the comparisons must hold.
	Name            string
	Start, Duration uint64 // unix ns, ns
	Attributes      []Attribute
}

// SearchPartial is the result of a search over some of the homes. Its traces are the newest, at
// most Limit: newest first, and by id where they start together.
type SearchPartial struct {
	Traces          []TraceMatch
	Candidates      []Candidate // by id, each once
	Cut             bool        // the result depends on spans outside of the trace window, which were not seen
	InspectedTraces uint64
	InspectedSpans  uint64
}

// MetricsRequest asks for the series of a metrics query over a range of time.
type MetricsRequest struct {
	Query *traceql.Query

	// Start and End are unix ns: a span counts if Start < its start ≤ End. Step is in ns. Start and
	// End are multiples of Step, and intervals are (t-Step, t].
	Start, End, Step int64
	// Instant asks for the one interval (Start, End]. Step is then the unit of time of rates; 0
	// stands for the length of the interval.
	Instant bool

	Exemplars   int           // at most so many, and at most MaxExemplars; the query's hint overrides it
	BinWidth    int64         // of a part of a range: ExemplarBinWidth of the whole; else 0
	MaxSeries   int           // 0: no limit
	TraceWindow time.Duration // how far beyond the range spans of a trace are seen; 0: DefaultTraceWindow
}

// MetricsResult is the series of a query in their order: by number of labels, then label by label.
type MetricsResult struct {
	Series    []Series
	Truncated bool // MaxSeries cut some off
}

// Series is one series. Its samples are by time.
type Series struct {
	Labels    []Attribute
	Samples   []Sample
	Exemplars []Exemplar
}

// Sample is the value of the interval that ends at Time.
type Sample struct {
	Time  int64 // unix ns
	Value float64
}

// Exemplar is one span that stands for a value.
type Exemplar struct {
	Labels []Attribute
	Time   int64 // unix ns
	Value  float64
}

// TagsRequest asks for the names of attributes of spans that match Query (nil: all) and start in
// the range.
type TagsRequest struct {
	Query      *traceql.Query
	Start, End uint64 // unix ns, half-open
}

// TagNames are attribute names by scope: span, resource, event, link, instrumentation.
type TagNames map[string]map[string]struct{}

// ValuesRequest asks for the values of a field on spans that match Query (nil: all) and start in
// the range.
type ValuesRequest struct {
	Field      *traceql.Field
	Query      *traceql.Query
	Start, End uint64 // unix ns, half-open
	// MaxBytes bounds the text of all values together. Beyond it the lexicographically first are
	// kept. 0: no limit.
	MaxBytes int
}

// TagValue is a value as text with its type: string, int, float, bool, keyword or duration.
type TagValue struct{ Type, Value string }

// TagValues is a set of values.
type TagValues struct {
	Values    map[TagValue]struct{}
	Truncated bool
}
