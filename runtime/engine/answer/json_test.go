package answer

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/messages/api/otlp"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// gen makes messages of all shapes.
type gen struct{ *rand.Rand }

func (g gen) text() string {
	texts := []string{"", "a", "GET /cart/{id}", "quote\"back\\slash", "поиск 🔎", "<b>&amp;</b>",
		"tab\tline\nnul\x00", "\u2028"}
	return texts[g.IntN(len(texts))]
}

func (g gen) num() uint64 {
	nums := []uint64{0, 1, 42, math.MaxUint32, math.MaxUint64, 1700000000000000000}
	return nums[g.IntN(len(nums))]
}

func (g gen) float() float64 {
	floats := []float64{0, 1, -2.5, 1e300, 1e-9, math.Inf(1), math.Inf(-1), 0.1}
	return floats[g.IntN(len(floats))]
}

func (g gen) any(depth int) *otlp.AnyValue {
	switch g.IntN(8) {
	case 0:
		return &otlp.AnyValue{Value: &otlp.AnyValue_StringValue{StringValue: g.text()}}
	case 1:
		return &otlp.AnyValue{Value: &otlp.AnyValue_BoolValue{BoolValue: g.IntN(2) == 0}}
	case 2:
		return &otlp.AnyValue{Value: &otlp.AnyValue_IntValue{IntValue: int64(g.num())}}
	case 3:
		return &otlp.AnyValue{Value: &otlp.AnyValue_DoubleValue{DoubleValue: g.float()}}
	case 4:
		return &otlp.AnyValue{Value: &otlp.AnyValue_BytesValue{BytesValue: []byte(g.text())}}
	case 5:
		if depth > 0 {
			a := &otlp.ArrayValue{}
			for range g.IntN(3) {
				a.Values = append(a.Values, g.any(depth-1))
			}
			return &otlp.AnyValue{Value: &otlp.AnyValue_ArrayValue{ArrayValue: a}}
		}
	case 6:
		if depth > 0 {
			return &otlp.AnyValue{Value: &otlp.AnyValue_KvlistValue{KvlistValue: &otlp.KeyValueList{Values: g.attrs(depth - 1)}}}
		}
	}
	return &otlp.AnyValue{}
}

func (g gen) attrs(depth int) (out []*otlp.KeyValue) {
	for range g.IntN(3) {
		out = append(out, &otlp.KeyValue{Key: g.text(), Value: g.any(depth)})
	}
	return out
}

func (g gen) search() *api.SearchResponse {
	m := &api.SearchResponse{Metrics: g.searchMetrics(), Complete: proto.Bool(g.IntN(2) == 0), Watermark: g.num()}
	for range g.IntN(3) {
		t := &api.TraceSearchMetadata{TraceID: g.text(), RootServiceName: g.text(), RootTraceName: g.text(),
			StartTimeUnixNano: g.num(),
			DurationMs:        uint32(g.num()), Partial: g.IntN(4) == 0}
		for range g.IntN(3) {
			s := &api.SpanSet{Matched: uint32(g.num()), Attributes: g.attrs(2)}
			for range g.IntN(3) {
				s.Spans = append(s.Spans, &api.Span{SpanID: g.text(), Name: g.text(), StartTimeUnixNano: g.num(),
					DurationNanos: g.num(), Attributes: g.attrs(2)})
			}
			t.SpanSets = append(t.SpanSets, s)
		}
		if len(t.SpanSets) > 0 {
			t.SpanSet = t.SpanSets[0]
		}
		for range g.IntN(3) {
			if t.ServiceStats == nil {
				t.ServiceStats = map[string]*api.ServiceStats{}
			}
			t.ServiceStats[g.text()] = &api.ServiceStats{SpanCount: uint32(g.num()), ErrorCount: uint32(g.num())}
		}
		m.Traces = append(m.Traces, t)
	}
	for range g.IntN(2) {
		m.Warnings = append(m.Warnings, g.text())
	}
	return m
}

