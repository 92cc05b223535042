package trace

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func seeds(f *testing.F) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 6))
		b := marshal(f, randomTraces(r))
		f.Add(b)
		f.Add(mangle(r, b, 0, true))
	}
	f.Add(nested(100))
}

// Any bytes: what this reader accepts pdata accepts too, and both mean the same; what it writes is
// stable.
func FuzzWalk(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := canonical(b)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		again, err := canonical(got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(got, again))
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
		if err == nil {
			withinTime(td)
		}
		if err == nil && bytes.Equal(marshal(t, td), byPdata(t, got)) {
			return
		}
		// pdata reads groups wrongly, and keeps indexes into a dictionary, which are dropped here.
		if mayHoldGroup(b, 0) {
			return
		}
		require.NoError(t, err)
		js, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		require.True(t, bytes.Contains(js, []byte("trindex")))
	})
}

// withinTime makes times that are later than the last one the last.
func withinTime(td ptrace.Traces) {
	last := func(t pcommon.Timestamp) pcommon.Timestamp { return min(t, MaxUnixNano) }
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				s.SetStartTimestamp(last(s.StartTimestamp()))
				s.SetEndTimestamp(last(s.EndTimestamp()))
				for _, e := range s.Events().All() {
					e.SetTimestamp(last(e.Timestamp()))
				}
			}
		}
	}
}

// mayHoldGroup reports whether b, or what may be a message in it, has a group.
func mayHoldGroup(b []byte, depth int) bool {
	for pos := 0; pos < len(b) && depth < 200; {
		f, body := readField(b, pos)
		if f.end < 0 {
			return false
		}
		if f.wire == wireStart || mayHoldGroup(body, depth+1) {
			return true
		}
		pos = f.end
	}
	return false
}

// Any bytes: records are within bounds and can be read; spans are counted.
func FuzzSplit(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		s := Splitter{MaxRecordBytes: 500, Parts: 3}
		require.LessOrEqual(t, s.RecordBytes(), 500)
		out, err := s.Split("t", b)
		if err != nil {
			return
		}
		require.Equal(t, out.Spans, CountSpans(b))
		n := out.Refused
		for _, p := range out.Parts {
			require.LessOrEqual(t, len(p.Value), s.RecordBytes())
			var c Collector
			require.NoError(t, c.Add(p.Value))
			n += p.Spans
			sized := map[ID]int{}
			SpanSizes(p.Value, func(id ID, _ int) { sized[id]++ })
			require.Len(t, sized, len(c.IDs()))
			for _, id := range c.IDs() {
				require.Len(t, c.Fragments(id), sized[id])
			}
		}
		require.Equal(t, out.Spans, n)
	})
}

// Any bytes: JSON is valid or refused, and relinking and assembling never fail.
func FuzzAppendJSON(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := AppendJSON(nil, b, true)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		require.True(t, json.Valid(out), string(out))
		Relink(b)
		var r Reader
		var c Collector
		require.NoError(t, c.Add(b))
		for _, id := range c.IDs() {
			require.NoError(t, r.Walk(Assemble(c.Fragments(id)), &countVisitor{}))
		}
	})
}
