package combine

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/messages/api/otlp"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// The JSON of the API is proto3 JSON on one line with the defaults left out, except the lists that
// clients expect to be there: traces, tagNames, scopes, tagValues and the series of a range are
// always written, and so are the metrics. Source: HTTP API §0.4.
//
// What an answer lacks is written only where it lacks something, or if the client asked for it
// (verbose): clients of Tempo that parse strictly refuse fields they do not know.

// Completeness is what every answer says of itself.
type Completeness interface {
	GetComplete() bool
	GetWarnings() []string
	GetWatermark() uint64
}

// AppendSearch appends a search answer.
func AppendSearch(b []byte, m *api.SearchResponse, verbose bool) []byte {
	b = list(open(b), "traces", m.Traces, traceMatch)
	b = searchMetrics(b, m.Metrics)
	return end(completeness(b, m, verbose))
}

// AppendTags appends the answer of tags v1.
func AppendTags(b []byte, m *api.SearchTagsResponse, verbose bool) []byte {
	b = list(open(b), "tagNames", m.TagNames, trace.AppendJSONString)
	b = metadataMetrics(b, m.Metrics)
	return end(completeness(b, m, verbose))
}

// AppendTagsV2 appends the answer of tags v2.
func AppendTagsV2(b []byte, m *api.SearchTagsV2Response, verbose bool) []byte {
	b = list(open(b), "scopes", m.Scopes, func(b []byte, s *api.SearchTagsV2Scope) []byte {
		b = text(open(b), "name", s.Name)
		return end(some(b, "tags", s.Tags, trace.AppendJSONString))
	})
	b = metadataMetrics(b, m.Metrics)
	return end(completeness(b, m, verbose))
}

// AppendValues appends the answer of tag values v1.
func AppendValues(b []byte, m *api.SearchTagValuesResponse, verbose bool) []byte {
	b = list(open(b), "tagValues", m.TagValues, trace.AppendJSONString)
	b = metadataMetrics(b, m.Metrics)
	return end(completeness(b, m, verbose))
}

// AppendValuesV2 appends the answer of tag values v2.
func AppendValuesV2(b []byte, m *api.SearchTagValuesV2Response, verbose bool) []byte {
	b = list(open(b), "tagValues", m.TagValues, func(b []byte, v *api.TagValue) []byte {
		return end(text(text(open(b), "type", v.Type), "value", v.Value))
	})
	b = metadataMetrics(b, m.Metrics)
	return end(completeness(b, m, verbose))
}

// AppendRange appends the answer of a range query.
func AppendRange(b []byte, m *api.QueryRangeResponse, verbose bool) []byte {
	b = list(open(b), "series", m.Series, func(b []byte, s *api.TimeSeries) []byte {
		b = some(open(b), "labels", s.Labels, keyValue)
		b = some(b, "samples", s.Samples, func(b []byte, s *api.Sample) []byte {
			b = int64Text(open(b), "timestampMs", s.TimestampMs)
			return end(double(b, "value", s.Value))
		})
		return end(some(b, "exemplars", s.Exemplars, func(b []byte, e *api.Exemplar) []byte {
			b = some(open(b), "labels", e.Labels, keyValue)
			b = double(b, "value", e.Value)
			return end(int64Text(b, "timestampMs", e.TimestampMs))
		}))
	})
	b = partial(searchMetrics(b, m.Metrics), m.Status, m.Message)
	return end(completeness(b, m, verbose))
}

// AppendInstant appends the answer of an instant query.
func AppendInstant(b []byte, m *api.QueryInstantResponse, verbose bool) []byte {
	b = some(open(b), "series", m.Series, func(b []byte, s *api.InstantSeries) []byte {
		return end(double(some(open(b), "labels", s.Labels, keyValue), "value", s.Value))
	})
	b = partial(searchMetrics(b, m.Metrics), m.Status, m.Message)
	return end(completeness(b, m, verbose))
}

// AppendTraceByID appends the answer of trace by id v2. otlp takes the place of m.Trace, so that a
// trace is printed as it is stored.
func AppendTraceByID(b []byte, otlp []byte, m *api.TraceByIDResponse, verbose bool) ([]byte, error) {
	b, err := trace.AppendJSON(key(open(b), "trace"), otlp, false)
	if err != nil {
		return b, err
	}
	b = open(key(b, "metrics"))
	b = uint64Text(b, "inspectedBytes", m.GetMetrics().GetInspectedBytes())
	b = partial(end(b), m.Status, m.Message)
	return end(completeness(b, m, verbose)), nil
}

func completeness(b []byte, m Completeness, verbose bool) []byte {
	if m.GetComplete() && !verbose {
		return b
	}
	b = strconv.AppendBool(key(b, "complete"), m.GetComplete())
	b = list(b, "warnings", m.GetWarnings(), trace.AppendJSONString)
	return uint64Text(b, "watermark", m.GetWatermark())
}

func partial(b []byte, s api.PartialStatus, message string) []byte {
	if s != api.PartialStatus_COMPLETE {
		b = text(b, "status", s.String())
	}
	return text(b, "message", message)
}

func searchMetrics(b []byte, m *api.SearchMetrics) []byte {
	b = open(key(b, "metrics"))
	b = number(b, "inspectedTraces", m.GetInspectedTraces())
	b = uint64Text(b, "inspectedBytes", m.GetInspectedBytes())
	b = number(b, "totalBlocks", m.GetTotalBlocks())
	b = number(b, "completedJobs", m.GetCompletedJobs())
	b = number(b, "totalJobs", m.GetTotalJobs())
	b = uint64Text(b, "totalBlockBytes", m.GetTotalBlockBytes())
	b = uint64Text(b, "inspectedSpans", m.GetInspectedSpans())
	return end(additional(b, m.GetAdditionalMetrics()))
}

