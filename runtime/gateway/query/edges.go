package query

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-tracing/troupe/messages/api"
	otlp "github.com/troupe-tracing/troupe/messages/api/otlp"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Edge is the calls of one service to another one, as the spans of the callee show them, or to
// something that sends no spans, as those of the client show them.
type Edge struct {
	Client, Server string
	Kind           string  // call, message or database
	Count, Errors  float64 // spans
	P50, P95, P99  float64 // seconds; interpolated
}

// Edges are the edges of a service map, ordered by client, server and kind.
type Edges struct {
	List []Edge
	Completeness
}

// EdgeParams asks for edges of the spans that a filter selects.
type EdgeParams struct {
	Filter     string // one filter in braces; empty: every span
	Start, End uint64 // as in SeriesParams
}

// The questions that make a map: of spans below those of another service, and of spans of clients
// that nobody has sent a span below.
const (
	crossing       = "parent.resource.service.name != resource.service.name"
	crossingLabels = "parent.resource.service.name, resource.service.name"
	leaving        = "(kind = client || kind = producer) && span:childCount = 0"
	// A database has its name under one of two keys, and a question has four labels at most.
	ofPeer = " && span.db.system.name = nil && (span.peer.service != nil || " +
		"span.db.system != nil || span.messaging.system != nil)"
	peerLabels     = "resource.service.name, span.peer.service, span.db.system, span.messaging.system"
	ofDatabase     = " && span.db.system.name != nil"
	databaseLabels = "resource.service.name, span.peer.service, span.db.system.name"
)

// FindEdges finds the edges of a service map. Counts are exact. Errors: those of a metrics query.
func (s *Service) FindEdges(ctx context.Context, tenants []string, p EdgeParams) (*Edges, error) {
	also, err := s.filterText(p.Filter)
	if err != nil {
		return nil, err
	}
	m := edgeMap{service: s, ctx: ctx, tenants: tenants, params: p, edges: map[edgeKey]*Edge{}}
	m.out.Complete = true
	m.askAll("kind != consumer && "+crossing+also, crossingLabels, readCrossing("call"))
	m.askAll("kind = consumer && "+crossing+also, crossingLabels, readCrossing("message"))
	m.askAll(leaving+ofPeer+also, peerLabels, readLeaving)
	m.askAll(leaving+ofDatabase+also, databaseLabels, readLeaving)
	return m.finish()
}

// filterText returns a filter as what is joined to the conditions of another one.
func (s *Service) filterText(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	q, err := traceql.ParseMax(text, int(s.Config.MaxQueryBytes))
	if err != nil {
		return "", invalidQuery("invalid TraceQL query: ", err)
	}
	root := q.Root
	if p, ok := root.(*traceql.Pipeline); ok && len(p.Stages) == 1 {
		root = p.Stages[0]
	}
	f, ok := root.(*traceql.Filter)
	switch {
	case !ok:
		return "", invalidf("invalid TraceQL query: edges are those of the spans of one filter in braces")
	case f.Expr == nil:
		return "", nil
	}
	return " && (" + traceql.FormatNode(f.Expr) + ")", nil
}

// edgeKey names an edge.
type edgeKey struct{ client, server, kind string }

// edgeMap puts edges together from the answers to metrics queries.
type edgeMap struct {
	service *Service
	ctx     context.Context
	tenants []string
	params  EdgeParams
	edges   map[edgeKey]*Edge
	out     Edges
	err     error // the first
}

// readEdge returns the edge that the labels of a series name; ok=false: none.
type readEdge func(labels map[string]string) (key edgeKey, ok bool)

