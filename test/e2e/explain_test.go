package e2e

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/corpus"
)

// What `troupectl explain` says is what happens: columns of the query are read and no others, a
// value that no span has is decided by the index alone, a range without spans asks for nothing, and
// explaining twice says the same.
func TestExplain(t *testing.T) {
	n := kit.NewNode(t)
	// the traces are old
	n.Config = "query_frontend: {search: {max_duration: 0}, metrics: {max_duration: 0}}\n"
	n.Start()
	shifted := time.Since(time.Date(2024, 1, 31, 0, 0, 0, 0, time.UTC))
	load(t, n, corpus.Generated(), corpus.DemoApps, shifted, map[string][]string{})
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
	n.Start()
	type plan struct {
		Blocks, OutOfRange int
		Traces             int
		Steps              []struct {
			Home, Outcome string
			Reads         int
			Columns       []struct{ Object, Column string }
		}
	}
	explain := func(q, since string) (p plan, columns map[string]bool) {
		out, errs, code := kit.Troupectl(t, "explain", q, "--since", since, "--json", "--url", "http://"+n.HTTP)
		require.Equal(t, 0, code, errs)
		require.NoError(t, json.Unmarshal([]byte(out), &p))
		columns = map[string]bool{}
		for _, s := range p.Steps {
			for _, c := range s.Columns {
				columns[c.Object+" "+c.Column] = true
			}
		}
		return p, columns
	}
	for range 2 {
		p, columns := explain(`{ span.http.method = "GET" } | count_over_time()`, "9000h")
		require.NotZero(t, p.Blocks)
		require.Len(t, p.Steps, p.Blocks)
		require.True(t, columns["spans.parquet span.http.method"], "%v", columns)
		require.False(t, columns["spans.parquet name"], "%v", columns)
	}
	p, columns := explain(`{ resource.service.name = "no such service" }`, "40000h") // all of every block
	require.Empty(t, columns)
	require.Zero(t, p.Traces)
	for _, s := range p.Steps {
		require.Equal(t, "index only", s.Outcome)
		require.Zero(t, s.Reads)
	}
	p, _ = explain(`{ }`, "1ms")
	require.Equal(t, 0, p.Traces)
	out, errs, code := kit.Troupectl(t, "explain", `{ span.http.method = "GET" }`, "--since", "9000h", "--url", "http://"+n.HTTP)
	require.Equal(t, 0, code, errs)
	require.Contains(t, out, "spans span.http.method")
}
