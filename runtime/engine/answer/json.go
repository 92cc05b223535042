package answer

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/messages/api/otlp"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// The JSON of the API is proto3 JSON on one line. Fields with default values are left out, except
// those that clients rely on: the lists traces, tagNames, scopes, tagValues and the series of a
// range query are always written, and so are the metrics. Source: docs/spec/api.md, "JSON".
//
// The fields of Completeness are written only if the answer is incomplete or the client asked for
// them (verbose), because strict clients of Tempo refuse fields that they do not know.
//
// The functions whose names begin with append write one field, with the comma before it and the
// quoted name; those that return b unchanged for a default value leave the field out.

// Completeness is the part that all answers have: whether everything in their range could be read.
type Completeness interface {
	GetComplete() bool
	GetWarnings() []string
	GetWatermark() uint64
}

// AppendSearchJSON appends the answer of a search.
func AppendSearchJSON(b []byte, m *api.SearchResponse, verbose bool) []byte {
	b = appendList(openObject(b), "traces", m.Traces, appendTrace)
	b = appendSearchMetrics(b, m.Metrics)
	return closeObject(appendCompleteness(b, m, verbose))
}

// AppendTagsJSON appends the answer of tags v1.
func AppendTagsJSON(b []byte, m *api.SearchTagsResponse, verbose bool) []byte {
	b = appendList(openObject(b), "tagNames", m.TagNames, trace.AppendJSONString)
	b = appendMetadataMetrics(b, m.Metrics)
	return closeObject(appendCompleteness(b, m, verbose))
}

// AppendTagsV2JSON appends the answer of tags v2.
func AppendTagsV2JSON(b []byte, m *api.SearchTagsV2Response, verbose bool) []byte {
	b = appendList(openObject(b), "scopes", m.Scopes, func(b []byte, s *api.SearchTagsV2Scope) []byte {
		b = appendText(openObject(b), "name", s.Name)
		return closeObject(appendNonEmpty(b, "tags", s.Tags, trace.AppendJSONString))
	})
	b = appendMetadataMetrics(b, m.Metrics)
	return closeObject(appendCompleteness(b, m, verbose))
}

// AppendValuesJSON appends the answer of tag values v1.
func AppendValuesJSON(b []byte, m *api.SearchTagValuesResponse, verbose bool) []byte {
	b = appendList(openObject(b), "tagValues", m.TagValues, trace.AppendJSONString)
	b = appendMetadataMetrics(b, m.Metrics)
	return closeObject(appendCompleteness(b, m, verbose))
}

// AppendValuesV2JSON appends the answer of tag values v2.
func AppendValuesV2JSON(b []byte, m *api.SearchTagValuesV2Response, verbose bool) []byte {
	b = appendList(openObject(b), "tagValues", m.TagValues, func(b []byte, v *api.TagValue) []byte {
		return closeObject(appendText(appendText(openObject(b), "type", v.Type), "value", v.Value))
	})
	b = appendMetadataMetrics(b, m.Metrics)
	return closeObject(appendCompleteness(b, m, verbose))
}

// AppendRangeJSON appends the answer of a range query.
func AppendRangeJSON(b []byte, m *api.QueryRangeResponse, verbose bool) []byte {
	b = appendList(openObject(b), "series", m.Series, func(b []byte, s *api.TimeSeries) []byte {
		b = appendNonEmpty(openObject(b), "labels", s.Labels, appendKeyValue)
		b = appendNonEmpty(b, "samples", s.Samples, func(b []byte, s *api.Sample) []byte {
			b = appendInt64Text(openObject(b), "timestampMs", s.TimestampMs)
			return closeObject(appendDouble(b, "value", s.Value))
		})
		return closeObject(appendNonEmpty(b, "exemplars", s.Exemplars, func(b []byte, e *api.Exemplar) []byte {
			b = appendNonEmpty(openObject(b), "labels", e.Labels, appendKeyValue)
			b = appendDouble(b, "value", e.Value)
			return closeObject(appendInt64Text(b, "timestampMs", e.TimestampMs))
		}))
	})
	b = appendPartialStatus(appendSearchMetrics(b, m.Metrics), m.Status, m.Message)
	return closeObject(appendCompleteness(b, m, verbose))
}

// AppendInstantJSON appends the answer of an instant query.
func AppendInstantJSON(b []byte, m *api.QueryInstantResponse, verbose bool) []byte {
	b = appendNonEmpty(openObject(b), "series", m.Series, func(b []byte, s *api.InstantSeries) []byte {
		b = appendNonEmpty(openObject(b), "labels", s.Labels, appendKeyValue)
		return closeObject(appendDouble(b, "value", s.Value))
	})
	b = appendPartialStatus(appendSearchMetrics(b, m.Metrics), m.Status, m.Message)
	return closeObject(appendCompleteness(b, m, verbose))
}

