package trace

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/troupe-tracing/troupe/test/kit/corpus"
)

func marshal(t testing.TB, td ptrace.Traces) []byte {
	t.Helper()
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return b
}

// canonical reads and writes a message by this package, with what pdata cannot tell apart made
// equal: a status that was not sent, a link's id of zeros.
func canonical(b []byte) ([]byte, error) {
	zero := func(id []byte) []byte {
		if len(bytes.Trim(id, "\x00")) == 0 {
			return nil
		}
		return id
	}
	e := Encoder{Change: func(s *Span) {
		s.HasStatus = true
		for i := range s.Links {
			s.Links[i].TraceID, s.Links[i].SpanID = zero(s.Links[i].TraceID), zero(s.Links[i].SpanID)
		}
	}}
	r := Reader{strictID: true}
	err := r.Walk(b, &e)
	return e.Bytes(), err
}

// byPdata is the message as pdata reads and writes it: how two messages are compared.
func byPdata(t testing.TB, b []byte) []byte {
	t.Helper()
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
	require.NoError(t, err)
	return marshal(t, td)
}

func randomText(r *rand.Rand) string {
	texts := []string{"", "a", "service.name", "GET /cart", "naïve \u2028 <b>&\"\\\n\x00\x7f", "日本", strings.Repeat("x", r.IntN(300)), "bad \xff\xc3 utf8"}
	return texts[r.IntN(len(texts))]
}

func randomValue(r *rand.Rand, v pcommon.Value, depth int) {
	n := 8
	if depth > 3 {
		n = 6
	}
	switch r.IntN(n) {
	case 0:
	case 1:
		v.SetStr(randomText(r))
	case 2:
		v.SetBool(r.IntN(2) == 0)
	case 3:
		v.SetInt([]int64{0, -1, math.MaxInt64, math.MinInt64, 200}[r.IntN(5)])
	case 4:
		v.SetDouble([]float64{0, -0.5, 1e-9, 1e300, math.Inf(1), math.Inf(-1), math.MaxFloat64, r.Float64()}[r.IntN(8)])
	case 5:
		v.SetEmptyBytes().FromRaw([]byte(randomText(r)))
	case 6:
		s := v.SetEmptySlice()
		for range r.IntN(4) {
			randomValue(r, s.AppendEmpty(), depth+1)
		}
	case 7:
		m := v.SetEmptyMap()
		for i := range r.IntN(4) {
			randomValue(r, m.PutEmpty(fmt.Sprint(randomText(r), i)), depth+1)
		}
	}
}

func randomAttributes(r *rand.Rand, m pcommon.Map) {
	for i := range r.IntN(5) {
		randomValue(r, m.PutEmpty(fmt.Sprint(randomText(r), i)), 0)
	}
}

