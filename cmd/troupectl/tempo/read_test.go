package tempo

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit/corpus"
	"github.com/troupe-tracing/troupe/test/kit/tempofiles"
)

// tracesOf returns the traces of a corpus, with one that has everything.
func tracesOf(t testing.TB) []ptrace.Traces {
	requests := []ptrace.Traces{richTrace()}
	for _, name := range []string{corpus.DemoApps, corpus.Sample} {
		for _, raw := range corpus.Generated().Protobuf(t, name) {
			td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(raw)
			require.NoError(t, err)
			requests = append(requests, td)
		}
	}
	return tempofiles.GroupByTrace(requests)
}

// columnsOf returns the dedicated columns of a form.
func columnsOf(t testing.TB, form tempofiles.Form) []DedicatedColumn {
	raw, err := json.Marshal(map[string]any{"dedicatedColumns": form.Dedicated})
	require.NoError(t, err)
	m, err := decodeMeta(raw)
	require.NoError(t, err)
	return m.Dedicated
}

// richTrace has every field that a span can have, and values of every type.
func richTrace() ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	put := func(m pcommon.Map) {
		m.PutStr("text", "a")
		m.PutStr("empty text", "")
		m.PutInt("int", -5)
		m.PutDouble("double", 1.5)
		m.PutBool("true", true)
		m.PutBool("false", false)
		m.PutEmpty("nothing")
		m.PutEmptyBytes("bytes").FromRaw([]byte{0, 1, 255})
		m.PutEmptySlice("no elements")
		_ = m.PutEmptySlice("texts").FromRaw([]any{"a", "b"})
		_ = m.PutEmptySlice("one int").FromRaw([]any{7})
		_ = m.PutEmptySlice("mixed").FromRaw([]any{"a", 1, true})
		_ = m.PutEmptyMap("map").FromRaw(map[string]any{"k": []any{1.5, "x"}})
	}
	put(rs.Resource().Attributes())
	rs.Resource().Attributes().PutStr("service.name", "rich")
	rs.Resource().Attributes().PutStr("k8s.pod.name", "pod-1")
	rs.Resource().Attributes().PutStr("host.name", "host-1")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("lib")
	ss.Scope().SetVersion("2")
	put(ss.Scope().Attributes())
	for i := range 3 {
		s := ss.Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{0, 0, 9})
		s.SetSpanID(pcommon.SpanID{byte(i + 1)})
		if i > 0 {
			s.SetParentSpanID(pcommon.SpanID{byte(i)})
		}
		s.SetName("rich")
		s.SetKind(ptrace.SpanKind(i + 1))
		s.TraceState().FromRaw("a=b")
		s.SetStartTimestamp(1_700_000_000_000_000_000)
		s.SetEndTimestamp(1_700_000_000_000_000_000 + pcommon.Timestamp(i))
		s.Status().SetCode(ptrace.StatusCode(i))
		s.Status().SetMessage("because")
		s.SetDroppedAttributesCount(1)
		s.SetDroppedEventsCount(2)
		s.SetDroppedLinksCount(3)
		put(s.Attributes())
		s.Attributes().PutStr("http.method", "GET")
		s.Attributes().PutStr("http.url", "/x")
		s.Attributes().PutInt("http.status_code", 200)
		s.Attributes().PutStr("db.system", "sql")
		s.Attributes().PutStr("rpc.service", "long")
		for k := range i {
			e := s.Events().AppendEmpty()
			e.SetName("event")
			e.SetTimestamp(1_700_000_000_000_000_100 + pcommon.Timestamp(k))
			e.SetDroppedAttributesCount(4)
			e.Attributes().PutStr("exception.type", "T")
			put(e.Attributes())
			l := s.Links().AppendEmpty()
			l.SetTraceID(pcommon.TraceID{7})
			l.SetSpanID(pcommon.SpanID{8})
			l.TraceState().FromRaw("c=d")
			put(l.Attributes())
		}
	}
	return td
}

func readAll(t testing.TB, raw []byte, dedicated []DedicatedColumn, ignore ...string) (list []ptrace.Traces, err error) {
	f, err := OpenFile(bytes.NewReader(raw), int64(len(raw)), dedicated, ignore)
	if err != nil {
		return nil, err
	}
	err = f.Each(t.Context(), 0, func(x *Trace) error {
		td := ptrace.NewTraces()
		for _, record := range x.OTLP {
			part, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(record)
			require.NoError(t, err)
			part.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
		}
		require.Equal(t, td.SpanCount(), x.Spans)
		list = append(list, td)
		return nil
	})
	return list, err
}

// What was written is read again, field by field, whichever form the file has.
func TestRead(t *testing.T) {
	traces := tracesOf(t)
	require.Greater(t, len(traces), 100)
	for _, form := range tempofiles.Forms() {
		t.Run(form.Name, func(t *testing.T) {
			raw, dedicated := form.Write(t, traces), columnsOf(t, form)
			got, err := readAll(t, raw, dedicated)
			require.NoError(t, err)
			require.Len(t, got, len(traces))
			for i, want := range traces {
				require.Equal(t, tempofiles.Show(want), tempofiles.Show(got[i]), "trace %d", i)
			}
			f, err := OpenFile(bytes.NewReader(raw), int64(len(raw)), dedicated, nil)
			require.NoError(t, err)
			n := int64(0)
			require.NoError(t, f.Each(t.Context(), 60, func(*Trace) error { n++; return nil }))
			require.Equal(t, f.Traces()-60, n)
		})
	}
}

// A column that holds values and whose meaning is not known is named, unless it may be left out; so
// is a dedicated column that the meta does not name.
func TestUnknownColumn(t *testing.T) {
	nested := tempofiles.Forms()[0]
	raw, columns := nested.Write(t, []ptrace.Traces{richTrace()}), columnsOf(t, nested)
	_, err := readAll(t, raw, columns[:2])
	var unheard *UnknownColumn
	require.ErrorAs(t, err, &unheard)
	require.Equal(t, "ResourceSpans.ScopeSpans.Spans.DedicatedAttributes.String02", unheard.Path)
	_, err = readAll(t, raw, columns[:2], unheard.Path)
	require.NoError(t, err)
}

// Files that are cut, or of which a byte is another one, are an error or read as they are, but
// never a panic.
func TestDamaged(t *testing.T) {
	flat := tempofiles.Forms()[1]
	raw, columns := flat.Write(t, tracesOf(t)[:20]), columnsOf(t, flat)
	for i := 0; i < len(raw); i += len(raw)/150 + 1 {
		_, err := readAll(t, raw[:i], columns)
		require.Error(t, err)
		bad := bytes.Clone(raw)
		bad[i] ^= 0x41
		_, _ = readAll(t, bad, columns)
	}
}

func FuzzRead(f *testing.F) {
	td := richTrace()
	for _, form := range tempofiles.Forms() {
		f.Add(form.Write(f, []ptrace.Traces{td}))
	}
	columns := columnsOf(f, tempofiles.Forms()[1])
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) < 1<<16 {
			_, _ = readAll(t, raw, columns)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	traces := tracesOf(b)
	for _, form := range tempofiles.Forms() {
		raw, columns := form.Write(b, traces), columnsOf(b, form)
		b.Run(form.Name, func(b *testing.B) {
			spans := 0
			for b.Loop() {
				f, err := OpenFile(bytes.NewReader(raw), int64(len(raw)), columns, nil)
				require.NoError(b, err)
				require.NoError(b, f.Each(b.Context(), 0, func(x *Trace) error { spans += x.Spans; return nil }))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(spans), "ns/span")
		})
	}
}