// AppendTraceByIDJSON appends the answer of trace by id v2. The trace is written from otlp, a
// TracesData message, and not from m.Trace: so it is printed as it is stored, without a detour.
func AppendTraceByIDJSON(b []byte, otlp []byte, m *api.TraceByIDResponse, verbose bool) ([]byte, error) {
	b, err := trace.AppendJSON(appendKey(openObject(b), "trace"), otlp, false)
	if err != nil {
		return b, err
	}
	return AppendTraceByIDEnd(b, m, verbose), nil
}

// AppendTraceByIDEnd appends what follows the trace in the answer of trace by id v2, for a trace
// that was written chunk by chunk.
func AppendTraceByIDEnd(b []byte, m *api.TraceByIDResponse, verbose bool) []byte {
	b = openObject(appendKey(b, "metrics"))
	b = appendUint64Text(b, "inspectedBytes", m.GetMetrics().GetInspectedBytes())
	b = appendPartialStatus(closeObject(b), m.Status, m.Message)
	return closeObject(appendCompleteness(b, m, verbose))
}

func appendCompleteness(b []byte, m Completeness, verbose bool) []byte {
	if m.GetComplete() && !verbose {
		return b
	}
	b = strconv.AppendBool(appendKey(b, "complete"), m.GetComplete())
	b = appendList(b, "warnings", m.GetWarnings(), trace.AppendJSONString)
	return appendUint64Text(b, "watermark", m.GetWatermark())
}

func appendPartialStatus(b []byte, s api.PartialStatus, message string) []byte {
	if s != api.PartialStatus_COMPLETE {
		b = appendText(b, "status", s.String())
	}
	return appendText(b, "message", message)
}

func appendSearchMetrics(b []byte, m *api.SearchMetrics) []byte {
	b = openObject(appendKey(b, "metrics"))
	b = appendNumber(b, "inspectedTraces", m.GetInspectedTraces())
	b = appendUint64Text(b, "inspectedBytes", m.GetInspectedBytes())
	b = appendNumber(b, "totalBlocks", m.GetTotalBlocks())
	b = appendNumber(b, "completedJobs", m.GetCompletedJobs())
	b = appendNumber(b, "totalJobs", m.GetTotalJobs())
	b = appendUint64Text(b, "totalBlockBytes", m.GetTotalBlockBytes())
	b = appendUint64Text(b, "inspectedSpans", m.GetInspectedSpans())
	return closeObject(appendAdditionalMetrics(b, m.GetAdditionalMetrics()))
}

func appendMetadataMetrics(b []byte, m *api.MetadataMetrics) []byte {
	b = openObject(appendKey(b, "metrics"))
	b = appendUint64Text(b, "inspectedBytes", m.GetInspectedBytes())
	b = appendNumber(b, "totalJobs", m.GetTotalJobs())
	b = appendNumber(b, "completedJobs", m.GetCompletedJobs())
	b = appendNumber(b, "totalBlocks", m.GetTotalBlocks())
	b = appendUint64Text(b, "totalBlockBytes", m.GetTotalBlockBytes())
	return closeObject(appendAdditionalMetrics(b, m.GetAdditionalMetrics()))
}

func appendAdditionalMetrics(b []byte, m map[string]int64) []byte {
	if len(m) == 0 {
		return b
	}
	b = openObject(appendKey(b, "additionalMetrics"))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		b = appendInt64Text(b, name, m[name])
	}
	return closeObject(b)
}

func appendTrace(b []byte, m *api.TraceSearchMetadata) []byte {
	b = appendText(openObject(b), "traceID", m.TraceID)
	b = appendText(b, "rootServiceName", m.RootServiceName)
	b = appendText(b, "rootTraceName", m.RootTraceName)
	b = appendUint64Text(b, "startTimeUnixNano", m.StartTimeUnixNano)
	b = appendNumber(b, "durationMs", m.DurationMs)
	if len(m.SpanSets) > 0 {
		b = appendSpanSet(appendKey(b, "spanSet"), m.SpanSets[0])
	}
	b = appendNonEmpty(b, "spanSets", m.SpanSets, appendSpanSet)
	if len(m.ServiceStats) > 0 {
		b = openObject(appendKey(b, "serviceStats"))
		for _, name := range slices.Sorted(maps.Keys(m.ServiceStats)) {
			s := m.ServiceStats[name]
			b = openObject(append(trace.AppendJSONString(appendComma(b), name), ':'))
			b = closeObject(appendNumber(appendNumber(b, "spanCount", s.SpanCount), "errorCount", s.ErrorCount))
		}
		b = closeObject(b)
	}
	if m.Partial {
		b = append(appendKey(b, "partial"), "true"...)
	}
	return closeObject(b)
}