func randomTraces(r *rand.Rand) ptrace.Traces {
	td := ptrace.NewTraces()
	id := func() (t pcommon.TraceID) {
		binary.BigEndian.PutUint64(t[r.IntN(9):], uint64(1+r.IntN(5)))
		return t
	}
	span := func() (s pcommon.SpanID) {
		binary.BigEndian.PutUint64(s[:], uint64(1+r.IntN(50)))
		return s
	}
	small := func() uint32 { return uint32(r.IntN(3)) * uint32(r.IntN(1<<31)) }
	for range r.IntN(4) {
		rs := td.ResourceSpans().AppendEmpty()
		randomAttributes(r, rs.Resource().Attributes())
		rs.Resource().SetDroppedAttributesCount(small())
		rs.SetSchemaUrl(randomText(r))
		for range r.IntN(3) {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.SetSchemaUrl(randomText(r))
			ss.Scope().SetName(randomText(r))
			ss.Scope().SetVersion(randomText(r))
			randomAttributes(r, ss.Scope().Attributes())
			ss.Scope().SetDroppedAttributesCount(small())
			for range r.IntN(4) {
				s := ss.Spans().AppendEmpty()
				s.SetTraceID(id())
				s.SetSpanID(span())
				if r.IntN(3) > 0 {
					s.SetParentSpanID(span())
				}
				s.TraceState().FromRaw(randomText(r))
				s.SetName(randomText(r))
				s.SetKind(ptrace.SpanKind([]int32{0, 1, 2, 3, 4, 5, 77, -1}[r.IntN(8)]))
				s.SetStartTimestamp(pcommon.Timestamp(r.Uint64N(4)))
				s.SetEndTimestamp(pcommon.Timestamp(r.Uint64() >> 1))
				randomAttributes(r, s.Attributes())
				s.SetDroppedAttributesCount(small())
				s.SetDroppedEventsCount(small())
				s.SetDroppedLinksCount(small())
				s.SetFlags(small())
				for range r.IntN(3) {
					e := s.Events().AppendEmpty()
					e.SetName(randomText(r))
					e.SetTimestamp(pcommon.Timestamp(r.Uint64N(3)))
					randomAttributes(r, e.Attributes())
					e.SetDroppedAttributesCount(small())
				}
				for range r.IntN(3) {
					l := s.Links().AppendEmpty()
					l.SetTraceID(id())
					l.SetSpanID(span())
					l.TraceState().FromRaw(randomText(r))
					randomAttributes(r, l.Attributes())
					l.SetDroppedAttributesCount(small())
					l.SetFlags(small())
				}
				s.Status().SetMessage(randomText(r))
				s.Status().SetCode(ptrace.StatusCode([]int32{0, 1, 2, 9}[r.IntN(4)]))
			}
		}
	}
	return td
}

// mangle writes the same fields in a way encoders do not: in another order, with unknown fields and
// (on demand, for pdata stops at the first field of an unknown group) groups between, and single
// messages in several pieces.
func mangle(r *rand.Rand, b []byte, level int, groups bool) []byte {
	var fields [][]byte
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return b
		}
		raw := b[pos:f.end]
		nested := f.wire == wireLen && (level == 0 && f.num == 1 || level > 0 && level < 3 && f.num < 3)
		if nested {
			raw = appendLen(nil, byte(f.num)<<3|wireLen, mangle(r, body, level+1, groups))
		}
		if single := level == 1 && f.num == 1 || level == 2 && f.num == 1; single && r.IntN(2) == 0 {
			raw = append(bytes.Clone(raw), raw...) // merged: attributes twice
		}
		fields = append(fields, raw)
		pos = f.end
	}
	r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	var out []byte
	for _, f := range fields {
		out = append(out, f...)
		switch r.IntN(4) {
		case 0:
			out = append(out, 0xa8, 0x7d, 5) // field 2005, varint
		case 1:
			if groups {
				out = append(out, 0xab, 0x7d, 0x0a, 1, 7, 0x13, 0x08, 1, 0x14, 0xac, 0x7d) // a group in a group
			}
		}
	}
	return out
}

// What is read and written again means the same to pdata: its own messages and mangled ones.
func TestReaderAgreesWithPdata(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		want := marshal(t, randomTraces(r))
		got, err := canonical(want)
		require.NoError(t, err, seed)
		require.True(t, bytes.Equal(want, byPdata(t, got)), seed)

		mangled := mangle(rand.New(rand.NewPCG(seed, 9)), want, 0, false)
		got, err = canonical(mangled)
		require.NoError(t, err, seed)
		require.True(t, bytes.Equal(byPdata(t, mangled), byPdata(t, got)), seed)

		grouped, err := canonical(mangle(rand.New(rand.NewPCG(seed, 9)), want, 0, true))
		require.NoError(t, err, seed)
		require.True(t, bytes.Equal(got, grouped), seed)
	}
}

// Fields, groups among them, end where the protobuf library says. (It refuses more: ends of another
// group's number, long varints.)
func TestNextAgreesWithProtowire(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	agreed := 0
	for range 300000 {
		b := make([]byte, 1+r.IntN(12))
		for i := range b {
			b[i] = byte(r.IntN(40))
		}
		_, _, n := protowire.ConsumeField(b)
		if n < 0 {
			continue
		}
		agreed++
		f, _ := readField(b, 0)
		require.Equal(t, n, f.end, "%x", b)
	}
	require.Greater(t, agreed, 10000)
}