func (g gen) searchMetrics() *api.SearchMetrics {
	m := &api.SearchMetrics{InspectedTraces: uint32(g.num()), InspectedBytes: g.num(), TotalBlocks: uint32(g.num()),
		CompletedJobs: uint32(g.num()),
		TotalJobs:     uint32(g.num()), TotalBlockBytes: g.num(), InspectedSpans: g.num()}
	if g.IntN(2) == 0 {
		m.AdditionalMetrics = map[string]int64{"cacheHits": 3}
	}
	return m
}

func (g gen) series() *api.QueryRangeResponse {
	m := &api.QueryRangeResponse{Metrics: g.searchMetrics(), Status: api.PartialStatus(g.IntN(2)), Message: g.text(),
		Complete: proto.Bool(false)}
	for range g.IntN(3) {
		s := &api.TimeSeries{Labels: g.attrs(1)}
		for range g.IntN(3) {
			s.Samples = append(s.Samples, &api.Sample{TimestampMs: int64(g.num()), Value: g.float()})
			s.Exemplars = append(s.Exemplars, &api.Exemplar{TimestampMs: int64(g.num()), Value: g.float(),
				Labels: g.attrs(1)})
		}
		m.Series = append(m.Series, s)
	}
	return m
}

// Answers must be JSON on one line, which proto3's own reader reads back to the same message.
func TestJSONReadsBack(t *testing.T) {
	g := gen{rand.New(rand.NewPCG(1, 2))}
	for range 500 {
		search, series := g.search(), g.series()
		instant := &api.QueryInstantResponse{Metrics: g.searchMetrics(),
			Series: []*api.InstantSeries{{Labels: g.attrs(1), Value: g.float()}}, Complete: proto.Bool(true)}
		tags := &api.SearchTagsV2Response{Metrics: &api.MetadataMetrics{InspectedBytes: g.num(), TotalJobs: 1},
			Complete: proto.Bool(true),
			Scopes:   []*api.SearchTagsV2Scope{{Name: g.text(), Tags: []string{g.text(), g.text()}}}}
		values := &api.SearchTagValuesV2Response{Metrics: &api.MetadataMetrics{},
			TagValues: []*api.TagValue{{Type: g.text(), Value: g.text()}}, Complete: proto.Bool(true)}
		for _, c := range []struct {
			got  []byte
			want proto.Message
		}{
			{AppendSearchJSON(nil, search, true), search}, {AppendRangeJSON(nil, series, true), series},
			{AppendInstantJSON(nil, instant, true), instant},
			{AppendTagsV2JSON(nil, tags, true), tags}, {AppendValuesV2JSON(nil, values, true), values},
		} {
			require.True(t, json.Valid(c.got), "%s", c.got)
			require.NotContains(t, string(c.got), "\n")
			back := c.want.ProtoReflect().New().Interface()
			require.NoError(t, protojson.Unmarshal(c.got, back), "%s", c.got)
			require.True(t, proto.Equal(c.want, back), "%s\n%s\n%s", c.got, c.want, back)
		}
	}
}

