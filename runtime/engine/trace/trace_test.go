package trace

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Trace ids are read as the HTTP API says, with its texts.
func TestParseID(t *testing.T) {
	for in, want := range map[string]string{"1": "1", "0AbC": "abc", "": "0", strings.Repeat("f", 32): strings.Repeat("f", 32)} {
		id, err := ParseID(in)
		require.NoError(t, err)
		require.Equal(t, want, id.Short())
		require.Equal(t, strings.Repeat("0", 32-len(want))+want, id.String())
	}
	_, err := ParseID("12x")
	require.EqualError(t, err, "trace IDs can only contain hex characters: invalid character 'x' at position 3")
	_, err = ParseID(strings.Repeat("0", 33))
	require.EqualError(t, err, "trace IDs can't be larger than 128 bits")
}

// The partition of a trace never changes: these values are part of the format.
func TestPartitionGolden(t *testing.T) {
	id := ID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	got := []int32{Partition("single-tenant", id, 4), Partition("single-tenant", id, 32), Partition("", ID{15: 1}, 1000),
		Partition(strings.Repeat("t", 300), id, 1000), Partition("a", id, 1), Partition("a", id, 0)}
	require.Equal(t, []int32{3, 11, 961, 15, 0, 0}, got)
}

// nested is a request with one attribute of so many arrays in one another.
func nested(levels int) []byte {
	v := []byte{0x0a, 1, 'x'}
	for range levels {
		v = appendLen(nil, 5<<3|wireLen, appendLen(nil, 1<<3|wireLen, v))
	}
	kv := appendLen(nil, 2<<3|wireLen, v)
	span := appendLen(nil, 9<<3|wireLen, kv)
	return appendLen(nil, 0x0a, appendLen(nil, 0x12, appendLen(nil, 0x12, span)))
}

// Malformed bytes are refused with the field's name; values nest 100 deep and no deeper.
func TestMalformed(t *testing.T) {
	var r Reader
	require.NoError(t, r.Walk(nested(99), &Encoder{}))
	got, err := canonical(nested(99))
	require.NoError(t, err)
	require.Contains(t, string(got), "\x0a\x01x")
	sameJSON(t, got)
	for text, b := range map[string][]byte{
		"read attribute value: values nested deeper than 100": nested(100),
		"read traces data: malformed field":                   {0x0a, 5, 1},
		"read resource spans: wrong wire type":                {0x08, 5},
		"read span name: wrong wire type":                     {0x0a, 6, 0x12, 4, 0x12, 2, 0x28, 1},
		"unmarshal: invalid TraceID length":                   {0x0a, 7, 0x12, 5, 0x12, 3, 0x0a, 1, 1},
		"unmarshal: invalid SpanID length":                    {0x0a, 7, 0x12, 5, 0x12, 3, 0x12, 1, 1},
	} {
		err := r.Walk(b, &Encoder{})
		require.ErrorIs(t, err, ErrMalformed)
		require.EqualError(t, err, text)
	}
}

// A warm reader allocates nothing.
func TestWalkAllocatesNothing(t *testing.T) {
	b := marshal(t, loadTraces(rand.New(rand.NewPCG(1, 1)), 200))
	var r Reader
	var v countVisitor
	require.Zero(t, testing.AllocsPerRun(10, func() {
		if err := r.Walk(b, &v); err != nil {
			panic(err)
		}
	}))
}

type countVisitor struct{ spans, bytes int }

func (v *countVisitor) Resource(b []byte) error { v.bytes += len(b); return nil }
func (v *countVisitor) Scope(b []byte) error    { v.bytes += len(b); return nil }
func (v *countVisitor) Span(s *Span) error      { v.spans++; return nil }

// spansOf lists resource, scope and span of all spans of messages, sorted: what must not change by
// splitting.
func spansOf(t testing.TB, messages ...[]byte) []string {
	var c Collector
	for _, m := range messages {
		require.NoError(t, c.Add(m))
	}
	var all []string
	for _, id := range c.IDs() {
		for _, f := range c.Fragments(id) {
			all = append(all, string(f.Resource)+"|"+string(f.Scope)+"|"+string(f.Span))
		}
	}
	slices.Sort(all)
	return all
}

