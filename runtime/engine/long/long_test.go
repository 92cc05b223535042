package long_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/long"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/spans"
)

// home is a table that holds a part of the trace.
type home struct {
	table column.Table
	rows  []uint32
}

// objects is a block in memory.
type objects map[string]*bytes.Buffer

func (o objects) Create(name string) (io.WriteCloser, error) {
	o[name] = &bytes.Buffer{}
	return object{o[name]}, nil
}

func (o objects) ReadRange(_ context.Context, name string, off int64, buf []byte) error {
	copy(buf, o[name].Bytes()[off:])
	return nil
}

type object struct{ *bytes.Buffer }

func (object) Close() error { return nil }

// layOut puts records into homes, at random: segments, and blocks of one or several segments.
func layOut(t *testing.T, r *rand.Rand, records [][]byte, id trace.ID) (out []home) {
	var segments []column.Table
	seal := func(s *live.Segment) {
		s.Seal()
		if snap := s.Snapshot(0, math.MaxInt64); snap.Rows() > 0 {
			segments = append(segments, snap)
		}
	}
	add := func(t2 column.Table) {
		n, ok, err := t2.Lookup(t.Context(), id)
		require.NoError(t, err)
		if ok {
			out = append(out, home{t2, t2.TraceRows(n, nil)})
		}
	}
	seg := live.New(live.Limits{})
	for i, rec := range records {
		_, err := seg.Append(int64(i), 0, rec)
		require.NoError(t, err)
		if r.IntN(4) == 0 {
			seal(seg)
			seg = live.New(live.Limits{})
		}
	}
	seal(seg)
	for len(segments) > 0 {
		n := 1 + r.IntN(len(segments))
		taken := segments[:n]
		segments = segments[n:]
		if r.IntN(2) == 0 {
			for _, s := range taken {
				add(s)
			}
			continue
		}
		o := objects{}
		meta, _, err := block.Write(t.Context(), taken, block.WriteOptions{ID: "00000000-0000-5000-8000-000000000000", Tenant: "t", Epoch: "e", Parts: []int32{1}, To: 1}, o)
		require.NoError(t, err)
		b, err := block.Open(t.Context(), o, meta)
		require.NoError(t, err)
		for _, g := range b.Reader().Tables() {
			add(g)
		}
	}
	return out
}

// arrange reads the keys of all homes, in pieces of any size, and arranges them.
func arrange(t *testing.T, r *rand.Rand, homes []home) *long.Index {
	x := &long.Index{}
	for n, h := range homes {
		for from := 0; from < len(h.rows); {
			to := min(from+1+r.IntN(len(h.rows)), len(h.rows))
			k, err := long.ReadKeys(t.Context(), h.table, h.rows[from:to])
			require.NoError(t, err)
			x.Add(uint32(n), k)
			from = to
		}
	}
	for n, rows := range x.Ambiguous() {
		fs, err := column.Fragments(t.Context(), homes[n].table, rows, nil)
		require.NoError(t, err)
		var contents []long.Content
		for _, f := range fs {
			contents = append(contents, long.ContentOf(f.Span))
		}
		x.AddContents(n, rows, contents)
	}
	require.NoError(t, x.Arrange(t.Context()))
	return x
}

// read reads the trace from a position on, in chunks of about so many spans.
func read(t *testing.T, x *long.Index, homes []home, from long.Position, spans int) (out []byte, total int) {
	for at := from; !x.IsEnd(at); {
		c := x.Take(at, spans, false)
		var fragments [][]trace.Fragment
		for _, p := range c.Parts {
			fs, err := column.Fragments(t.Context(), homes[p.Table].table, p.Rows, nil)
			require.NoError(t, err)
			fragments = append(fragments, fs)
		}
		var err error
		out, err = c.Append(out, fragments)
		require.NoError(t, err)
		total += c.Spans
		at = c.To
	}
	return out, total
}

// assemble is what the trace is when it is put together in memory.
func assemble(t *testing.T, homes []home) []byte {
	var all [][]trace.Fragment
	for _, h := range homes {
		fs, err := column.Fragments(t.Context(), h.table, h.rows, nil)
		require.NoError(t, err)
		all = append(all, fs)
	}
	return trace.Relink(trace.Assemble(all...))
}

// hasTies reports whether different spans begin together under one id.
func hasTies(t *testing.T, homes []home) bool {
	seen := map[string]string{}
	for _, h := range homes {
		fs, err := column.Fragments(t.Context(), h.table, h.rows, nil)
		require.NoError(t, err)
		k, err := long.ReadKeys(t.Context(), h.table, h.rows)
		require.NoError(t, err)
		for i, f := range fs {
			key := fmt.Sprint(k.Starts[i], k.IDs[i])
			content := fmt.Sprintf("%x %x %x", f.Span, f.Scope, f.Resource)
			if old, ok := seen[key]; ok && old != content {
				return true
			}
			seen[key] = content
		}
	}
	return false
}

// summary counts the spans of a trace by what does not depend on their order.
func summary(t *testing.T, otlp []byte) map[string]int {
	v := counter{}
	var r trace.Reader
	require.NoError(t, r.Walk(otlp, &v))
	return v.count
}

