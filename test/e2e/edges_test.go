package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// The edges of a service map count the spans below those of another service, and calls of what
// sends no spans, in segments, in blocks, and where traces lie in both. A filter narrows them.
func TestEdges(t *testing.T) {
	n := kit.NewNode(t)
	n.Start()
	push := func(spans ...*otlp.Span) {
		code, answer, err := n.Push(t.Context(), "application/x-protobuf", otlp.Encode(spans...))
		require.NoError(t, err)
		require.Equal(t, 200, code, "%s", answer)
	}
	began := uint64(time.Now().Add(-time.Minute).UnixNano())
	of := func(service string) *otlp.Resource {
		return &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: service}}}
	}
	span := func(trace, id, parent int, service string, kind int32, failed bool, attrs ...otlp.Attr) *otlp.Span {
		s := &otlp.Span{Trace: otlp.TraceID(uint64(trace)), ID: otlp.SpanID(uint64(id)), Name: fmt.Sprint(service, id),
			Resource: of(service), Kind: kind, Start: began + uint64(id), End: began + uint64(id) + 1e9, Attrs: attrs}
		if parent > 0 {
			s.Parent = otlp.SpanID(uint64(parent))
		}
		if failed {
			s.Status = 2
		}
		return s
	}
	for i := range 10 { // web ─► shop ─► postgresql, and mail, whose spans are sent apart
		push(span(i+1, 1, 0, "web", 2, false), span(i+1, 2, 1, "web", 3, false), span(i+1, 3, 2, "shop", 2, i < 3),
			span(i+1, 4, 3, "shop", 3, false, otlp.Attr{Key: "db.system", Value: "postgresql"}),
			span(i+1, 5, 3, "shop", 4, false))
	}
	mail := func(from, to int) {
		for i := from; i < to; i++ {
			push(span(i+1, 6, 5, "mail", 5, i == 9))
		}
	}
	mail(0, 5)
	type edge struct {
		Client, Server, Kind string
		Count, Errors        float64
	}
	edges := func(query string) (out []edge) {
		var a struct {
			Edges []struct {
				edge
				Seconds struct{ P50, P99 float64 }
			}
			Complete bool
		}
		n.GetJSON(&a, "/api/edges", "since", "1h", "q", query)
		require.True(t, a.Complete)
		for _, e := range a.Edges {
			require.InDelta(t, 1, e.Seconds.P50, 0.5)
			out = append(out, e.edge)
		}
		return out
	}
	want := func(mails, failed float64) []edge {
		return []edge{{"shop", "mail", "message", mails, failed}, {"shop", "postgresql", "database", 10, 0},
			{"web", "shop", "call", 10, 3}}
	}
	require.Equal(t, want(5, 0), edges(""))
	require.Zero(t, n.Stop(time.Minute)) // what is left is cut
	n.Start()
	require.Equal(t, want(5, 0), edges("{ }"))
	mail(5, 10)
	require.Equal(t, want(10, 1), edges(""))
	require.Equal(t, []edge{{"web", "shop", "call", 3, 3}}, edges(`{ status = error && resource.service.name = "shop" }`))
	code, text := n.Get("/api/edges?q=" + "%7B%7D%20%3E%20%7B%7D")
	require.Equal(t, 400, code, string(text))
}
