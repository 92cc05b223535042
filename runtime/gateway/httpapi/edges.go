package httpapi

import (
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
)

// edges is the answer of GET /api/edges.
type edges struct {
	Edges     []edge   `json:"edges"`
	Quantiles string   `json:"quantiles"` // how the seconds are found
	Complete  bool     `json:"complete"`
	Warnings  []string `json:"warnings,omitempty"`
	Watermark uint64   `json:"watermark,string,omitempty"`
}

type edge struct {
	Client  string  `json:"client"`
	Server  string  `json:"server"`
	Kind    string  `json:"kind"`
	Count   float64 `json:"count"`
	Errors  float64 `json:"errors"`
	Seconds seconds `json:"seconds"`
}

type seconds struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// serveEdges answers with the edges of a service map.
func (a *handlers) serveEdges(c *call) error {
	v := c.r.URL.Query()
	q, err := a.parseSeries(v)
	if err != nil {
		return err
	}
	m, err := a.FindEdges(c.ctx, c.tenants, query.EdgeParams{Filter: q.Query, Start: q.Start, End: q.End})
	if err != nil {
		return err
	}
	if err := c.checkComplete(m); err != nil {
		return err
	}
	out := edges{
		Edges:     []edge{},
		Quantiles: "interpolated",
		Complete:  m.Complete,
		Warnings:  m.Warnings,
		Watermark: m.Watermark,
	}
	for _, e := range m.List {
		out.Edges = append(out.Edges, edge{e.Client, e.Server, e.Kind, e.Count, e.Errors, seconds{e.P50, e.P95, e.P99}})
	}
	setCompleteness(c.Header(), m)
	return c.sendJSON(out)
}
