package oracle

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/layout"
	"github.com/troupe-tracing/troupe/test/kit/random"
)

// Every exemplar must be a span that the query counted in the exemplar's series, in the range, with
// the labels shown; no more may come than were asked for, and where spans were counted some must.
func TestExemplarsAreSpansThatCount(t *testing.T) {
	for i := range *pairs / 10 {
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		spans := random.Spans(r)
		q := random.Metrics(r)
		n, ok := q.Root.(*traceql.Metrics)
		if !ok || n.Compare != nil {
			continue
		}
		req := &eval.MetricsRequest{Query: q, Start: random.Base - 60e9, End: random.Base + 300e9, Step: 20e9,
			Exemplars: 1 + r.IntN(20)}
		l := layout.Random(r)
		store, err := l.Build(spans)
		require.NoError(t, err)
		got, err := store.Metrics(req)
		require.NoError(t, err)

		counted := map[string]bool{} // trace, start and labels of every span
		over(assemble(spans), req).each(n.Pipeline, func(v env) {
			start, id := int64(v.span.Start), v.trace.id.String()
			counted[exemplarKey(id, start, labels(n, v))] = true
		})
		picked := 0
		for _, s := range got.Series {
			for _, e := range s.Exemplars {
				picked++
				id := ""
				for _, a := range e.Labels {
					if a.Key == "trace:id" {
						id = string(a.Value.Bytes)
					}
				}
				k := id + " " + layout.Attributes(seriesLabels(s.Labels)) + " " + strconv.FormatInt(e.Time, 10)
				require.True(t, counted[k], "seed %d, number %d: %s\nlayout %s\nno span is %s", *seed, i, q, l.Name, k)
			}
		}
		require.LessOrEqual(t, picked, req.Exemplars, "seed %d, number %d: %s", *seed, i, q)
		if len(counted) > 0 && n.Field == nil {
			require.Positive(t, picked, "seed %d, number %d: %s\nlayout %s: no exemplar", *seed, i, q, l.Name)
		}
	}
}

func exemplarKey(id string, start int64, by []attr) string {
	var list []eval.Attribute
	for _, l := range by {
		list = append(list, attribute(l.key, l.value))
	}
	return id + " " + layout.Attributes(list) + " " + strconv.FormatInt(start, 10)
}

// seriesLabels are the labels of by(): without those of quantiles and buckets.
func seriesLabels(all []eval.Attribute) (out []eval.Attribute) {
	for _, a := range all {
		if a.Key != "p" && !strings.HasPrefix(a.Key, "__bucket") {
			out = append(out, a)
		}
	}
	return out
}
