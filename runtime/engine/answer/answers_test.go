package answer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

func set(names ...string) map[string]struct{} {
	out := map[string]struct{}{}
	for _, n := range names {
		out[n] = struct{}{}
	}
	return out
}

// Names must be sorted and cut in one order, whatever the limit. In v2 each scope has the limit for
// itself.
func TestTagNames(t *testing.T) {
	a := &jobs.Answer{Complete: true, Partial: jobs.Partial{Tags: eval.TagNames{"span": set("c", "a", "b"),
		"resource": set("a", "z")}}}
	require.Equal(t, []string{"a", "b", "c", "z"}, RenderTags(a, TagsRequest{}).TagNames)
	require.Equal(t, []string{"a", "b"}, RenderTags(a, TagsRequest{Limit: 2}).TagNames)
	require.Equal(t, []string{"a", "z"}, RenderTags(a, TagsRequest{Scope: "resource"}).TagNames)
	require.Equal(t, []string{"a", "b"}, RenderTags(a, TagsRequest{MaxBytes: 2}).TagNames)
	require.Equal(t, []string{"duration", "name"}, RenderTags(a, TagsRequest{Scope: ScopeIntrinsic, Limit: 2}).TagNames)

	v2 := RenderTagsV2(a, TagsRequest{Limit: 1})
	require.Len(t, v2.Scopes, 3)
	require.Equal(t, "span", v2.Scopes[0].Name)
	require.Equal(t, []string{"a"}, v2.Scopes[0].Tags)
	require.Equal(t, []string{"a"}, v2.Scopes[1].Tags)
	require.Equal(t, "intrinsic", v2.Scopes[2].Name)
	require.Len(t, v2.Scopes[2].Tags, 25, "intrinsics are never cut")
	require.True(t, IsKnownScope("none"))
	require.False(t, IsKnownScope("foo"))
}

// Values must have one order, and a warning must name a cut at the limit of bytes.
func TestTagValues(t *testing.T) {
	v := &eval.TagValues{Values: map[eval.TagValue]struct{}{{Type: "string", Value: "1"}: {},
		{Type: "int", Value: "1"}: {}, {Type: "string", Value: "0"}: {}}, Truncated: true}
	a := &jobs.Answer{Complete: true, Partial: jobs.Partial{Values: v}}
	m := RenderValuesV2(a, nil, 2)
	require.Equal(t, []string{"string 0", "int 1"}, []string{m.TagValues[0].Type + " " + m.TagValues[0].Value,
		m.TagValues[1].Type + " " + m.TagValues[1].Value})
	require.Len(t, m.TagValues, 2)
	require.Len(t, m.Warnings, 1)
	require.Equal(t, []string{"0", "1"}, RenderValues(a, nil, 0).TagValues)

	field, err := traceql.ParseField("span:status")
	require.NoError(t, err)
	words, ok := ListFixedValues(field)
	require.True(t, ok)
	require.Equal(t, []string{"error", "ok", "unset"}, words)
}

// The answers of tenants must become one: numbers add up, the whole is incomplete if one of them
// is, and a trace that two of them have appears once.
func TestTenants(t *testing.T) {
	id := trace.ID{1}
	mine := &jobs.Answer{Complete: true, Watermark: 9, Bytes: 1, Jobs: 1, Done: 1,
		Partial: jobs.Partial{Search: &eval.SearchPartial{Traces: []eval.TraceMatch{
			{ID: trace.ID{2}, Start: 30}, {ID: id, Start: 20, Duration: 5, RootService: "a",
				Services: []eval.ServiceStats{{Service: "s", Spans: 1}},
				SpanSets: []eval.SpanSet{{Matched: 1}}}}}}}
	other := &jobs.Answer{Warnings: []string{"lost"}, Watermark: 7, Bytes: 2, Jobs: 1,
		Partial: jobs.Partial{Search: &eval.SearchPartial{Traces: []eval.TraceMatch{
			{ID: id, Start: 10, Duration: 8, Services: []eval.ServiceStats{{Service: "r", Spans: 4},
				{Service: "s", Spans: 3, Errors: 1}},
				SpanSets: []eval.SpanSet{{Matched: 2}}}}}}}
	a, err := JoinTenants([]string{"x", "y"}, []*jobs.Answer{mine, other},
		jobs.Scan{Search: &eval.SearchRequest{Limit: 2}})
	require.NoError(t, err)
	require.False(t, a.Complete)
	require.Equal(t, []string{"tenant y: lost"}, a.Warnings)
	require.EqualValues(t, 7, a.Watermark)
	require.EqualValues(t, 3, a.Bytes)
	require.Len(t, a.Partial.Search.Traces, 2)
	got := a.Partial.Search.Traces[1]
	require.Equal(t, eval.TraceMatch{ID: id, Start: 10, Duration: 8, RootService: "a",
		SpanSets: []eval.SpanSet{{Matched: 2}},
		Services: []eval.ServiceStats{{Service: "r", Spans: 4}, {Service: "s", Spans: 3, Errors: 1}}}, got)
	require.Len(t, mine.Partial.Search.Traces[1].Services, 1, "the answers are not changed")
}