// Default values must be left out, except the lists that clients rely on. An answer tells whether
// it is complete only if it is not.
func TestJSONOfEmptyAnswers(t *testing.T) {
	whole := &jobs.Answer{Complete: true, Watermark: 7}
	r := &eval.SearchRequest{Limit: 1}
	require.Equal(t, `{"traces":[],"metrics":{}}`, string(AppendSearchJSON(nil, RenderSearch(whole, r, false), false)))
	require.Equal(t, `{"traces":[],"metrics":{},"complete":true,"warnings":[],"watermark":"7"}`,
		string(AppendSearchJSON(nil, RenderSearch(whole, r, false), true)))
	require.Equal(t, `{"tagNames":[],"metrics":{}}`, string(AppendTagsJSON(nil, RenderTags(whole, TagsRequest{}),
		false)))
	require.Equal(t, `{"scopes":[],"metrics":{}}`, string(AppendTagsV2JSON(nil,
		RenderTagsV2(whole, TagsRequest{Scope: "span"}), false)))
	require.Equal(t, `{"tagValues":[],"metrics":{}}`, string(AppendValuesJSON(nil, RenderValues(whole, nil, 0), false)))
	require.Equal(t, `{"tagValues":[],"metrics":{}}`, string(AppendValuesV2JSON(nil, RenderValuesV2(whole, nil, 0),
		false)))
	m := &eval.MetricsRequest{}
	series, err := RenderRange(whole, m)
	require.NoError(t, err)
	require.Equal(t, `{"series":[],"metrics":{}}`, string(AppendRangeJSON(nil, series, false)))
	instant, err := RenderInstant(whole, m)
	require.NoError(t, err)
	require.Equal(t, `{"metrics":{}}`, string(AppendInstantJSON(nil, instant, false)))
	b, err := AppendTraceByIDJSON(nil, nil, &api.TraceByIDResponse{Complete: proto.Bool(true)}, false)
	require.NoError(t, err)
	require.Equal(t, `{"trace":{},"metrics":{}}`, string(b))

	torn := &jobs.Answer{Warnings: []string{"block x: corrupt"}}
	require.Equal(t, `{"traces":[],"metrics":{},"complete":false,"warnings":["block x: corrupt"]}`,
		string(AppendSearchJSON(nil, RenderSearch(torn, r, false), false)))
	series, err = RenderRange(torn, m)
	require.NoError(t, err)
	require.Equal(t, `{"series":[],"metrics":{},"status":"PARTIAL","message":"block x: corrupt","complete":false,"warnings":["block x: corrupt"]}`,
		string(AppendRangeJSON(nil, series, false)))
}

// A search answer must have the fields of the API: ids without leading zeros, milliseconds, the
// first span set twice, and a word for a missing root.
func TestSearchAnswer(t *testing.T) {
	p := &eval.SearchPartial{Traces: []eval.TraceMatch{{ID: trace.ID{15: 8}, Start: 1700000000000000000,
		Duration: 557999999,
		SpanSets: []eval.SpanSet{{Matched: 4, Spans: []eval.SpanMatch{{ID: trace.SpanID{7: 1}, Start: 5, Duration: 7,
			Attributes: []eval.Attribute{{Key: "status", Value: trace.Value{Type: trace.String,
				Bytes: []byte("error")}}}}},
			Attributes: []eval.Attribute{{Key: "count()", Value: trace.Value{Type: trace.Int, Num: 3}}}}},
		Services: []eval.ServiceStats{{Service: "a\xff", Spans: 2, Errors: 1}}}}}
	a := &jobs.Answer{Complete: true, Partial: jobs.Partial{Search: p}, Jobs: 2, Done: 1, Bytes: 9}
	got := string(AppendSearchJSON(nil, RenderSearch(a, &eval.SearchRequest{}, false), false))
	set := `{"spans":[{"spanID":"0000000000000001","startTimeUnixNano":"5","durationNanos":"7","attributes":[{"key":"status","value":{"stringValue":"error"}}]}],` +
		`"matched":4,"attributes":[{"key":"count()","value":{"intValue":"3"}}]}`
	require.Equal(t, `{"traces":[{"traceID":"8","rootServiceName":"\u003croot span not yet received\u003e","startTimeUnixNano":"1700000000000000000","durationMs":557,`+
		`"spanSet":`+set+`,"spanSets":[`+set+`],"serviceStats":{"a`+"\ufffd"+`":{"spanCount":2,"errorCount":1}}}],`+
		`"metrics":{"inspectedBytes":"9","completedJobs":1,"totalJobs":2}}`, got)
	a.Partials = []trace.ID{{15: 8}}
	require.Contains(t, string(AppendSearchJSON(nil, RenderSearch(a, &eval.SearchRequest{}, false), false)),
		`"serviceStats":{"a`+"\ufffd"+`":{"spanCount":2,"errorCount":1}},"partial":true}`)
	bare := RenderSearch(a, &eval.SearchRequest{Bare: true}, true).Traces[0]
	require.Equal(t, "00000000000000000000000000000008", bare.TraceID)
	require.Empty(t, bare.SpanSets)
	require.Empty(t, bare.ServiceStats)
	_, err := proto.Marshal(RenderSearch(a, &eval.SearchRequest{}, false))
	require.NoError(t, err, "text is repaired, so that protobuf takes it")
}
