package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
	"github.com/troupe-tracing/troupe/test/kit/random"
	"github.com/troupe-tracing/troupe/test/oracle"
)

// The binary must answer random searches over HTTP as the naive evaluator does: over live data, and
// over blocks and live data mixed, with spans of most traces in both.
func TestSearchesAsTheOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 0))
	spans := random.Many(r, 150)
	n := kit.NewNode(t)
	n.Start()
	var sent []*otlp.Span
	push := func(from, to int) {
		for i := from; i < to; i += 100 {
			part := spans[i:min(to, i+100)]
			code, b, err := n.Push(context.Background(), "application/x-protobuf", otlp.Encode(part...))
			require.NoError(t, err)
			require.Equal(t, 200, code, "%s", b)
			require.NotContains(t, string(b), "rejected", "all spans are valid")
			sent = append(sent, part...)
		}
	}
	// Spans are dealt out so that traces have some in each part.
	r.Shuffle(len(spans), func(i, k int) { spans[i], spans[k] = spans[k], spans[i] })

	push(0, len(spans)/2)
	askAsOracle(t, n, r, sent, "live")
	require.Equal(t, 0, n.Stop(30*time.Second))
	written, err := filepath.Glob(filepath.Join(n.Dir, "blocks", "*", "*", "meta.json"))
	require.NoError(t, err)
	require.NotEmpty(t, written, "a node that stops writes its blocks")
	n.Start()
	push(len(spans)/2, len(spans))
	askAsOracle(t, n, r, sent, "blocks and live")
}

func askAsOracle(t *testing.T, n *kit.Node, r *rand.Rand, sent []*otlp.Span, where string) {
	t.Helper()
	const base = random.Base / 1_000_000_000
	const start, end uint64 = base - 3600, base + 120*3600
	for i := range 40 {
		q := &eval.SearchRequest{Query: random.Search(r), Start: start * 1e9, End: end * 1e9, Limit: 1 + r.IntN(200), SpansPerSpanSet: 1 + r.IntN(5)}
		if i == 0 {
			q.Query, _ = traceql.Parse("{}")
			q.Limit = 1000
		}
		matches := oracle.Search(sent, q)
		a := &jobs.Answer{Partial: jobs.Partial{Search: &eval.SearchPartial{Traces: matches}}, Complete: true}
		for _, m := range matches {
			if m.Cut { // some spans are years from the others, of clocks that are not set
				a.Partials = append(a.Partials, m.ID)
			}
		}
		want := tracesOf(t, answer.AppendSearchJSON(nil, answer.RenderSearch(a, q, false), false))
		code, b := n.Get("/api/search", "q", q.Query.String(), "start", fmt.Sprint(start), "end", fmt.Sprint(end), "limit", fmt.Sprint(q.Limit), "spss",
			fmt.Sprint(q.SpansPerSpanSet))
		require.Equal(t, 200, code, "%s: %s\n%s", where, q.Query, b)
		if i == 0 { // until all that was pushed is found
			for until := time.Now().Add(30 * time.Second); tracesOf(t, b) != want && time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
				_, b = n.Get("/api/search", "q", "{}", "start", fmt.Sprint(start), "end", fmt.Sprint(end), "limit", "1000", "spss", fmt.Sprint(q.SpansPerSpanSet))
			}
		}
		require.Equal(t, want, tracesOf(t, b), "%s: %s", where, q.Query)
	}
}

// tracesOf is the list of traces of an answer, indented.
func tracesOf(t *testing.T, answer []byte) string {
	t.Helper()
	var a struct {
		Traces []any `json:"traces"`
	}
	require.NoError(t, json.Unmarshal(answer, &a), "%s", answer)
	b, err := json.MarshalIndent(a.Traces, "", " ")
	require.NoError(t, err)
	return string(b)
}
