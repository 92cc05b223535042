package trace

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func oneSpan(change func(ptrace.ResourceSpans, ptrace.Span)) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID([16]byte{1})
	s.SetSpanID([8]byte{2})
	s.SetName("name")
	if change != nil {
		change(rs, s)
	}
	return td
}

func splitOne(t *testing.T, sp *Splitter, td ptrace.Traces) (Split, ptrace.ResourceSpans) {
	t.Helper()
	out, err := sp.Split("t", marshal(t, td))
	require.NoError(t, err)
	require.Len(t, out.Parts, 1)
	require.LessOrEqual(t, len(out.Parts[0].Value), sp.RecordBytes())
	got, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(out.Parts[0].Value)
	require.NoError(t, err)
	return out, got.ResourceSpans().At(0)
}

// A span above the limit keeps its place with its largest texts cut. It says which, and how long
// they were; small ones stay whole.
func TestCutSpan(t *testing.T) {
	sp := Splitter{MaxRecordBytes: 64 << 10, MaxSpanBytes: 100_000, MaxHeadBytes: 10_000, Parts: 1}
	td := oneSpan(func(_ ptrace.ResourceSpans, s ptrace.Span) {
		s.Attributes().PutStr("prompt", strings.Repeat("é", 100_000))
		s.Attributes().PutStr("model", "m-1")
		s.Attributes().PutEmptyBytes("raw").FromRaw(bytes.Repeat([]byte{0xc3}, 80_000))
		nested := s.Attributes().PutEmptyMap("messages").PutEmptySlice("list")
		nested.AppendEmpty().SetStr(strings.Repeat("n", 70_000))
		nested.AppendEmpty().SetInt(7)
		e := s.Events().AppendEmpty()
		e.SetName("exception")
		e.Attributes().PutStr("stack", strings.Repeat("s", 60_000))
		s.Attributes().PutInt("tokens", 75000)
		s.SetStartTimestamp(5)
		s.SetDroppedAttributesCount(3)
		s.Status().SetMessage(strings.Repeat("m", 50_000))
	})
	out, rs := splitOne(t, &sp, td)
	require.Zero(t, out.Refused)
	require.Len(t, out.Changed, 1)
	require.Equal(t, ValuesCut, out.Changed[0].Code)
	s := rs.ScopeSpans().At(0).Spans().At(0)
	require.Equal(t, "name", s.Name())
	require.EqualValues(t, 5, s.StartTimestamp())
	require.EqualValues(t, 3, s.DroppedAttributesCount())
	value := func(key string) pcommon.Value {
		v, ok := s.Attributes().Get(key)
		require.True(t, ok, key)
		return v
	}
	require.Equal(t, "m-1", value("model").Str())
	require.EqualValues(t, 75000, value("tokens").Int())
	list, _ := value("messages").Map().Get("list")
	require.EqualValues(t, 7, list.Slice().At(1).Int())
	require.True(t, utf8.ValidString(value("prompt").Str()))
	texts := []int{len(value("prompt").Str()), value("raw").Bytes().Len(), len(list.Slice().At(0).Str()), len(s.Status().Message())}
	for _, n := range texts {
		require.InDelta(t, texts[1], n, 2, "all are cut to one length: %v", texts)
	}
	mark := value(TruncatedKey).Str()
	for _, says := range []string{"prompt: 200000 bytes", "raw: 80000 bytes", "messages.list: 70000 bytes", "events[0].stack: 60000 bytes", "status.message: 50000 bytes"} {
		require.Contains(t, mark, says)
		require.Contains(t, out.Message(), says)
	}
	require.Contains(t, out.Message(), "1 span changed: resourceSpans[0].scopeSpans[0].spans[0]: a span of ")
	again, err := sp.Split("t", marshal(t, td))
	require.NoError(t, err)
	require.Equal(t, out.Parts, again.Parts, "what is sent again becomes the same bytes")

	sp.MaxSpanBytes = 1 << 20
	out, _ = splitOne(t, &sp, td)
	require.Empty(t, out.Message(), "a record may be larger than others where one span needs it")
}