func appendSpanSet(b []byte, s *api.SpanSet) []byte {
	b = appendNonEmpty(openObject(b), "spans", s.Spans, func(b []byte, s *api.Span) []byte {
		b = appendText(openObject(b), "spanID", s.SpanID)
		b = appendText(b, "name", s.Name)
		b = appendUint64Text(b, "startTimeUnixNano", s.StartTimeUnixNano)
		b = appendUint64Text(b, "durationNanos", s.DurationNanos)
		return closeObject(appendNonEmpty(b, "attributes", s.Attributes, appendKeyValue))
	})
	b = appendNumber(b, "matched", s.Matched)
	return closeObject(appendNonEmpty(b, "attributes", s.Attributes, appendKeyValue))
}

func appendKeyValue(b []byte, kv *otlp.KeyValue) []byte {
	b = appendText(openObject(b), "key", kv.Key)
	if kv.Value != nil {
		b = appendAnyValue(appendKey(b, "value"), kv.Value)
	}
	return closeObject(b)
}

// appendAnyValue writes the value that is set even if it is a default, because the name of its
// field tells the type.
func appendAnyValue(b []byte, v *otlp.AnyValue) []byte {
	b = openObject(b)
	switch v := v.Value.(type) {
	case *otlp.AnyValue_StringValue:
		b = trace.AppendJSONString(appendKey(b, "stringValue"), v.StringValue)
	case *otlp.AnyValue_BoolValue:
		b = strconv.AppendBool(appendKey(b, "boolValue"), v.BoolValue)
	case *otlp.AnyValue_IntValue:
		b = append(strconv.AppendInt(append(appendKey(b, "intValue"), '"'), v.IntValue, 10), '"')
	case *otlp.AnyValue_DoubleValue:
		b = trace.AppendJSONFloat(appendKey(b, "doubleValue"), v.DoubleValue)
	case *otlp.AnyValue_BytesValue:
		b = append(base64.StdEncoding.AppendEncode(append(appendKey(b, "bytesValue"), '"'), v.BytesValue), '"')
	case *otlp.AnyValue_ArrayValue:
		b = openObject(appendKey(b, "arrayValue"))
		b = closeObject(appendNonEmpty(b, "values", v.ArrayValue.GetValues(), appendAnyValue))
	case *otlp.AnyValue_KvlistValue:
		b = openObject(appendKey(b, "kvlistValue"))
		b = closeObject(appendNonEmpty(b, "values", v.KvlistValue.GetValues(), appendKeyValue))
	}
	return closeObject(b)
}

func openObject(b []byte) []byte { return append(b, '{') }

func closeObject(b []byte) []byte { return append(b, '}') }

// appendComma writes a comma unless b ends where a list or object begins.
func appendComma(b []byte) []byte {
	if c := b[len(b)-1]; c != '{' && c != '[' {
		b = append(b, ',')
	}
	return b
}

func appendKey(b []byte, name string) []byte {
	return append(append(append(appendComma(b), '"'), name...), '"', ':')
}

func appendText(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	return trace.AppendJSONString(appendKey(b, name), v)
}

func appendNumber(b []byte, name string, v uint32) []byte {
	if v == 0 {
		return b
	}
	return strconv.AppendUint(appendKey(b, name), uint64(v), 10)
}

func appendUint64Text(b []byte, name string, v uint64) []byte {
	if v == 0 {
		return b
	}
	return append(strconv.AppendUint(append(appendKey(b, name), '"'), v, 10), '"')
}

func appendInt64Text(b []byte, name string, v int64) []byte {
	if v == 0 {
		return b
	}
	return append(strconv.AppendInt(append(appendKey(b, name), '"'), v, 10), '"')
}

func appendDouble(b []byte, name string, v float64) []byte {
	if v == 0 {
		return b
	}
	return trace.AppendJSONFloat(appendKey(b, name), v)
}

// appendList writes a list, also an empty one. item appends one element.
func appendList[T any](b []byte, name string, vs []T, item func([]byte, T) []byte) []byte {
	b = append(appendKey(b, name), '[')
	for _, v := range vs {
		b = item(appendComma(b), v)
	}
	return append(b, ']')
}

// appendNonEmpty writes a list unless it is empty.
func appendNonEmpty[T any](b []byte, name string, vs []T, item func([]byte, T) []byte) []byte {
	if len(vs) == 0 {
		return b
	}
	return appendList(b, name, vs, item)
}
