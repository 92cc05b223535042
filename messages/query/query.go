// Package query holds the requests and answers between the gateways and the query actors, as plain Go values.
// An answer belongs to whoever receives it; nobody changes it after it was sent.
package query

import "time"

// Outcome says how far an answer may be trusted.
type Outcome struct {
	Complete  bool     // false: some part of the range could not be read; Warnings says which
	Warnings  []string // for people, in a stable order
	Watermark int64    // everything that arrived before this time (unix ns) is in the answer; 0: not known
}

// Trace asks for one trace. Start and End are unix ns; both zero means all time.
type Trace struct {
	Tenants    []string // at least one, sorted, no duplicates
	ID         [16]byte
	Start, End int64
}

// TraceResult is one whole trace as OTLP TracesData bytes; empty when the trace is not known.
type TraceResult struct {
	Outcome
	OTLP []byte
}

// Search asks for traces; Start and End are unix ns, the zero durations mean no bound.
type Search struct {
	Tenants                  []string
	Query                    string            // TraceQL; empty when Tags are used
	Tags                     map[string]string // the older form: all must match
	MinDuration, MaxDuration time.Duration
	Limit, SpansPerSpanSet   int
	Start, End               int64
}

// Range asks for series of a TraceQL metrics query. Start, End and Step are in ns.
type Range struct {
	Tenants          []string
	Query            string
	Start, End, Step int64
	Exemplars        int
	MaxSeries        int
}

// SearchResult is the traces found, newest first.
type SearchResult struct {
	Outcome
	Traces          []TraceMatch
	InspectedSpans  uint64
	InspectedBytes  uint64
	InspectedTraces uint32
}

// TraceMatch is one trace found.
type TraceMatch struct {
	ID                      [16]byte
	RootService, RootName   string
	StartUnixNano, Duration uint64 // ns
	SpanSets                []SpanSet
}

// SpanSet is spans of one trace that matched together; Matched counts also those cut off by the limit.
type SpanSet struct {
	Spans      []Span
	Matched    int
	Attributes []Attribute
}

// Span is one matched span.
type Span struct {
	ID                      [8]byte
	Name                    string
	StartUnixNano, Duration uint64 // ns
	Attributes              []Attribute
}

// Attribute is a name with an encoded OTLP AnyValue message.
type Attribute struct {
	Key   string
	Value []byte
}

// RangeResult is the series of a metrics query.
type RangeResult struct {
	Outcome
	Series []Series
}

// Series is one series; Times are unix ns, one per value.
type Series struct {
	Labels    []Attribute
	Times     []int64
	Values    []float64
	Exemplars []Exemplar
}

// Exemplar is one span that stands for a value.
type Exemplar struct {
	Labels []Attribute
	Value  float64
	Time   int64 // unix ns
}