// A resource above its limit is cut as a span is, and so is a scope; what is under them does not
// count.
func TestCutResource(t *testing.T) {
	sp := Splitter{MaxRecordBytes: 64 << 10, MaxSpanBytes: 5_000, MaxHeadBytes: 50_000, Parts: 1}
	out, rs := splitOne(t, &sp, oneSpan(func(rs ptrace.ResourceSpans, s ptrace.Span) {
		rs.Resource().Attributes().PutStr("service.name", "shop")
		rs.Resource().Attributes().PutStr("env", strings.Repeat("e", 90_000))
		rs.SetSchemaUrl("https://" + strings.Repeat("u", 60_000))
		rs.ScopeSpans().At(0).Scope().Attributes().PutStr("big", strings.Repeat("b", 60_000))
		s.SetName(strings.Repeat("n", 4_000))
	}))
	require.Zero(t, out.Refused)
	require.Equal(t, 2, out.Changed[0].Spans)
	require.Contains(t, out.Message(), "env: 90000 bytes")
	name, _ := rs.Resource().Attributes().Get("service.name")
	require.Equal(t, "shop", name.Str())
	mark, _ := rs.Resource().Attributes().Get(TruncatedKey)
	require.Equal(t, "env: 90000 bytes", mark.Str())
	mark, _ = rs.ScopeSpans().At(0).Scope().Attributes().Get(TruncatedKey)
	require.Equal(t, "big: 60000 bytes", mark.Str())
	require.Len(t, rs.ScopeSpans().At(0).Spans().At(0).Name(), 4_000)
	require.True(t, strings.HasPrefix(rs.SchemaUrl(), "https://uuu"))
}

// Many small spans of a large resource share records: they are neither refused nor sent with it one
// by one.
func TestLargeResourceOfManySpans(t *testing.T) {
	sp := Splitter{MaxRecordBytes: 1 << 20, MaxSpanBytes: 8 << 20, MaxHeadBytes: 1 << 20, Parts: 4}
	td := oneSpan(func(rs ptrace.ResourceSpans, s ptrace.Span) {
		rs.Resource().Attributes().PutStr("big", strings.Repeat("b", 1<<20))
		for i := range 2_000 {
			other := rs.ScopeSpans().At(0).Spans().AppendEmpty()
			s.CopyTo(other)
			other.SetTraceID([16]byte{byte(i), byte(i >> 8), 1})
		}
	})
	out, err := sp.Split("t", marshal(t, td))
	require.NoError(t, err)
	require.Zero(t, out.Refused)
	require.Len(t, out.Parts, 4)
}

// Where cutting is not enough the last attributes, events and links are left out, and counted in
// the span's own fields.
func TestCutDropsElements(t *testing.T) {
	sp := Splitter{MaxRecordBytes: 1 << 20, MaxSpanBytes: 100_000, MaxHeadBytes: 10_000, Parts: 1}
	out, rs := splitOne(t, &sp, oneSpan(func(_ ptrace.ResourceSpans, s ptrace.Span) {
		for i := range 10_000 {
			s.Attributes().PutInt(fmt.Sprintf("key.%d", i), int64(i))
			s.Events().AppendEmpty().SetName("e")
		}
		s.SetDroppedEventsCount(7)
	}))
	s := rs.ScopeSpans().At(0).Spans().At(0)
	require.EqualValues(t, 10_000-s.Attributes().Len()+1, s.DroppedAttributesCount(), "one is the mark")
	require.EqualValues(t, 10_000-s.Events().Len()+7, s.DroppedEventsCount())
	require.Greater(t, s.Attributes().Len(), 4_000)
	require.Contains(t, out.Message(), "attributes, events or links left out")
	mark, _ := s.Attributes().Get(TruncatedKey)
	require.Contains(t, out.Message(), mark.Str())
}

// A few bytes can be a million events: what reading them takes is bounded by the number that is
// kept.
func TestManyElementsAreBounded(t *testing.T) {
	sp := Splitter{MaxRecordBytes: 1 << 20, MaxSpanBytes: 8 << 20, MaxHeadBytes: 1 << 20, Parts: 1}
	td := marshal(t, oneSpan(nil))
	var r Reader
	require.NoError(t, r.Walk(td, &countVisitor{}))
	for _, field := range []byte{9, 11, 13} {
		span := append(AppendSpan(nil, &r.span), bytes.Repeat([]byte{field<<3 | wireLen, 0}, 1<<20)...)
		b := appendLen(nil, 0x0a, appendLen(nil, 0x12, appendLen(nil, 0x12, span)))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err := sp.Split("t", b)
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8*len(b)))
		require.Contains(t, out.Message(), "left out")
		var read Reader
		require.NoError(t, read.Walk(out.Parts[0].Value, &countVisitor{}))
		require.Equal(t, maxElements, len(read.span.Attributes)+len(read.span.Events)+len(read.span.Links)-1, "and the mark")
	}
}

