package tempofiles

import (
	"bytes"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// attr is one attribute as both forms store it.
type attr struct {
	key     string
	isArray bool
	strings []string
	ints    []int64
	doubles []float64
	bools   []bool
	other   *string
}

func splitAttribute(key string, v pcommon.Value) attr {
	a := attr{key: key}
	if v.Type() == pcommon.ValueTypeSlice && isOfOneType(v.Slice()) {
		a.isArray = true
		for _, e := range v.Slice().All() {
			a.add(e)
		}
		return a
	}
	a.add(v)
	return a
}

func isOfOneType(list pcommon.Slice) bool {
	for _, e := range list.All() {
		if e.Type() != list.At(0).Type() || e.Type() == pcommon.ValueTypeEmpty || e.Type() > pcommon.ValueTypeBool {
			return false
		}
	}
	return true
}

func (a *attr) add(v pcommon.Value) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		a.strings = append(a.strings, v.Str())
	case pcommon.ValueTypeInt:
		a.ints = append(a.ints, v.Int())
	case pcommon.ValueTypeDouble:
		a.doubles = append(a.doubles, v.Double())
	case pcommon.ValueTypeBool:
		a.bools = append(a.bools, v.Bool())
	case pcommon.ValueTypeEmpty:
	default:
		text := jsonOf(v)
		a.other = &text
	}
}

