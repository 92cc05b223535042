package answer

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/messages/api/otlp"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// missingRoot is shown as the root's service while the root span has not arrived.
const missingRoot = "<root span not yet received>"

// RenderSearch makes the answer of a search. With pad, trace ids are printed with all 32 digits,
// otherwise without leading zeros.
func RenderSearch(a *jobs.Answer, r *eval.SearchRequest, pad bool) *api.SearchResponse {
	out := &api.SearchResponse{
		Metrics:   searchMetricsOf(a),
		Complete:  &a.Complete,
		Warnings:  validTexts(a.Warnings),
		Watermark: uint64(a.Watermark),
	}
	p := a.Partial.Search
	if p == nil {
		return out
	}
	out.Metrics.InspectedTraces = clamp32(p.InspectedTraces)
	partial := map[trace.ID]bool{}
	for _, id := range a.Partials {
		partial[id] = true
	}
	out.Traces = make([]*api.TraceSearchMetadata, len(p.Traces))
	for i := range p.Traces {
		out.Traces[i] = traceMetadataOf(&p.Traces[i], r.Bare, pad)
		out.Traces[i].Partial = partial[p.Traces[i].ID]
	}
	return out
}

// traceMetadataOf renders one trace; a bare one has no span sets and no statistics.
func traceMetadataOf(m *eval.TraceMatch, bare, pad bool) *api.TraceSearchMetadata {
	t := &api.TraceSearchMetadata{
		TraceID:           m.ID.Short(),
		RootServiceName:   validText(m.RootService),
		RootTraceName:     validText(m.RootName),
		StartTimeUnixNano: m.Start,
		DurationMs:        clamp32(m.Duration / uint64(time.Millisecond)),
	}
	if pad {
		t.TraceID = m.ID.String()
	}
	if t.RootServiceName == "" {
		t.RootServiceName = missingRoot
	}
	if bare {
		return t
	}
	for i := range m.SpanSets {
		t.SpanSets = append(t.SpanSets, spanSetOf(&m.SpanSets[i]))
	}
	if len(t.SpanSets) > 0 {
		t.SpanSet = t.SpanSets[0]
	}
	if len(m.Services) > 0 {
		t.ServiceStats = make(map[string]*api.ServiceStats, len(m.Services))
		for _, s := range m.Services {
			t.ServiceStats[validText(s.Service)] = &api.ServiceStats{SpanCount: s.Spans, ErrorCount: s.Errors}
		}
	}
	return t
}

func spanSetOf(s *eval.SpanSet) *api.SpanSet {
	out := &api.SpanSet{
		Matched:    clamp32(uint64(max(s.Matched, 0))),
		Attributes: keyValuesOf(s.Attributes),
		Spans:      make([]*api.Span, len(s.Spans)),
	}
	for i := range s.Spans {
		m := &s.Spans[i]
		out.Spans[i] = &api.Span{
			SpanID:            m.ID.String(),
			Name:              validText(m.Name),
			StartTimeUnixNano: m.Start,
			DurationNanos:     m.Duration,
			Attributes:        keyValuesOf(m.Attributes),
		}
	}
	return out
}

func searchMetricsOf(a *jobs.Answer) *api.SearchMetrics {
	return &api.SearchMetrics{
		InspectedBytes:    uint64(max(a.Bytes, 0)),
		InspectedSpans:    uint64(max(a.Spans, 0)),
		TotalBlocks:       uint32(a.Blocks),
		TotalBlockBytes:   uint64(max(a.BlockBytes, 0)),
		TotalJobs:         uint32(a.Jobs),
		CompletedJobs:     uint32(a.Done),
		AdditionalMetrics: additionalMetricsOf(a),
	}
}

func metadataMetricsOf(a *jobs.Answer) *api.MetadataMetrics {
	return &api.MetadataMetrics{
		InspectedBytes:    uint64(max(a.Bytes, 0)),
		TotalBlocks:       uint32(a.Blocks),
		TotalBlockBytes:   uint64(max(a.BlockBytes, 0)),
		TotalJobs:         uint32(a.Jobs),
		CompletedJobs:     uint32(a.Done),
		AdditionalMetrics: additionalMetricsOf(a),
	}
}

func additionalMetricsOf(a *jobs.Answer) map[string]int64 {
	if a.CacheHits == 0 {
		return nil
	}
	return map[string]int64{"cacheHits": int64(a.CacheHits)}
}

func keyValuesOf(attrs []eval.Attribute) []*otlp.KeyValue {
	if len(attrs) == 0 {
		return nil
	}
	out := make([]*otlp.KeyValue, len(attrs))
	for i := range attrs {
		out[i] = &otlp.KeyValue{Key: validText(attrs[i].Key), Value: anyValueOf(attrs[i].Value)}
	}
	return out
}