// askAll asks for counts, errors and quantiles of the spans for which a condition holds.
func (m *edgeMap) askAll(condition, labels string, read readEdge) {
	m.ask("{ "+condition+" } | count_over_time() by ("+labels+")", read,
		func(e *Edge, v float64, _ string) { e.Count += v })
	m.ask("{ status = error && "+condition+" } | count_over_time() by ("+labels+")", read,
		func(e *Edge, v float64, _ string) { e.Errors += v })
	m.ask("{ "+condition+" } | quantile_over_time(duration, .5, .95, .99) by ("+labels+")", read, (*Edge).setQuantile)
}

// ask puts one question, and adds the value of each series to its edge.
func (m *edgeMap) ask(query string, read readEdge, add func(e *Edge, value float64, p string)) {
	if m.err != nil {
		return
	}
	var a *api.QueryInstantResponse
	a, m.err = m.service.QueryInstant(m.ctx, m.tenants,
		SeriesParams{Query: query, Start: m.params.Start, End: m.params.End}, nil)
	if m.err != nil {
		return
	}
	m.noteCompleteness(a)
	for _, s := range a.Series {
		labels := map[string]string{}
		for _, l := range s.Labels {
			labels[l.Key] = labelText(l)
		}
		key, ok := read(labels)
		if !ok {
			continue
		}
		e := m.edges[key]
		if e == nil {
			e = &Edge{Client: key.client, Server: key.server, Kind: key.kind}
			m.edges[key] = e
		}
		add(e, s.Value, labels["p"])
	}
}

func (m *edgeMap) noteCompleteness(a *api.QueryInstantResponse) {
	m.out.Complete = m.out.Complete && a.GetComplete()
	for _, w := range a.GetWarnings() {
		if !slices.Contains(m.out.Warnings, w) {
			m.out.Warnings = append(m.out.Warnings, w)
		}
	}
	if w := a.GetWatermark(); m.out.Watermark == 0 || w < m.out.Watermark {
		m.out.Watermark = w // of the first question, which sees least
	}
}

func (m *edgeMap) finish() (*Edges, error) {
	if m.err != nil {
		return nil, m.err
	}
	m.out.List = make([]Edge, 0, len(m.edges))
	for _, e := range slices.SortedFunc(maps.Values(m.edges), func(a, b *Edge) int {
		return cmp.Or(strings.Compare(a.Client, b.Client), strings.Compare(a.Server, b.Server),
			strings.Compare(a.Kind, b.Kind))
	}) {
		m.out.List = append(m.out.List, *e)
	}
	return &m.out, nil
}

// setQuantile takes a quantile. Of several series of one edge, which may leave for one peer with
// different systems, the largest counts.
func (e *Edge) setQuantile(value float64, p string) {
	switch p {
	case "0.5":
		e.P50 = max(e.P50, value)
	case "0.95":
		e.P95 = max(e.P95, value)
	case "0.99":
		e.P99 = max(e.P99, value)
	}
}

// readCrossing reads the labels of spans below those of another service.
func readCrossing(kind string) readEdge {
	return func(labels map[string]string) (edgeKey, bool) {
		return edgeKey{labels["parent.resource.service.name"], labels["resource.service.name"], kind}, true
	}
}

// readLeaving reads the labels of spans that nobody has sent a span below.
func readLeaving(labels map[string]string) (edgeKey, bool) {
	kind, server := "call", ""
	for _, of := range []struct{ label, kind string }{
		{"span.messaging.system", "message"}, {"span.db.system", "database"}, {"span.db.system.name", "database"},
		{"span.peer.service", ""},
	} {
		if name := labels[of.label]; name != "" && name != "nil" {
			server, kind = name, cmp.Or(of.kind, kind)
		}
	}
	return edgeKey{labels["resource.service.name"], server, kind}, server != ""
}

// labelText returns the value of a label as text. Values that are no texts are quantiles.
func labelText(l *otlp.KeyValue) string {
	if f, ok := l.GetValue().GetValue().(*otlp.AnyValue_DoubleValue); ok {
		return strconv.FormatFloat(f.DoubleValue, 'g', -1, 64)
	}
	return l.GetValue().GetStringValue()
}
