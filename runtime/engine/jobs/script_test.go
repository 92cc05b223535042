package jobs_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/layout"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
	"github.com/troupe-tracing/troupe/test/kit/views"
)

// What queries find in spans, wherever the spans lie, as text. Where spans lie is changed on the
// way and must not change an answer.
//
//	load home=live spans=1/8<7@10-20:api:get_cart
//
// loads span 8 of trace 1, a child of span 7, into a new live segment; with home=block into a new
// block. The span lasts from second 10 to second 20, and has the name get cart and the service api.
// Underscores in queries and names stand for blanks.
func TestQueries(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		c := &queryScript{t: t}
		return c.on
	})
}

type queryScript struct {
	t     *testing.T
	store layout.Store
}

func (c *queryScript) on(e kit.Event) []string {
	switch e.Name {
	case "load":
		if e.Fields["home"] == "block" {
			require.NoError(c.t, c.store.Block(0, c.spans(e.Fields["spans"])))
		} else {
			require.NoError(c.t, c.store.Live(c.spans(e.Fields["spans"])))
		}
		return nil
	case "cut": // the live records become a block
		require.NoError(c.t, c.store.Cut(0, math.MaxInt64))
		return nil
	case "merge": // all blocks become one
		require.NoError(c.t, c.store.Merge(0))
		return nil
	case "search":
		return c.search(e)
	case "metrics":
		return c.metrics(e)
	}
	c.t.Fatalf("unknown event %s", e.Name)
	return nil
}

func (c *queryScript) search(e kit.Event) (out []string) {
	r := &eval.SearchRequest{Query: c.parse(e), Limit: 20, SpansPerSpanSet: 10, End: math.MaxInt64}
	if limit := e.Int(c.t, "limit"); limit > 0 {
		r.Limit = int(limit)
	}
	if e.Fields["end"] != "" {
		r.Start, r.End = uint64(e.Int(c.t, "start"))*1e9, uint64(e.Int(c.t, "end"))*1e9
	}
	found, err := c.store.Search(r)
	require.NoError(c.t, err)
	for _, m := range found {
		line := fmt.Sprintf("trace %d of %s from %d for %d:", m.ID[15], m.RootService, m.Start/1e9, m.Duration/1e9)
		for _, set := range m.SpanSets {
			for _, s := range set.Spans {
				line += fmt.Sprintf(" %d", s.ID[7])
			}
		}
		out = append(out, line)
	}
	return out
}

func (c *queryScript) metrics(e kit.Event) (out []string) {
	r := &eval.MetricsRequest{Query: c.parse(e), Step: e.Int(c.t, "step") * 1e9}
	r.Start, r.End = series.AlignRange(e.Int(c.t, "start")*1e9, e.Int(c.t, "end")*1e9, r.Step)
	m, err := c.store.Metrics(r)
	require.NoError(c.t, err)
	return strings.Split(strings.TrimSpace(layout.Metrics(m)), "\n")
}

func (c *queryScript) parse(e kit.Event) *traceql.Query {
	q, err := traceql.Parse(strings.ReplaceAll(e.Fields["q"], "_", " "))
	require.NoError(c.t, err)
	return q
}

// spans reads trace/span<parent@start-end:service:name, with commas between.
func (c *queryScript) spans(list string) (out []*otlp.Span) {
	services := map[string]*otlp.Resource{}
	for _, f := range views.List(list) {
		parts := strings.Split(f, ":")
		require.Len(c.t, parts, 3, f)
		ids, times, _ := strings.Cut(parts[0], "@")
		traceNumber, spanNumbers, _ := strings.Cut(ids, "/")
		number, parent, _ := strings.Cut(spanNumbers, "<")
		start, end := views.Span(c.t, times)
		if services[parts[1]] == nil {
			services[parts[1]] = &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: parts[1]}}}
		}
		out = append(out, &otlp.Span{
			Trace:    views.ID(traceNumber),
			ID:       c.spanID(number),
			Parent:   c.spanID(parent),
			Name:     strings.ReplaceAll(parts[2], "_", " "),
			Start:    start * 1e9,
			End:      end * 1e9,
			Resource: services[parts[1]],
		})
	}
	return out
}

// spanID is the id of the span with a number, or none.
func (c *queryScript) spanID(number string) (id trace.SpanID) {
	if number == "" {
		return id
	}
	n, err := strconv.ParseUint(number, 10, 8)
	require.NoError(c.t, err)
	return otlp.SpanID(n)
}