func metadataMetrics(b []byte, m *api.MetadataMetrics) []byte {
	b = open(key(b, "metrics"))
	b = uint64Text(b, "inspectedBytes", m.GetInspectedBytes())
	b = number(b, "totalJobs", m.GetTotalJobs())
	b = number(b, "completedJobs", m.GetCompletedJobs())
	b = number(b, "totalBlocks", m.GetTotalBlocks())
	b = uint64Text(b, "totalBlockBytes", m.GetTotalBlockBytes())
	return end(additional(b, m.GetAdditionalMetrics()))
}

func additional(b []byte, m map[string]int64) []byte {
	if len(m) == 0 {
		return b
	}
	b = open(key(b, "additionalMetrics"))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		b = int64Text(b, name, m[name])
	}
	return end(b)
}

func traceMatch(b []byte, m *api.TraceSearchMetadata) []byte {
	b = text(open(b), "traceID", m.TraceID)
	b = text(b, "rootServiceName", m.RootServiceName)
	b = text(b, "rootTraceName", m.RootTraceName)
	b = uint64Text(b, "startTimeUnixNano", m.StartTimeUnixNano)
	b = number(b, "durationMs", m.DurationMs)
	if len(m.SpanSets) > 0 {
		b = spanSet(key(b, "spanSet"), m.SpanSets[0])
	}
	b = some(b, "spanSets", m.SpanSets, spanSet)
	if len(m.ServiceStats) > 0 {
		b = open(key(b, "serviceStats"))
		for _, name := range slices.Sorted(maps.Keys(m.ServiceStats)) {
			s := m.ServiceStats[name]
			b = open(append(trace.AppendJSONString(comma(b), name), ':'))
			b = end(number(number(b, "spanCount", s.SpanCount), "errorCount", s.ErrorCount))
		}
		b = end(b)
	}
	if m.Partial {
		b = append(key(b, "partial"), "true"...)
	}
	return end(b)
}

func spanSet(b []byte, s *api.SpanSet) []byte {
	b = some(open(b), "spans", s.Spans, func(b []byte, s *api.Span) []byte {
		b = text(open(b), "spanID", s.SpanID)
		b = text(b, "name", s.Name)
		b = uint64Text(b, "startTimeUnixNano", s.StartTimeUnixNano)
		b = uint64Text(b, "durationNanos", s.DurationNanos)
		return end(some(b, "attributes", s.Attributes, keyValue))
	})
	b = number(b, "matched", s.Matched)
	return end(some(b, "attributes", s.Attributes, keyValue))
}

func keyValue(b []byte, kv *otlp.KeyValue) []byte {
	b = text(open(b), "key", kv.Key)
	if kv.Value != nil {
		b = anyValue(key(b, "value"), kv.Value)
	}
	return end(b)
}

// anyValue writes the value that is set, also where it is a default: that is what tells the type.
func anyValue(b []byte, v *otlp.AnyValue) []byte {
	b = open(b)
	switch v := v.Value.(type) {
	case *otlp.AnyValue_StringValue:
		b = trace.AppendJSONString(key(b, "stringValue"), v.StringValue)
	case *otlp.AnyValue_BoolValue:
		b = strconv.AppendBool(key(b, "boolValue"), v.BoolValue)
	case *otlp.AnyValue_IntValue:
		b = append(strconv.AppendInt(append(key(b, "intValue"), '"'), v.IntValue, 10), '"')
	case *otlp.AnyValue_DoubleValue:
		b = trace.AppendJSONFloat(key(b, "doubleValue"), v.DoubleValue)
	case *otlp.AnyValue_BytesValue:
		b = append(base64.StdEncoding.AppendEncode(append(key(b, "bytesValue"), '"'), v.BytesValue), '"')
	case *otlp.AnyValue_ArrayValue:
		b = end(some(open(key(b, "arrayValue")), "values", v.ArrayValue.GetValues(), anyValue))
	case *otlp.AnyValue_KvlistValue:
		b = end(some(open(key(b, "kvlistValue")), "values", v.KvlistValue.GetValues(), keyValue))
	}
	return end(b)
}

func open(b []byte) []byte { return append(b, '{') }

func end(b []byte) []byte { return append(b, '}') }

// comma separates from what came before, if anything did.
func comma(b []byte) []byte {
	if c := b[len(b)-1]; c != '{' && c != '[' {
		b = append(b, ',')
	}
	return b
}

func key(b []byte, name string) []byte {
	return append(append(append(comma(b), '"'), name...), '"', ':')
}

func text(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	return trace.AppendJSONString(key(b, name), v)
}

func number(b []byte, name string, v uint32) []byte {
	if v == 0 {
		return b
	}
	return strconv.AppendUint(key(b, name), uint64(v), 10)
}

func uint64Text(b []byte, name string, v uint64) []byte {
	if v == 0 {
		return b
	}
	return append(strconv.AppendUint(append(key(b, name), '"'), v, 10), '"')
}

func int64Text(b []byte, name string, v int64) []byte {
	if v == 0 {
		return b
	}
	return append(strconv.AppendInt(append(key(b, name), '"'), v, 10), '"')
}

func double(b []byte, name string, v float64) []byte {
	if v == 0 {
		return b
	}
	return trace.AppendJSONFloat(key(b, name), v)
}

// list writes a list that is always there, some one that is left out when it is empty.
func list[T any](b []byte, name string, vs []T, one func([]byte, T) []byte) []byte {
	b = append(key(b, name), '[')
	for _, v := range vs {
		b = one(comma(b), v)
	}
	return append(b, ']')
}

func some[T any](b []byte, name string, vs []T, one func([]byte, T) []byte) []byte {
	if len(vs) == 0 {
		return b
	}
	return list(b, name, vs, one)
}