// Splitting loses and adds nothing, keeps traces in their partitions, and no record is larger than
// allowed.
func TestSplit(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 4))
		b := mangle(r, marshal(t, randomTraces(r)), 0, true)
		sp := Splitter{MaxRecordBytes: 200 + r.IntN(20000), Parts: 1 + r.IntN(8)}
		out, err := sp.Split("t", b)
		require.NoError(t, err)
		want := spansOf(t, b)
		require.Equal(t, len(want), out.Spans)
		values, n := [][]byte{}, 0
		for _, p := range out.Parts {
			require.LessOrEqual(t, len(p.Value), sp.MaxRecordBytes)
			require.Equal(t, len(p.Value), cap(p.Value))
			var c Collector
			require.NoError(t, c.Add(p.Value))
			for _, id := range c.IDs() {
				require.Equal(t, p.Partition, Partition("t", id, sp.Parts))
			}
			require.Equal(t, p.Spans, len(spansOf(t, p.Value)))
			values, n = append(values, p.Value), n+p.Spans
		}
		require.Equal(t, out.Spans, n+out.Refused)
		require.Equal(t, out.Refused > 0 || len(out.Changed) > 0, out.Message() != "")
		if len(out.Changed) > 0 { // TestCut
			continue
		}
		got := spansOf(t, values...)
		if out.Refused == 0 {
			require.Equal(t, want, got)
		}
		for _, s := range got {
			_, ok := slices.BinarySearch(want, s)
			require.True(t, ok)
		}
	}
}

// What is wrong costs its span. If nothing is left the request is refused, with the texts that
// clients know.
func TestSplitRefuses(t *testing.T) {
	request := func(change func(a, b ptrace.Span)) []byte {
		td := ptrace.NewTraces()
		ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
		a, b := ss.Spans().AppendEmpty(), ss.Spans().AppendEmpty()
		for _, s := range []ptrace.Span{a, b} {
			s.SetTraceID([16]byte{1})
			s.SetSpanID([8]byte{1})
		}
		change(ss.Spans().At(0), ss.Spans().At(1))
		return marshal(t, td)
	}
	sp := Splitter{MaxRecordBytes: 1000, Parts: 4}
	for want, change := range map[error]func(ptrace.Span){
		ErrTraceID: func(s ptrace.Span) { s.SetTraceID([16]byte{}) },
		ErrSpanID:  func(s ptrace.Span) { s.SetSpanID([8]byte{}) },
	} {
		out, err := sp.Split("t", request(func(a, b ptrace.Span) { change(b) }))
		require.NoError(t, err)
		require.Equal(t, []int{2, 1, 1}, []int{out.Spans, out.Refused, len(out.Parts)})
		require.Equal(t, InvalidID, out.Reasons[0].Code)
		require.Equal(t, "1 span refused: resourceSpans[0].scopeSpans[0].spans[1]: "+want.Error(), out.Message())
		_, err = sp.Split("t", request(func(a, b ptrace.Span) { change(a); change(b) }))
		require.Equal(t, want, err)
	}
	cut := request(func(a, b ptrace.Span) { a.SetSpanID([8]byte{}); b.SetName("n") })
	_, err := sp.Split("t", append(cut, 0x0a, 9))
	require.ErrorIs(t, err, ErrMalformed)

	sp.Large = map[ID]struct{}{{1}: {}}
	out, err := sp.Split("t", request(func(a, b ptrace.Span) { b.SetTraceID([16]byte{2}) }))
	require.NoError(t, err)
	require.Equal(t, []int{2, 1, 1}, []int{out.Spans, out.Refused, len(out.Parts)})
	require.Equal(t, TraceTooLarge, out.Reasons[0].Code)
	require.Equal(t, "TRACE_TOO_LARGE: 1 spans refused: their trace has more bytes than the tenant's max_bytes_per_trace (the last such trace is 01000000000000000000000000000000)", out.Message())
	out, err = sp.Split("t", request(func(a, b ptrace.Span) { b.SetSpanID([8]byte{}) }))
	require.NoError(t, err)
	require.Equal(t, []int{2, 2, 0}, []int{out.Spans, out.Refused, len(out.Parts)})
	require.Len(t, out.Reasons, 2)

	_, err = sp.Split("t", nil)
	require.NoError(t, err)
	_, err = (&Splitter{}).Split("t", nil)
	require.Error(t, err)
}

// A large resource under many small spans does not multiply memory without bound.
func TestSplitBound(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("k", strings.Repeat("x", 9000))
	ss := rs.ScopeSpans().AppendEmpty()
	for i := range 5000 {
		s := ss.Spans().AppendEmpty()
		s.SetTraceID([16]byte{byte(i), byte(i >> 8), 1})
		s.SetSpanID([8]byte{1})
	}
	b := marshal(t, td)
	sp := Splitter{MaxRecordBytes: 100, MaxSpanBytes: 1000, MaxHeadBytes: 9100, Parts: 4}
	out, err := sp.Split("t", b)
	require.NoError(t, err)
	total := 0
	for _, p := range out.Parts {
		total += len(p.Value)
	}
	require.LessOrEqual(t, total, 8*len(b)+4*sp.MaxRecordBytes)
	require.Positive(t, out.Refused)
	require.Equal(t, RequestTooLarge, out.Reasons[0].Code)
}

