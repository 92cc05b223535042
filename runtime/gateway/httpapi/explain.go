package httpapi

import (
	"net/http"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// explained is the answer of GET /api/explain.
type explained struct {
	Complete       bool            `json:"complete"`
	Warnings       []string        `json:"warnings,omitempty"`
	Traces         int             `json:"traces"` // found, at most the limit
	CatalogVersion uint64          `json:"catalogVersion,string"`
	Blocks         int             `json:"blocks"`     // in the range
	OutOfRange     int             `json:"outOfRange"` // blocks that the range rules out
	Candidates     int             `json:"assembled"`  // traces with several homes that were put together
	InspectedBytes int64           `json:"inspectedBytes,string"`
	InspectedSpans int64           `json:"inspectedSpans,string"`
	Steps          []explainedStep `json:"steps"`
}

type explainedStep struct {
	Home    string          `json:"home"`
	Part    int             `json:"part,omitempty"`
	Parts   int             `json:"parts,omitempty"`
	Start   uint64          `json:"startTimeUnixNano,string,omitempty"`
	End     uint64          `json:"endTimeUnixNano,string,omitempty"`
	Outcome jobs.Outcome    `json:"outcome"`
	Reason  string          `json:"reason,omitempty"`
	Held    int64           `json:"spans,string"`
	Spans   int64           `json:"inspectedSpans,string"`
	Bytes   int64           `json:"inspectedBytes,string"`
	Reads   int             `json:"reads"`
	Waves   int             `json:"waves"`
	TookMs  float64         `json:"tookMs"`
	Columns []explainedRead `json:"columns,omitempty"`
}

type explainedRead struct {
	Object string `json:"object"`
	Column string `json:"column"`
	Pages  int    `json:"pages"`
	Of     int    `json:"of"`
}

// serveExplain answers how a search or a metrics query is evaluated, by evaluating it.
func (a *handlers) serveExplain(c *call) error {
	if c.r.Method != http.MethodGet {
		return &codedError{http.StatusMethodNotAllowed, "Method Not Allowed"}
	}
	q, err := a.parseSearch(c)
	if err != nil {
		return err
	}
	answer, err := a.ExplainQuery(c.ctx, c.tenants, q)
	if err != nil {
		return err
	}
	x := answer.Explained
	out := explained{
		Complete:       answer.Complete,
		Warnings:       answer.Warnings,
		CatalogVersion: x.Version,
		Blocks:         answer.Blocks,
		OutOfRange:     x.OutOfRange,
		Candidates:     x.Candidates,
		InspectedBytes: answer.Bytes,
		InspectedSpans: answer.Spans,
		Steps:          []explainedStep{},
	}
	if answer.Partial.Search != nil {
		out.Traces = len(answer.Partial.Search.Traces)
	}
	for _, s := range x.Steps {
		e := explainedStep{
			Home:    s.Home,
			Part:    s.Part,
			Parts:   s.Parts,
			Start:   s.Start,
			End:     s.End,
			Outcome: s.Outcome,
			Reason:  s.Reason,
			Held:    s.HomeSpans,
			Spans:   s.Spans,
			Bytes:   s.Read.Bytes,
			Reads:   s.Read.Reads,
			Waves:   s.Read.Waves,
			TookMs:  float64(s.Took.Microseconds()) / 1000,
		}
		for _, r := range s.Read.Columns {
			e.Columns = append(e.Columns, explainedRead{r.Object, r.Name, r.Pages, r.Of})
		}
		out.Steps = append(out.Steps, e)
	}
	return c.sendJSON(out)
}