// A few bytes can be a million resources, scopes or spans without ids: what is kept of them while
// splitting does not go with their number.
func TestEmptyPartsAreBounded(t *testing.T) {
	const n = 1 << 20
	for name, b := range map[string][]byte{
		"resources": bytes.Repeat([]byte{0x0a, 0}, n),
		"scopes":    appendLen(nil, 0x0a, bytes.Repeat([]byte{0x12, 0}, n)),
		"spans":     appendLen(nil, 0x0a, appendLen(nil, 0x12, bytes.Repeat([]byte{0x12, 0}, n))),
	} {
		sp := Splitter{MaxRecordBytes: 1 << 20, Parts: 4}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = sp.Split("t", b)
		runtime.ReadMemStats(&after)
		if name != "spans" { // their errors are garbage at once
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(len(b)), name)
		}
		require.Less(t, cap(sp.heads)+cap(sp.groups)*40+cap(sp.spans)*40, 1<<16, name)
	}
}

// Fields that are not known give way before any text does.
func TestCutDropsUnknownFields(t *testing.T) {
	sp := Splitter{MaxRecordBytes: 1 << 20, MaxSpanBytes: 10_000, Parts: 1}
	td := oneSpan(func(_ ptrace.ResourceSpans, s ptrace.Span) { s.Attributes().PutStr("k", strings.Repeat("x", 8_000)) })
	var r Reader
	require.NoError(t, r.Walk(marshal(t, td), &countVisitor{}))
	span := appendLen(append(AppendSpan(nil, &r.span), 0xba), 6, make([]byte, 20_000)) // field 103
	out, err := sp.Split("t", appendLen(nil, 0x0a, appendLen(nil, 0x12, appendLen(nil, 0x12, span))))
	require.NoError(t, err)
	require.Contains(t, out.Message(), "fields that OTLP does not have: 20005 bytes")
	require.Contains(t, string(out.Parts[0].Value), strings.Repeat("x", 8_000))
}

// What was cut is named in valid UTF-8, whatever the keys hold: readers of protobuf demand it.
func TestCutNamesAreUTF8(t *testing.T) {
	sp := Splitter{MaxRecordBytes: 1 << 20, MaxSpanBytes: 10_000, Parts: 1}
	out, _ := splitOne(t, &sp, oneSpan(func(_ ptrace.ResourceSpans, s ptrace.Span) {
		s.Attributes().PutStr("bad\xff"+strings.Repeat("é", 60), strings.Repeat("x", 20_000))
	}))
	require.Contains(t, out.Message(), "bad\ufffdé")
	require.True(t, utf8.ValidString(out.Message()))
}