// jsonOf returns a value in the JSON of OTLP.
func jsonOf(v pcommon.Value) string {
	td := ptrace.NewTraces()
	v.CopyTo(td.ResourceSpans().AppendEmpty().Resource().Attributes().PutEmpty("k"))
	raw, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		panic(err)
	}
	var m otlp.TracesData
	if err := proto.Unmarshal(raw, &m); err != nil {
		panic(err)
	}
	text, err := protojson.Marshal(m.ResourceSpans[0].Resource.Attributes[0].Value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// splitOut returns the attributes of a map but those that take chooses.
func splitOut(m pcommon.Map, take func(key string, v pcommon.Value) bool) (out []attr) {
	for k, v := range m.All() {
		if !take(k, v) {
			out = append(out, splitAttribute(k, v))
		}
	}
	return out
}

func nestedOf(list []attr) (out []nestedAttribute) {
	for _, a := range list {
		out = append(out, nestedAttribute{a.key, a.isArray, a.strings, a.ints, a.doubles, a.bools, a.other})
	}
	return out
}

func flatOf(list []attr) (out []flatAttribute) {
	for _, a := range list {
		out = append(out, flatAttribute{a.key, a.isArray, a.strings, a.ints, a.doubles, a.bools, a.other})
	}
	return out
}

func takeNone(string, pcommon.Value) bool { return false }

// takeText moves a string into a column.
func takeText(v pcommon.Value, dst **string) bool {
	if v.Type() != pcommon.ValueTypeStr {
		return false
	}
	s := v.Str()
	*dst = &s
	return true
}

func takeInt(v pcommon.Value, dst **int64) bool {
	if v.Type() != pcommon.ValueTypeInt {
		return false
	}
	n := v.Int()
	*dst = &n
	return true
}

// takeList moves a string, or several, into a column that may have arrays.
func takeList(v pcommon.Value, dst *[]string) bool {
	if v.Type() == pcommon.ValueTypeStr {
		*dst = []string{v.Str()}
		return true
	}
	return false
}

func idOf[T ~[16]byte | ~[8]byte](id T) []byte {
	var zero T
	if id == zero {
		return nil
	}
	switch id := any(id).(type) {
	case pcommon.TraceID:
		return slices.Clone(id[:])
	case pcommon.SpanID:
		return slices.Clone(id[:])
	}
	return nil
}

func writeNested(t testing.TB, traces []ptrace.Traces) []byte {
	var rows []nestedTrace
	for _, td := range traces {
		row := nestedTrace{RootServiceName: "root", DurationNano: 7, ServiceStats: map[string]int64{"a": 1}}
		for _, rs := range td.ResourceSpans().All() {
			out := nestedResourceSpans{}
			out.Resource.Attrs = nestedOf(splitOut(rs.Resource().Attributes(), func(k string, v pcommon.Value) bool {
				switch k {
				case "service.name":
					return takeText(v, &out.Resource.ServiceName)
				case "k8s.pod.name":
					return takeText(v, &out.Resource.K8sPodName)
				case "host.name":
					return takeText(v, &out.Resource.DedicatedAttributes.String01)
				}
				return false
			}))
			out.Resource.DroppedAttributesCount = int32(rs.Resource().DroppedAttributesCount())
			for _, ss := range rs.ScopeSpans().All() {
				in := nestedScopeSpans{}
				in.Scope.Name, in.Scope.Version = ss.Scope().Name(), ss.Scope().Version()
				in.Scope.Attrs = nestedOf(splitOut(ss.Scope().Attributes(), takeNone))
				in.Scope.DroppedAttributesCount = int32(ss.Scope().DroppedAttributesCount())
				for _, s := range ss.Spans().All() {
					row.TraceID = idOf(s.TraceID())
					in.Spans = append(in.Spans, nestedSpanOf(s))
				}
				out.ScopeSpans = append(out.ScopeSpans, in)
			}
			row.ResourceSpans = append(row.ResourceSpans, out)
		}
		rows = append(rows, row)
	}
	return writeRows(t, rows)
}

func nestedSpanOf(s ptrace.Span) nestedSpan {
	out := nestedSpan{SpanID: idOf(s.SpanID()), ParentSpanID: idOf(s.ParentSpanID()), NestedSetLeft: 3, ChildCount: 1,
		Name: s.Name(), Kind: int64(s.Kind()), TraceState: s.TraceState().AsRaw(),
		StartTimeUnixNano: uint64(s.StartTimestamp()), DurationNano: uint64(s.EndTimestamp() - s.StartTimestamp()),
		StatusCode: int64(s.Status().Code()), StatusMessage: s.Status().Message(),
		DroppedAttributesCount: int32(s.DroppedAttributesCount()), DroppedEventsCount: int32(s.DroppedEventsCount()),
		DroppedLinksCount: int32(s.DroppedLinksCount())}
	out.Attrs = nestedOf(splitOut(s.Attributes(), func(k string, v pcommon.Value) bool {
		switch k {
		case "http.method":
			return takeText(v, &out.HttpMethod)
		case "http.status_code":
			return takeInt(v, &out.HttpStatusCode)
		case "db.system":
			return takeText(v, &out.DedicatedAttributes.String01)
		case "rpc.service":
			return takeText(v, &out.DedicatedAttributes.String02)
		}
		return false
	}))
	for _, e := range s.Events().All() {
		out.Events = append(out.Events, nestedEvent{uint64(e.Timestamp() - s.StartTimestamp()), e.Name(),
			nestedOf(splitOut(e.Attributes(), takeNone)), int32(e.DroppedAttributesCount())})
	}
	for _, l := range s.Links().All() {
		out.Links = append(out.Links, nestedLink{idOf(l.TraceID()), idOf(l.SpanID()), l.TraceState().AsRaw(),
			nestedOf(splitOut(l.Attributes(), takeNone)), int32(l.DroppedAttributesCount())})
	}
	return out
}

func writeFlat(t testing.TB, traces []ptrace.Traces) []byte {
	rows := make([]flatTrace, len(traces))
	for i, td := range traces {
		row := &rows[i]
		for _, rs := range td.ResourceSpans().All() {
			row.ResourceSpans = append(row.ResourceSpans, flatTrace{}.ResourceSpans...)
			row.ResourceSpans = slices.Grow(row.ResourceSpans, 1)[:len(row.ResourceSpans)+1]
			out := &row.ResourceSpans[len(row.ResourceSpans)-1]
			out.SchemaUrl = rs.SchemaUrl()
			out.Resource.Attributes = flatOf(splitOut(rs.Resource().Attributes(), func(k string, v pcommon.Value) bool {
				return k == "service.name" && takeList(v, &out.Resource.DedicatedAttributes.String01)
			}))
			for _, ss := range rs.ScopeSpans().All() {
				out.ScopeSpans = slices.Grow(out.ScopeSpans, 1)[:len(out.ScopeSpans)+1]
				in := &out.ScopeSpans[len(out.ScopeSpans)-1]
				in.InstrumentationScope.Name, in.InstrumentationScope.Version = ss.Scope().Name(), ss.Scope().Version()
				in.InstrumentationScope.Attributes = flatOf(splitOut(ss.Scope().Attributes(), takeNone))
				for _, s := range ss.Spans().All() {
					row.TraceID = idOf(s.TraceID())
					in.Spans = append(in.Spans, flatSpanOf(s))
				}
			}
		}
	}
	return writeRows(t, rows)
}

func flatSpanOf(s ptrace.Span) flatSpan {
	out := flatSpan{SpanID: idOf(s.SpanID()), ParentSpanID: idOf(s.ParentSpanID()), Name: s.Name(),
		Kind: int32(s.Kind()), TraceState: s.TraceState().AsRaw(), Flags: int32(s.Flags()),
		StartTimeUnixNano: int64(s.StartTimestamp()), EndTimeUnixNano: int64(s.EndTimestamp()),
		StartTimeRounded300:    int64(s.StartTimestamp()) / 300e9,
		DroppedAttributesCount: int32(s.DroppedAttributesCount()), DroppedEventsCount: int32(s.DroppedEventsCount()),
		DroppedLinksCount: int32(s.DroppedLinksCount())}
	out.Status.Code, out.Status.Message = int32(s.Status().Code()), s.Status().Message()
	out.Attributes = flatOf(splitOut(s.Attributes(), func(k string, v pcommon.Value) bool {
		switch k {
		case "http.method":
			return takeList(v, &out.DedicatedAttributes.String01)
		case "http.url":
			return takeList(v, &out.DedicatedAttributes.String02)
		case "http.status_code":
			return takeInt(v, &out.DedicatedAttributes.Int01)
		}
		return false
	}))
	for _, e := range s.Events().All() {
		f := flatEvent{TimeUnixNano: int64(e.Timestamp()), Name: e.Name(),
			DroppedAttributesCount: int32(e.DroppedAttributesCount())}
		f.Attributes = flatOf(splitOut(e.Attributes(), func(k string, v pcommon.Value) bool {
			return k == "exception.type" && takeList(v, &f.DedicatedAttributes.String01)
		}))
		out.Events = append(out.Events, f)
	}
	for _, l := range s.Links().All() {
		out.Links = slices.Grow(out.Links, 1)[:len(out.Links)+1]
		f := &out.Links[len(out.Links)-1]
		f.TraceID, f.SpanID, f.TraceState = idOf(l.TraceID()), idOf(l.SpanID()), l.TraceState().AsRaw()
		f.Flags, f.Attributes = int32(l.Flags()), flatOf(splitOut(l.Attributes(), takeNone))
	}
	return out
}

func writeRows[T any](t testing.TB, rows []T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, parquet.MaxRowsPerRowGroup(50), parquet.Compression(&parquet.Snappy))
	for i := range rows { // as many row groups as it takes
		_, err := w.Write(rows[i : i+1])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}
