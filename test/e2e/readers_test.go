package e2e

import (
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/corpus"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// Blocks are ordinary Parquet: pyarrow and DuckDB open every object of the bucket, agree on every
// column, and count the spans and events that were sent.
func TestOtherReadersOpenBlocks(t *testing.T) {
	python := kit.Python(t, "duckdb", "pyarrow.parquet")
	corpus.Run(t, func(t *testing.T, from corpus.Source) { checkOtherReaders(t, from, python) })
}

func checkOtherReaders(t *testing.T, from corpus.Source, python string) {
	n := kit.NewNode(t)
	n.Start()
	want := map[string][]string{}
	var events, links int
	for _, file := range []string{corpus.DemoApps, corpus.WebApp} {
		load(t, n, from, file, 0, want)
		for _, request := range from.Protobuf(t, file) {
			e, l := countChildren(parse(t, request))
			events, links = events+e, links+l
		}
	}
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
	out, err := exec.Command(python, "python/blocks.py", n.Dir+"/blocks").CombinedOutput()
	require.NoError(t, err, "%s", out)
	var got struct {
		Rows    map[string]int
		Columns int
	}
	require.NoError(t, json.Unmarshal(out, &got), "%s", out)
	spans := 0
	for _, s := range want {
		spans += len(unique(s))
	}
	require.Equal(t, spans, got.Rows["spans.parquet"])
	require.Equal(t, events, got.Rows["events.parquet"])
	require.Equal(t, links, got.Rows["links.parquet"])
	require.Greater(t, got.Columns, 60)
}

// countChildren returns the number of events and of links.
func countChildren(td ptrace.Traces) (events, links int) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				events += s.Events().Len()
				links += s.Links().Len()
			}
		}
	}
	return events, links
}

// The SQL that docs/format/tcb1.md shows runs over all blocks of a bucket, also where a block has
// no column for a key: what lies in its attributes table is found, and what lies in its overflow is
// not passed over in silence.
func TestSQLOfTheFormatPage(t *testing.T) {
	python := kit.Python(t, "duckdb")
	n := kit.NewNode(t)
	n.Start()
	now := uint64(time.Now().UnixNano())
	shop := &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: "shop"}}}
	stock := &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: "stock"}}}
	var common, rare []*otlp.Span
	for i := range uint64(200) { // every other span has the key: a column
		s := &otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(i + 1), Name: "call", Kind: 2, Start: now, End: now + 2e6, Resource: shop}
		if i%2 == 0 {
			s.Attrs = []otlp.Attr{{Key: "http.route", Value: "/checkout"}, {Key: "http.status_code", Value: 200}}
			s.Events = []otlp.Event{{Name: "retry", Time: now + 1}}
		}
		common = append(common, s)
	}
	for i := range uint64(3000) { // two of them have it: in the attributes table; one another: in the overflow
		s := &otlp.Span{Trace: otlp.TraceID(2), ID: otlp.SpanID(i + 1), Name: "read", Kind: 3, Start: now, End: now + 1e6, Resource: stock}
		switch i {
		case 777, 1777:
			s.Attrs = []otlp.Attr{{Key: "http.route", Value: "/checkout"}}
		case 2777:
			s.Attrs = []otlp.Attr{{Key: "http.target", Value: "/checkout?n=1"}}
		}
		rare = append(rare, s)
	}
	for _, spans := range [][]*otlp.Span{common, rare} {
		code, body, err := n.Push(t.Context(), "application/x-protobuf", otlp.Encode(spans...))
		require.NoError(t, err)
		require.Equal(t, 200, code, "%s", body)
		require.Equal(t, 0, n.Stop(60*time.Second), n.Log()) // each push has a block of its own
		n.Start()
	}
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
	out, err := exec.Command(python, "python/sql.py", "../../docs/format/tcb1.md", n.Dir+"/blocks").CombinedOutput()
	require.NoError(t, err, "%s", out)
	var got [][]map[string]any
	require.NoError(t, json.Unmarshal(out, &got), "%s", out)
	require.Len(t, got, 5)
	require.Equal(t, []map[string]any{{"tenant": "single-tenant", "service": "stock", "spans": 3000.0, "ms": 1.0},
		{"tenant": "single-tenant", "service": "shop", "spans": 200.0, "ms": 2.0}}, got[0])
	require.Equal(t, []map[string]any{{"certain": 102.0, "possible": 1.0}}, got[1])
	require.Equal(t, []map[string]any{{"route": "/checkout", "spans": 102.0, "ms": 1.98}}, got[2])
	require.Len(t, got[3], 1)
	require.Equal(t, []any{3000.0, 2.0, 1.0},
		[]any{got[3][0]["spans"], got[3][0]["in_attributes"], got[3][0]["with_overflow"]})
	require.Equal(t, []map[string]any{{"service": "shop", "event": "retry", "events": 100.0}}, got[4])
}