// What is wrong inside a span of protobuf costs that span, as far as its length can be trusted;
// what is wrong in a resource or scope costs its spans.
func TestSplitLosesTheBadPart(t *testing.T) {
	span := func(content ...byte) []byte {
		return append(append(appendLen(nil, 0x0a, bytes.Repeat([]byte{1}, 16)), appendLen(nil, 0x12, bytes.Repeat([]byte{2}, 8))...), content...)
	}
	message := func(resource, scope []byte, spans ...[]byte) []byte {
		list := appendLen(nil, 0x0a, scope)
		for _, s := range spans {
			list = appendLen(list, 0x12, s)
		}
		return appendLen(nil, 0x0a, appendLen(appendLen(nil, 0x0a, resource), 0x12, list))
	}
	good := span()
	for name, c := range map[string]struct {
		otlp []byte
		lost int
		code string
		says string
	}{
		"short trace id":       {message(nil, nil, good, appendLen(nil, 0x0a, []byte{1})), 1, InvalidID, "spans[1]: unmarshal: invalid TraceID length"},
		"long parent id":       {message(nil, nil, good, span(0x22, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9)), 1, InvalidID, "spans[1]: unmarshal: invalid SpanID length"},
		"id of a link":         {message(nil, nil, span(0x6a, 3, 0x0a, 1, 1), good), 1, InvalidID, "spans[0]: unmarshal: invalid TraceID length"},
		"no ids":               {message(nil, nil, nil, good), 1, InvalidID, "spans[0]: trace ids must be 128 bit, received 0 bits"},
		"wrong wire type":      {message(nil, nil, good, span(0x28, 1), span(0x30, 0x80)), 2, MalformedSpan, "2 spans refused: resourceSpans[0].scopeSpans[0].spans[1]: read span name: wrong wire type"},
		"cut off inside":       {message(nil, nil, span(0x2a, 50, 'x'), good), 1, MalformedSpan, "spans[0]: read span: malformed field"},
		"an attribute":         {message(nil, nil, span(0x4a, 2, 0x08, 1), good), 1, MalformedSpan, "spans[0]: read attribute"},
		"resource":             {append(message([]byte{0x08, 1}, nil, good, good), message(nil, nil, good)...), 2, MalformedSpan, "2 spans refused: resourceSpans[0]: read resource"},
		"resource's attribute": {append(message([]byte{0x0a, 5}, nil, good, good), message(nil, nil, good)...), 2, MalformedSpan, "resourceSpans[0]: read resource"},
		"scope":                {append(message(nil, []byte{0x08, 1}, good), message(nil, nil, good)...), 1, MalformedSpan, "resourceSpans[0].scopeSpans[0]: read scope"},
	} {
		sp := Splitter{MaxRecordBytes: 10_000, Parts: 1}
		out, err := sp.Split("t", c.otlp)
		require.NoError(t, err, name)
		require.Equal(t, c.lost, out.Refused, name)
		require.Equal(t, CountSpans(c.otlp), out.Spans, name)
		require.Equal(t, 1, out.Parts[0].Spans, name)
		require.Equal(t, c.code, out.Reasons[0].Code, name)
		require.Contains(t, out.Message(), c.says, name)
		require.Len(t, spansOf(t, out.Parts[0].Value), 1)
	}
}

// Values nested too deep become a note; their span, resource or scope stays.
func TestSplitFoldsDeepValues(t *testing.T) {
	deep := func(v pcommon.Value) {
		for range 150 {
			v = v.SetEmptySlice().AppendEmpty()
		}
	}
	sp := Splitter{MaxRecordBytes: 10_000, Parts: 1}
	for _, change := range []func(ptrace.ResourceSpans, ptrace.Span){
		func(_ ptrace.ResourceSpans, s ptrace.Span) { deep(s.Attributes().PutEmpty("d")) },
		func(_ ptrace.ResourceSpans, s ptrace.Span) { deep(s.Events().AppendEmpty().Attributes().PutEmpty("d")) },
		func(_ ptrace.ResourceSpans, s ptrace.Span) { deep(s.Links().AppendEmpty().Attributes().PutEmpty("d")) },
		func(rs ptrace.ResourceSpans, _ ptrace.Span) { deep(rs.Resource().Attributes().PutEmpty("d")) },
		func(rs ptrace.ResourceSpans, _ ptrace.Span) {
			deep(rs.ScopeSpans().At(0).Scope().Attributes().PutEmpty("d"))
		},
	} {
		out, rs := splitOne(t, &sp, oneSpan(change))
		require.Zero(t, out.Refused)
		require.Equal(t, ValuesNested, out.Changed[0].Code)
		require.Equal(t, "name", rs.ScopeSpans().At(0).Spans().At(0).Name())
		require.Contains(t, string(out.Parts[0].Value), causeFolded)
	}
}

// Any message: what is cut is within the limit, can be read, and has lost nothing but texts and
// elements that were counted.
func FuzzCut(f *testing.F) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 6))
		f.Add(marshal(f, randomTraces(r)), uint16(r.IntN(2000)))
	}
	f.Fuzz(func(t *testing.T, b []byte, limit uint16) {
		sp := Splitter{MaxRecordBytes: 1 << 20, MaxSpanBytes: 64 + int(limit), MaxHeadBytes: 64 + int(limit), Parts: 1}
		out, err := sp.Split("t", b)
		if err != nil {
			return
		}
		for _, p := range out.Parts {
			require.LessOrEqual(t, len(p.Value), sp.RecordBytes())
			require.Len(t, spansOf(t, p.Value), p.Spans)
		}
	})
}