type counter struct {
	count           map[string]int
	resource, scope string
}

func (c *counter) Resource(b []byte) error { c.resource = string(b); return nil }
func (c *counter) Scope(b []byte) error    { c.scope = string(b); return nil }
func (c *counter) Span(s *trace.Span) error {
	if c.count == nil {
		c.count = map[string]int{}
	}
	c.count[fmt.Sprintf("%x %x %x %d %d", c.resource, c.scope, s.Name, s.StartUnixNano, s.Kind)]++
	return nil
}

func idOf(n uint64) (id trace.ID) {
	var c trace.Collector
	g := spans.New(n, 1, 5)
	_ = c.Add(g.Record(30))
	return c.IDs()[0]
}

// A trace that is read in chunks has the bytes that it has when it is put together in memory,
// wherever its spans lie and whatever the size of the chunks.
func TestChunksAreTheTrace(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 5))
		g := spans.New(seed, 1, 8)
		g.Unique = true
		var records [][]byte
		for range 1 + r.IntN(30) {
			records = append(records, g.Record(1+r.IntN(30)))
		}
		if g.Sent() == 0 {
			continue
		}
		var first []byte
		for range 3 {
			homes := layOut(t, r, records, idOf(seed))
			x := arrange(t, r, homes)
			got, n := read(t, x, homes, long.Position{}, 1+r.IntN(200))
			require.Equal(t, x.Spans(), n)
			require.True(t, bytes.Equal(assemble(t, homes), got), "seed %d", seed)
			if first == nil {
				first = got
			}
			require.True(t, bytes.Equal(first, got), "seed %d", seed)
		}
	}
}

// Spans that come twice are there once, and spans that share an id are told apart, as in a trace
// that is put together in memory.
func TestDuplicatesAndSharedIDs(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 6))
		g := spans.New(seed, 1, 8)
		g.Spans = []int{0, 1, 10, 300}[r.IntN(4)]
		var records [][]byte
		for range 2 + r.IntN(20) {
			records = append(records, g.Record(1+r.IntN(30)))
		}
		records = append(records, records[r.IntN(len(records))]) // a push that was sent again
		if g.Sent() == 0 {
			continue
		}
		homes := layOut(t, r, records, idOf(seed))
		x := arrange(t, r, homes)
		got, n := read(t, x, homes, long.Position{}, 1+r.IntN(200))
		require.Equal(t, x.Spans(), n)
		if want := assemble(t, homes); !hasTies(t, homes) {
			require.True(t, bytes.Equal(want, got), "seed %d", seed)
		} else {
			require.Equal(t, summary(t, want), summary(t, got), "seed %d", seed)
		}
	}
}

// A cursor leads to its position in any other layout, and the trace has no gap and no repetition
// there.
func TestCursor(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 7))
		g := spans.New(seed, 1, 8)
		g.Unique = true
		var records [][]byte
		for range 1 + r.IntN(20) {
			records = append(records, g.Record(1+r.IntN(30)))
		}
		if g.Sent() == 0 {
			continue
		}
		homes := layOut(t, r, records, idOf(seed))
		others := layOut(t, r, records, idOf(seed))
		x, y := arrange(t, r, homes), arrange(t, r, others)
		whole, _ := read(t, x, homes, long.Position{}, 50)
		cuts := r.IntN(2) == 0
		c := x.Take(long.Position{}, 1+r.IntN(x.Spans()), cuts)
		if x.IsEnd(c.To) {
			continue
		}
		var fragments [][]trace.Fragment
		for _, p := range c.Parts {
			fs, err := column.Fragments(t.Context(), homes[p.Table].table, p.Rows, nil)
			require.NoError(t, err)
			fragments = append(fragments, fs)
		}
		page, err := c.Append(nil, fragments)
		require.NoError(t, err)
		rest, _ := read(t, y, others, y.Find(x.CursorAt(c.To)), 50)
		if both := append(page, rest...); cuts {
			require.Equal(t, summary(t, whole), summary(t, both), "seed %d", seed)
		} else {
			require.True(t, bytes.Equal(whole, both), "seed %d", seed)
		}
	}
}

// BenchmarkArrange orders the keys of a million spans in 500 pushes.
func BenchmarkArrange(b *testing.B) {
	const n, each = 1 << 20, 2048
	for b.Loop() {
		b.StopTimer()
		r := rand.New(rand.NewPCG(1, 1))
		x := &long.Index{}
		for from := 0; from < n; from += each {
			k := &long.Keys{Sent: []long.Place{{Group: uint32(from)}}, Resources: []long.Digest{{}}, Scopes: []long.Digest{{}}}
			for i := range each {
				var id trace.SpanID
				for j := range id {
					id[j] = byte(r.Uint32())
				}
				k.Rows = append(k.Rows, uint32(from+i))
				k.Starts = append(k.Starts, uint64(from*1000+r.IntN(3000000)))
				k.IDs = append(k.IDs, id)
				k.Places = append(k.Places, 0)
			}
			x.Add(0, k)
		}
		b.StartTimer()
		if len(x.Ambiguous()) > 0 {
			b.Fatal("an id stands twice")
		}
		if err := x.Arrange(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