// A trace is the same bytes whatever the order of homes and fragments, and however often spans were
// sent.
func TestAssembleOrder(t *testing.T) {
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 5))
		var homes [][]Fragment
		for range 1 + r.IntN(3) {
			var c Collector
			for range 1 + r.IntN(2) {
				require.NoError(t, c.Add(marshal(t, randomTraces(r))))
			}
			var home []Fragment
			for _, id := range c.IDs() {
				home = append(home, c.Fragments(id)...)
			}
			homes = append(homes, home)
		}
		want := Assemble(homes...)
		require.Equal(t, dedupe(spansOf(t, want)), spansOf(t, want), "each span once")
		var all []string
		for _, h := range homes {
			for _, f := range h {
				all = append(all, string(f.Resource)+"|"+string(f.Scope)+"|"+string(f.Span))
			}
		}
		slices.Sort(all)
		require.Equal(t, dedupe(all), spansOf(t, want), "no span lost")

		shuffled := slices.Clone(homes)
		for i := range shuffled {
			shuffled[i] = slices.Clone(shuffled[i])
			r.Shuffle(len(shuffled[i]), func(a, b int) { shuffled[i][a], shuffled[i][b] = shuffled[i][b], shuffled[i][a] })
		}
		r.Shuffle(len(shuffled), func(a, b int) { shuffled[a], shuffled[b] = shuffled[b], shuffled[a] })
		require.True(t, bytes.Equal(want, Assemble(shuffled...)), seed)
		require.True(t, bytes.Equal(want, Assemble(append(shuffled, homes...)...)), "every home twice")
	}
}

func dedupe(sorted []string) []string { return slices.Compact(slices.Clone(sorted)) }

// Each ResourceSpans as sent stays one, its scopes of equal content become one, and a repeated one
// goes.
func TestAssembleGroups(t *testing.T) {
	td := ptrace.NewTraces()
	add := func(service string, start uint64, scopes ...string) {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		for i, name := range scopes {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName(name)
			s := ss.Spans().AppendEmpty()
			s.SetTraceID([16]byte{1})
			s.SetSpanID([8]byte{byte(start), byte(i)})
			s.SetStartTimestamp(ptraceTime(start) + ptraceTime(uint64(i)))
		}
	}
	add("b", 30, "x")
	add("a", 20, "y", "x", "y")
	add("a", 10, "x")
	add("a", 10, "x")
	var c Collector
	require.NoError(t, c.Add(marshal(t, td)))
	out, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(Assemble(c.Fragments(ID{1})))
	require.NoError(t, err)
	var got []string
	for _, rs := range out.ResourceSpans().All() {
		name, _ := rs.Resource().Attributes().Get("service.name")
		line := name.Str()
		for _, ss := range rs.ScopeSpans().All() {
			line += " " + ss.Scope().Name() + strings.Repeat("*", ss.Spans().Len())
		}
		got = append(got, line)
	}
	require.Equal(t, []string{"a x*", "a y** x*", "b x*"}, got)
	require.Empty(t, Assemble())
	require.Empty(t, Assemble(nil, []Fragment{}))
}

// A server span that shares its client's id gets the next free small one; children follow it.
func TestRelink(t *testing.T) {
	td := ptrace.NewTraces()
	ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	add := func(id, parent byte, kind ptrace.SpanKind) {
		s := ss.Spans().AppendEmpty()
		s.SetTraceID([16]byte{1})
		s.SetSpanID([8]byte{7: id})
		s.SetParentSpanID([8]byte{7: parent})
		s.SetKind(kind)
	}
	add(1, 0, ptrace.SpanKindServer) // no pair; holds the id 1
	add(9, 1, ptrace.SpanKindClient)
	add(9, 1, ptrace.SpanKindServer)
	add(20, 9, ptrace.SpanKindInternal)
	add(21, 9, ptrace.SpanKindServer)
	out, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(Relink(marshal(t, td)))
	require.NoError(t, err)
	var got [][2]byte
	for _, s := range out.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		got = append(got, [2]byte{s.SpanID()[7], s.ParentSpanID()[7]})
	}
	require.Equal(t, [][2]byte{{1, 0}, {9, 1}, {2, 9}, {20, 2}, {21, 2}}, got)

	alone := marshal(t, loadTraces(rand.New(rand.NewPCG(1, 1)), 20))
	require.Equal(t, &alone[0], &Relink(alone)[0])
	require.Equal(t, []byte{1, 2}, Relink([]byte{1, 2}))
}

// Times that are later than the last one are read as the last, of spans and of events.
func TestTimesEnd(t *testing.T) {
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetStartTimestamp(1 << 63)
	s.SetEndTimestamp(math.MaxUint64)
	s.Events().AppendEmpty().SetTimestamp(1<<63 - 1)
	s.Events().AppendEmpty().SetTimestamp(1<<63 + 5)
	got, err := canonical(marshal(t, td))
	require.NoError(t, err)
	withinTime(td)
	require.Equal(t, pcommon.Timestamp(MaxUnixNano), s.EndTimestamp())
	require.Equal(t, marshal(t, td), byPdata(t, got))
}