func anyValueOf(v trace.Value) *otlp.AnyValue {
	switch v.Type {
	case trace.String:
		return &otlp.AnyValue{Value: &otlp.AnyValue_StringValue{StringValue: validText(string(v.Bytes))}}
	case trace.Bool:
		return &otlp.AnyValue{Value: &otlp.AnyValue_BoolValue{BoolValue: v.Num != 0}}
	case trace.Int:
		return &otlp.AnyValue{Value: &otlp.AnyValue_IntValue{IntValue: int64(v.Num)}}
	case trace.Float:
		return &otlp.AnyValue{Value: &otlp.AnyValue_DoubleValue{DoubleValue: math.Float64frombits(v.Num)}}
	case trace.Bytes:
		return &otlp.AnyValue{Value: &otlp.AnyValue_BytesValue{BytesValue: v.Bytes}}
	case trace.Array:
		a := &otlp.ArrayValue{}
		v.Elements(func(e trace.Value) { a.Values = append(a.Values, anyValueOf(e)) })
		return &otlp.AnyValue{Value: &otlp.AnyValue_ArrayValue{ArrayValue: a}}
	case trace.Map:
		m := &otlp.KeyValueList{}
		v.Entries(func(e trace.Attribute) {
			m.Values = append(m.Values, &otlp.KeyValue{Key: validText(string(e.Key)), Value: anyValueOf(e.Value)})
		})
		return &otlp.AnyValue{Value: &otlp.AnyValue_KvlistValue{KvlistValue: m}}
	}
	return &otlp.AnyValue{}
}

// validText replaces what is not UTF-8 by U+FFFD.
func validText(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

func validTexts(ss []string) []string {
	out := make([]string, len(ss))
	for i, s := range ss {
		out[i] = validText(s)
	}
	return out
}

// clamp32 returns v as 32 bits, the greatest of them if it is greater.
func clamp32(v uint64) uint32 { return uint32(min(v, math.MaxUint32)) }

// MergeSearch joins the search results of several tenants: at most limit traces, newest first,
// those of one start by id. A trace id that two tenants have becomes one trace with the earliest
// start, the longest duration and the larger of each service's counts; of span sets with the same
// attributes it has the one that matched more spans. The partials stay as they are.
func MergeSearch(limit int, of ...*eval.SearchPartial) *eval.SearchPartial {
	out := &eval.SearchPartial{}
	at := map[trace.ID]int{}
	for _, p := range of {
		if p == nil {
			continue
		}
		out.InspectedTraces += p.InspectedTraces
		out.InspectedSpans += p.InspectedSpans
		for _, t := range p.Traces {
			if i, ok := at[t.ID]; ok {
				out.Traces[i] = mergeMatch(out.Traces[i], t)
			} else {
				at[t.ID] = len(out.Traces)
				out.Traces = append(out.Traces, t)
			}
		}
	}
	slices.SortFunc(out.Traces, func(a, b eval.TraceMatch) int {
		return cmp.Or(cmp.Compare(b.Start, a.Start), slices.Compare(a.ID[:], b.ID[:]))
	})
	out.Traces = out.Traces[:min(limit, len(out.Traces))]
	return out
}

// mergeMatch joins two results with the same trace id, without changing either.
func mergeMatch(a, b eval.TraceMatch) eval.TraceMatch {
	a.RootService, a.RootName = cmp.Or(a.RootService, b.RootService), cmp.Or(a.RootName, b.RootName)
	a.Start, a.Duration = min(a.Start, b.Start), max(a.Duration, b.Duration)
	services := slices.Clone(a.Services)
	for _, s := range b.Services {
		byName := func(s eval.ServiceStats, name string) int { return cmp.Compare(s.Service, name) }
		i, ok := slices.BinarySearchFunc(services, s.Service, byName)
		if !ok {
			services = slices.Insert(services, i, s)
			continue
		}
		services[i].Spans, services[i].Errors = max(services[i].Spans, s.Spans), max(services[i].Errors, s.Errors)
	}
	a.Services = services
	sets := slices.Clone(a.SpanSets)
	for _, s := range b.SpanSets {
		i := slices.IndexFunc(sets, func(o eval.SpanSet) bool {
			return slices.EqualFunc(o.Attributes, s.Attributes, sameAttribute)
		})
		switch {
		case i < 0:
			sets = append(sets, s)
		case s.Matched > sets[i].Matched:
			sets[i] = s
		}
	}
	a.SpanSets = sets
	return a
}

func sameAttribute(a, b eval.Attribute) bool {
	return a.Key == b.Key && a.Value.Type == b.Value.Type && a.Value.Num == b.Value.Num &&
		bytes.Equal(a.Value.Bytes, b.Value.Bytes)
}
