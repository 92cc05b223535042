package block

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// What a request costs goes by its size, whatever its shape: from append over seal, block, merge
// and reading back, twice as much of anything takes at most two and a half times the memory, and
// four times as much at most nine times the work.
func TestCostGoesBySize(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector has costs of its own")
	}
	attrs := func(n int, key func(i int) string) []otlp.Attr {
		out := make([]otlp.Attr, n)
		for i := range out {
			out[i] = otlp.Attr{Key: key(i), Value: i%2 == 0}
		}
		return out
	}
	own := func(i int) string { return fmt.Sprintf("k%06d", i) }
	few := func(i int) string { return fmt.Sprint("k", i%3) }
	span := func(i int) *otlp.Span {
		return &otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(uint64(i) + 1), Name: "s", Start: 1e18, End: 1e18 + 1, Resource: &otlp.Resource{}}
	}
	many := func(n int, set func(s *otlp.Span, i int)) []*otlp.Span {
		out := make([]*otlp.Span, n)
		for i := range out {
			out[i] = span(i)
			set(out[i], i)
		}
		return out
	}
	for _, c := range []struct {
		name  string
		n     int
		short bool
		make  func(n int) []*otlp.Span
	}{
		{"attributes of a resource", 8000, true, func(n int) []*otlp.Span {
			return many(1, func(s *otlp.Span, _ int) { s.Resource.Attrs = attrs(n, own) })
		}},
		{"attributes of a scope", 8000, false, func(n int) []*otlp.Span {
			return many(1, func(s *otlp.Span, _ int) { s.Scope = &otlp.Scope{Name: "x", Attrs: attrs(n, own)} })
		}},
		{"attributes of a span", 16000, true, func(n int) []*otlp.Span {
			return many(1, func(s *otlp.Span, _ int) { s.Attrs = attrs(n, own) })
		}},
		{"attributes of a span with equal keys", 8000, false, func(n int) []*otlp.Span {
			return many(1, func(s *otlp.Span, _ int) { s.Attrs = attrs(n, few) })
		}},
		{"attributes of a resource with equal keys", 8000, false, func(n int) []*otlp.Span {
			return many(1, func(s *otlp.Span, _ int) { s.Resource.Attrs = attrs(n, few) })
		}},
		{"attributes of an event", 8000, false, func(n int) []*otlp.Span {
			return many(1, func(s *otlp.Span, _ int) { s.Events = []otlp.Event{{Name: "e", Attrs: attrs(n, own)}} })
		}},
		{"attributes of a link", 8000, false, func(n int) []*otlp.Span {
			return many(1, func(s *otlp.Span, _ int) {
				s.Links = []otlp.Link{{Trace: otlp.TraceID(2), Span: otlp.SpanID(2), Attrs: attrs(n, own)}}
			})
		}},
		{"events", 4000, false, func(n int) []*otlp.Span {
			return many(1, func(s *otlp.Span, _ int) {
				for i := range n {
					s.Events = append(s.Events, otlp.Event{Name: own(i), Time: 1e18})
				}
			})
		}},
		{"links", 4000, false, func(n int) []*otlp.Span {
			return many(1, func(s *otlp.Span, _ int) {
				for i := range n {
					s.Links = append(s.Links, otlp.Link{Trace: otlp.TraceID(uint64(i) + 2), Span: otlp.SpanID(2)})
				}
			})
		}},
		{"spans of one id", 1500, false, func(n int) []*otlp.Span {
			return many(n, func(s *otlp.Span, i int) { s.ID, s.Name = otlp.SpanID(1), own(i) })
		}},
		{"spans with the id of a large one", 1500, true, func(n int) []*otlp.Span {
			return many(n, func(s *otlp.Span, i int) {
				if s.ID, s.Name = otlp.SpanID(1), own(i); i == 0 {
					s.Attrs = attrs(n, own)
				}
			})
		}},
		{"depth", 4000, false, func(n int) []*otlp.Span {
			return many(n, func(s *otlp.Span, i int) { s.Parent = otlp.SpanID(uint64(i)) })
		}},
		{"children of one span", 4000, false, func(n int) []*otlp.Span {
			return many(n, func(s *otlp.Span, i int) {
				if i > 0 {
					s.Parent = otlp.SpanID(1)
				}
			})
		}},
		{"traces", 4000, false, func(n int) []*otlp.Span {
			return many(n, func(s *otlp.Span, i int) { s.Trace = otlp.TraceID(uint64(i) + 1) })
		}},
		{"keys", 2000, false, func(n int) []*otlp.Span {
			return many(n, func(s *otlp.Span, i int) { s.Attrs = attrs(1, func(int) string { return own(i) }) })
		}},
		{"resources", 2000, true, func(n int) []*otlp.Span {
			return many(n, func(s *otlp.Span, i int) {
				s.Resource = &otlp.Resource{Attrs: []otlp.Attr{{Key: own(i), Value: "v"}}}
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && !c.short {
				t.Skip("left out of a short run")
			}
			var work, memory [3]float64
			for i, rounds := range []int{3, 1, 2} { // what else goes on adds to the work and takes nothing away
				record := otlp.Encode(c.make(c.n << i)...)
				work[i], memory[i] = math.MaxFloat64, math.MaxFloat64
				for range rounds {
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					used := cpu()
					through(t, record)
					used = cpu() - used
					runtime.ReadMemStats(&after)
					work[i], memory[i] = min(work[i], float64(used)), min(memory[i], float64(after.TotalAlloc-before.TotalAlloc))
				}
				if i > 0 {
					require.Less(t, memory[i], 2.5*memory[i-1], "bytes that are allocated, of twice as much: %v", memory)
				}
			}
			require.Less(t, work[2], 9*work[0]+3e7, "processor time, of four times as much: %v", work)
		})
	}
}

// through takes a record through a segment into a block, merges that, and reads every span.
func through(t *testing.T, record []byte) {
	g := live.New(live.Limits{})
	n, err := g.Append(0, 0, record)
	require.NoError(t, err)
	g.Seal()
	read := func(table column.Table) {
		rows := make([]uint32, table.Rows())
		for i := range rows {
			rows[i] = uint32(i)
		}
		_, err := column.Fragments(ctx, table, rows, nil)
		require.NoError(t, err)
		for i := range min(table.Traces(), 8) {
			_, err := table.Trace(ctx, i)
			require.NoError(t, err)
		}
	}
	snap := g.Snapshot(0, math.MaxInt64)
	require.LessOrEqual(t, snap.Rows(), n)
	read(snap)
	tables := []column.Table{snap}
	for range 2 {
		m := memory{}
		meta, _, err := Write(ctx, tables, WriteOptions{ID: "b", Tenant: "t", To: 1}, m)
		require.NoError(t, err)
		b, err := Open(ctx, m, meta)
		require.NoError(t, err)
		tables = nil
		for _, table := range b.Reader().Tables() {
			read(table)
			tables = append(tables, table)
		}
	}
	require.NotEmpty(t, tables)
}

// Work that was cancelled ends, whatever is being built.
func TestWriteLooksAtItsContext(t *testing.T) {
	s := &otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(1), Resource: &otlp.Resource{}}
	for i := range 20_000 {
		a := otlp.Attr{Key: fmt.Sprint("k", i), Value: true}
		s.Resource.Attrs, s.Attrs = append(s.Resource.Attrs, a), append(s.Attrs, a)
	}
	g := live.New(live.Limits{})
	_, err := g.Append(0, 0, otlp.Encode(s))
	require.NoError(t, err)
	c, err := parseContents(ctx, column.Resource, []string{string(resourceOf(t, g))})
	require.NoError(t, err)
	ended := &endsAfter{Context: ctx, calls: 3}
	_, err = parseContents(ended, column.Resource, c.list)
	require.ErrorIs(t, err, errEnded)
	require.LessOrEqual(t, ended.asked, 5)
	ended = &endsAfter{Context: ctx, calls: 3}
	_, err = c.collectOverflow(ended, nil)
	require.ErrorIs(t, err, errEnded)
	_, _, err = Write(&endsAfter{Context: ctx, calls: 40}, []column.Table{g.Snapshot(0, math.MaxInt64)}, WriteOptions{ID: "b", Tenant: "t", To: 1}, memory{})
	require.ErrorIs(t, err, errEnded)
}

func resourceOf(t *testing.T, g *live.Segment) []byte {
	fs, err := column.Fragments(ctx, g.Snapshot(0, math.MaxInt64), []uint32{0}, nil)
	require.NoError(t, err)
	return fs[0].Resource
}

// endsAfter is a context that ends when it has been asked some times.
type endsAfter struct {
	context.Context
	calls, asked int
}

var errEnded = errors.New("asked often enough")

func (c *endsAfter) Err() error {
	if c.asked++; c.asked > c.calls {
		return errEnded
	}
	return nil
}