// In a trace that two tenants have, each span must appear once. Spans that differ in anything, even
// only in their resource, are different spans, also if they share an id.
func TestTraceOfTwoTenants(t *testing.T) {
	one, two := spans(t, "a", "GET", "POST"), spans(t, "a", "GET", "PUT")
	a, err := JoinTenants([]string{"x", "y"}, []*jobs.Answer{{OfTrace: jobs.OfTrace{Trace: one}}, {OfTrace: jobs.OfTrace{Trace: two}}}, jobs.Scan{})
	require.NoError(t, err)
	var c trace.Collector
	require.NoError(t, c.Add(a.Trace))
	require.Len(t, c.Fragments(c.IDs()[0]), 3, "span ids are those of the position")

	twins := trace.Assemble(c.Fragments(c.IDs()[0]))
	a, err = JoinTenants([]string{"x", "y"}, []*jobs.Answer{{OfTrace: jobs.OfTrace{Trace: twins}}, {OfTrace: jobs.OfTrace{Trace: spans(t, "b", "GET")}}}, jobs.Scan{})
	require.NoError(t, err)
	c = trace.Collector{}
	require.NoError(t, c.Add(a.Trace))
	require.Len(t, c.Fragments(c.IDs()[0]), 4, "none of the twins within one tenant is dropped")
}

// spans makes a trace of one resource with a chain of spans.
func spans(t *testing.T, service string, names ...string) []byte {
	t.Helper()
	var e trace.Encoder
	value := trace.Attribute{Key: []byte("service.name"), Value: trace.Value{Type: trace.String,
		Bytes: []byte(service)}}
	kv := trace.AppendAttribute(nil, &value)
	resource := append([]byte{1<<3 | 2, byte(len(kv))}, kv...)
	require.NoError(t, e.Resource(append([]byte{1<<3 | 2, byte(len(resource))}, resource...)))
	require.NoError(t, e.Scope([]byte{1<<3 | 2, 0}))
	for i, n := range names {
		s := trace.Span{TraceID: trace.ID{1}, SpanID: trace.SpanID{7: byte(i + 1)}, Name: []byte(n), Kind: 1,
			StartUnixNano: uint64(i + 1), EndUnixNano: 9}
		if i > 0 {
			s.HasParent, s.ParentID = true, trace.SpanID{7: byte(i)}
		}
		require.NoError(t, e.Span(&s))
	}
	return e.Bytes()
}

// A filter must be a single spanset filter with fields that a span answers by itself.
func TestNewFilter(t *testing.T) {
	for q, want := range map[string]string{
		"{} | rate()":              "only a single TraceQL filter is supported: got a metrics query",
		"{} >> {}":                 "only a single TraceQL filter is supported: got a structural or aggregate query",
		"{} | count() > 1":         "only a single TraceQL filter is supported: got a structural or aggregate query",
		`{ rootName = "x" }`:       `intrinsic is not supported by this filter: "rootName"`,
		`{ trace:rootName = "x" }`: `intrinsic is not supported by this filter: "rootName"`,
	} {
		parsed, err := traceql.Parse(q)
		require.NoError(t, err)
		_, err = NewFilter(parsed)
		require.ErrorContains(t, err, want, q)
	}
	for _, q := range []string{"{}", "{ status = error && .a != nil }"} {
		parsed, err := traceql.Parse(q)
		require.NoError(t, err)
		_, err = NewFilter(parsed)
		require.NoError(t, err)
	}
}

// The relatives of a matched span must be kept as far as the filter asks for.
func TestFilterFamily(t *testing.T) {
	chain := spans(t, "a", "one", "two", "three", "four", "five")
	id := func(n byte) trace.SpanID { return trace.SpanID{7: n} }
	matched := map[trace.SpanID]bool{id(3): true}
	for _, c := range []struct {
		f    Filter
		want []byte
	}{
		{Filter{AncestorDepth: -1}, []byte{3}},
		{Filter{Hierarchy: true, AncestorDepth: -1}, []byte{1, 2, 3}},
		{Filter{Hierarchy: true, AncestorDepth: 1}, []byte{2, 3}},
		{Filter{MatchDepth: 1}, []byte{3, 4}},
		{Filter{MatchDepth: -1}, []byte{3, 4, 5}},
		{Filter{Hierarchy: true, AncestorDepth: 0, MatchDepth: -1}, []byte{3, 4, 5}},
	} {
		want := map[trace.SpanID]bool{}
		for _, n := range c.want {
			want[id(n)] = true
		}
		require.Equal(t, want, c.f.addRelatives(chain, matched), "%+v", c.f)
	}
}

// The form for language models must be an empty object for an empty trace, and plain JSON
// otherwise.
func TestTraceForLLM(t *testing.T) {
	b, err := MarshalTraceForLLM(t.Context(), nil, &api.TraceByIDResponse{})
	require.NoError(t, err)
	require.Equal(t, "{}", string(b))
	b, err = MarshalTraceForLLM(t.Context(), spans(t, "cart", "GET"),
		&api.TraceByIDResponse{Status: api.PartialStatus_PARTIAL, Message: "m"})
	require.NoError(t, err)
	require.Equal(t, `{"trace":{"traceId":"01000000000000000000000000000000","services":[{"serviceName":"cart","scopes":[{"spans":[{"spanId":"0000000000000001",`+
		`"name":"GET","kind":"SPAN_KIND_INTERNAL","startTimeUnixNano":"1","endTimeUnixNano":"9","durationMs":0.000008,`+
		`"status":{"code":"STATUS_CODE_UNSET","message":""}}]}]}]},"metrics":{},"status":"PARTIAL","message":"m"}`,
		string(b))
}