// Every field of a span reaches the field of its name.
func TestReaderFields(t *testing.T) {
	for seed := range uint64(500) {
		td := randomTraces(rand.New(rand.NewPCG(seed, 2)))
		v := &fieldVisitor{t: t, td: td, rs: -1}
		var r Reader
		require.NoError(t, r.Walk(marshal(t, td), v))
		require.Equal(t, td.SpanCount(), v.n)
	}
}

type fieldVisitor struct {
	t            *testing.T
	td           ptrace.Traces
	rs, ss, s, n int
}

func (v *fieldVisitor) Resource(resource []byte) error {
	v.rs, v.ss = v.rs+1, -1
	attrs, err := ResourceAttributes(resource, nil)
	sameAttributes(v.t, v.td.ResourceSpans().At(v.rs).Resource().Attributes(), attrs)
	return err
}

func (v *fieldVisitor) Scope(scope []byte) error {
	v.ss, v.s = v.ss+1, -1
	content, err := ReadScope(scope, nil)
	want := v.td.ResourceSpans().At(v.rs).ScopeSpans().At(v.ss).Scope()
	require.Equal(v.t, want.Name(), string(content.Name))
	require.Equal(v.t, want.Version(), string(content.Version))
	sameAttributes(v.t, want.Attributes(), content.Attributes)
	return err
}

func (v *fieldVisitor) Span(s *Span) error {
	v.s, v.n = v.s+1, v.n+1
	w := v.td.ResourceSpans().At(v.rs).ScopeSpans().At(v.ss).Spans().At(v.s)
	t := v.t
	require.Equal(t, ID(w.TraceID()), s.TraceID)
	require.Equal(t, SpanID(w.SpanID()), s.SpanID)
	require.Equal(t, SpanID(w.ParentSpanID()), s.ParentID)
	require.Equal(t, !w.ParentSpanID().IsEmpty(), s.HasParent)
	require.Equal(t, w.TraceState().AsRaw(), string(s.TraceState))
	require.Equal(t, w.Name(), string(s.Name))
	require.Equal(t, int32(w.Kind()), s.Kind)
	require.True(t, s.HasStatus)
	require.Equal(t, int32(w.Status().Code()), s.Status)
	require.Equal(t, w.Status().Message(), string(s.StatusMessage))
	require.Equal(t, uint64(w.StartTimestamp()), s.StartUnixNano)
	require.Equal(t, uint64(w.EndTimestamp()), s.EndUnixNano)
	require.Equal(t, [4]uint32{w.Flags(), w.DroppedAttributesCount(), w.DroppedEventsCount(), w.DroppedLinksCount()},
		[4]uint32{s.Flags, s.DroppedAttributes, s.DroppedEvents, s.DroppedLinks})
	sameAttributes(t, w.Attributes(), s.Attributes)
	require.Equal(t, w.Events().Len(), len(s.Events))
	for i, e := range s.Events {
		we := w.Events().At(i)
		require.Equal(t, we.Name(), string(e.Name))
		require.Equal(t, uint64(we.Timestamp()), e.TimeUnixNano)
		require.Equal(t, we.DroppedAttributesCount(), e.Dropped)
		sameAttributes(t, we.Attributes(), e.Attributes)
	}
	require.Equal(t, w.Links().Len(), len(s.Links))
	for i, l := range s.Links {
		wl := w.Links().At(i)
		wt, ws := wl.TraceID(), wl.SpanID()
		require.Equal(t, wt[:], l.TraceID)
		require.Equal(t, ws[:], l.SpanID)
		require.Equal(t, wl.TraceState().AsRaw(), string(l.TraceState))
		require.Equal(t, [2]uint32{wl.DroppedAttributesCount(), wl.Flags()}, [2]uint32{l.Dropped, l.Flags})
		sameAttributes(t, wl.Attributes(), l.Attributes)
	}
	return nil
}

