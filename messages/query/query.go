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