func sameAttributes(t *testing.T, want pcommon.Map, got []Attribute) {
	require.Equal(t, want.Len(), len(got))
	i := 0
	for k, v := range want.All() {
		require.Equal(t, k, string(got[i].Key))
		sameValue(t, v, got[i].Value)
		i++
	}
}

func sameValue(t *testing.T, want pcommon.Value, got Value) {
	switch want.Type() {
	case pcommon.ValueTypeEmpty:
		require.Equal(t, Empty, got.Type)
	case pcommon.ValueTypeStr:
		require.Equal(t, String, got.Type)
		require.Equal(t, want.Str(), string(got.Bytes))
	case pcommon.ValueTypeBool:
		require.Equal(t, Bool, got.Type)
		require.Equal(t, want.Bool(), got.Num == 1)
	case pcommon.ValueTypeInt:
		require.Equal(t, Int, got.Type)
		require.Equal(t, want.Int(), int64(got.Num))
	case pcommon.ValueTypeDouble:
		require.Equal(t, Float, got.Type)
		require.Equal(t, math.Float64bits(want.Double()), got.Num)
	case pcommon.ValueTypeBytes:
		require.Equal(t, Bytes, got.Type)
		require.Equal(t, string(want.Bytes().AsRaw()), string(got.Bytes))
	case pcommon.ValueTypeSlice:
		require.Equal(t, Array, got.Type)
		i := 0
		got.Elements(func(e Value) { sameValue(t, want.Slice().At(i), e); i++ })
		require.Equal(t, want.Slice().Len(), i)
	case pcommon.ValueTypeMap:
		require.Equal(t, Map, got.Type)
		var entries []Attribute
		got.Entries(func(a Attribute) { entries = append(entries, a) })
		sameAttributes(t, want.Map(), entries)
	}
}

// requestsOf returns at most limit requests of a file as protobuf, read from JSON where the file
// can be written as JSON.
func requestsOf(t *testing.T, from corpus.Source, file string, limit int) [][]byte {
	t.Helper()
	requests := from.JSON(t, file)
	if requests == nil {
		requests = from.Protobuf(t, file)
		return requests[:min(limit, len(requests))]
	}
	var out [][]byte
	for _, request := range requests[:min(limit, len(requests))] {
		otlp, _, err := FromJSON(request)
		require.NoError(t, err)
		out = append(out, otlp)
	}
	return out
}

// The traces of whole systems are read as pdata reads them, survive splitting and assembly, and
// print as JSON that means the same.
func TestSystems(t *testing.T) {
	corpus.Run(t, func(t *testing.T, from corpus.Source) {
		files := from.Files(corpus.DemoApps, corpus.WebApp, corpus.Shell, corpus.Boutique, corpus.Sample)
		for _, file := range files {
			t.Run(file, func(t *testing.T) {
				checkSystem(t, requestsOf(t, from, file, 150), file != corpus.RawText)
			})
		}
	})
}

// checkSystem checks one file. Text that is not UTF-8 changes in JSON, which is not checked then.
func checkSystem(t *testing.T, requests [][]byte, asJSON bool) {
	var whole, split Collector
	sp := Splitter{MaxRecordBytes: 1_000_000, Parts: 4}
	spans := 0
	for _, otlp := range requests {
		got, err := canonical(otlp)
		require.NoError(t, err)
		require.True(t, bytes.Equal(byPdata(t, otlp), byPdata(t, got)))
		if asJSON {
			sameJSON(t, otlp)
		}
		require.NoError(t, whole.Add(otlp))
		out, err := sp.Split("tenant", otlp)
		require.NoError(t, err)
		require.Zero(t, out.Refused)
		spans += out.Spans
		for _, p := range out.Parts {
			require.NoError(t, split.Add(p.Value))
		}
	}
	require.Positive(t, spans)
	for _, id := range whole.IDs() {
		require.Equal(t, Assemble(whole.Fragments(id)), Assemble(split.Fragments(id)), id)
	}
}
