package block

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/corpus"
	"github.com/troupe-tracing/troupe/test/kit/spans"
)

var ctx = context.Background()

// memory keeps the objects of blocks.
type memory map[string][]byte

type object struct {
	bytes.Buffer
	name string
	m    memory
}

func (m memory) Create(name string) (io.WriteCloser, error) { return &object{name: name, m: m}, nil }

func (o *object) Close() error {
	o.m[o.name] = o.Bytes()
	return nil
}

func (m memory) ReadRange(_ context.Context, name string, off int64, buf []byte) error {
	b := m[name]
	if off < 0 || off+int64(len(buf)) > int64(len(b)) {
		return io.ErrUnexpectedEOF
	}
	copy(buf, b[off:])
	return nil
}

// segments puts records into segments, each record into one of them, and returns snapshots.
func segments(t testing.TB, records [][]byte, n int, limits live.Limits) []column.Table {
	list := make([]*live.Segment, n)
	for i := range list {
		list[i] = live.New(limits)
	}
	for i, rec := range records {
		_, err := list[i*n/len(records)].Append(int64(i), int64(i), rec)
		require.NoError(t, err)
	}
	var out []column.Table
	for _, s := range list {
		s.Seal()
		out = append(out, s.Snapshot(0, s.Next()))
	}
	return out
}

func write(t testing.TB, tables []column.Table, o WriteOptions) (*Block, memory) {
	t.Helper()
	m := memory{}
	o.ID, o.Tenant = "id", "tenant"
	meta, traces, err := Write(ctx, tables, o, m)
	require.NoError(t, err)
	require.Equal(t, meta.Traces, len(traces))
	size := 0
	for name := range m {
		require.Contains(t, PartNames(), name)
		size += len(m[name])
	}
	require.Equal(t, int64(size), meta.Bytes)
	b, err := Open(ctx, m, meta)
	require.NoError(t, err)
	return b, m
}

// checkSpans: what went in comes out: each trace, put together from the block, is byte for byte the
// one put together from homes, which hold the records.
func checkSpans(t *testing.T, b *Block, homes ...[][]byte) {
	t.Helper()
	var all []*trace.Collector
	ids := map[trace.ID]bool{}
	for _, records := range homes {
		c := &trace.Collector{}
		for _, rec := range records {
			require.NoError(t, c.Add(rec))
		}
		all = append(all, c)
		for _, id := range c.IDs() {
			ids[id] = true
		}
	}
	require.Equal(t, len(ids), b.Meta().Traces)
	r := b.Reader()
	for _, tab := range r.Tables() {
		for i := range tab.Traces() {
			id, err := tab.TraceID(ctx, i)
			require.NoError(t, err)
			var want [][]trace.Fragment
			for _, c := range all {
				want = append(want, c.Fragments(id))
			}
			require.True(t, b.MayHold(id))
			found, n, ok, err := r.Find(ctx, id)
			require.NoError(t, err)
			require.True(t, ok && found == tab && n == i)
			fs, err := column.Fragments(ctx, tab, tab.TraceRows(i, nil), nil)
			require.NoError(t, err)
			require.True(t, bytes.Equal(trace.Assemble(want...), trace.Assemble(fs)), "trace %s", id)
			delete(ids, id)
		}
	}
	require.Empty(t, ids)
	_, _, ok, err := r.Find(ctx, trace.ID{1, 2, 3})
	require.NoError(t, err)
	require.False(t, ok)
}

func TestIdentity(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			g := spans.New(seed, 5+int(seed)*3, 3+int(seed))
			g.Unique = true
			var records [][]byte
			for range 6 {
				records = append(records, g.Record(40))
			}
			limits := live.Limits{Seed: seed}
			if seed%3 == 1 {
				limits.MaxColumns = 2 // nearly everything overflows
				limits.FirstColumns = 1
			}
			tables := segments(t, records, 1, limits)
			b, _ := write(t, tables, WriteOptions{RowGroupRows: []int{0, 1, 7, 64}[seed%4]})
			checkSpans(t, b, records)
			checkColumns(t, b, tables)
			if limits.MaxColumns == 0 { // else the input does not know its services
				checkTraces(t, b, tables[0])
			}
		})
	}
}

func TestIdentityOfSystems(t *testing.T) {
	corpus.Run(t, func(t *testing.T, from corpus.Source) {
		for _, name := range from.Files(corpus.DemoApps, corpus.WebApp, corpus.Shell) {
			t.Run(name, func(t *testing.T) {
				records := spans.OfSystem(t, from, name)
				tables := segments(t, records, 1, live.Limits{})
				b, _ := write(t, tables, WriteOptions{RowGroupRows: 10000})
				checkSpans(t, b, records)
				checkColumns(t, b, tables)
				t.Logf("%d spans, %d traces, %d columns, %.1f B/span", b.meta.Spans, b.meta.Traces, len(b.spans.keys),
					float64(b.meta.Bytes)/float64(b.meta.Spans))
			})
		}
	})
}

// cell is a value of a column, with the span it belongs to.
type cell struct {
	id    trace.ID
	span  string
	start int64
	text  string
}

// column values of all tables, sorted.
func values(t *testing.T, tables []column.Table, k column.Key) []cell {
	t.Helper()
	var out []cell
	var v, trs, span, start column.Vector
	for _, tab := range tables {
		for p := range column.Pages(tab.Rows()) {
			ok, err := tab.Vector(ctx, k, p, &v)
			require.NoError(t, err, k)
			require.Equal(t, min(column.PageRows, tab.Rows()-p*column.PageRows), v.Rows, k)
			if v.Present == nil {
				require.Equal(t, v.Rows, v.N)
			} else {
				require.Equal(t, v.N, v.Present.Count(), k)
			}
			if !ok {
				require.Zero(t, v.N)
				continue
			}
			if v.N == 0 {
				continue
			}
			for kk, vv := range map[column.Key]*column.Vector{column.TraceRow: &trs, column.SpanID: &span, column.Start: &start} {
				_, err = tab.Vector(ctx, kk, p, vv)
				require.NoError(t, err)
				require.Equal(t, vv.Rows, vv.N)
			}
			row := -1
			for i := range v.N {
				row++
				if v.Present != nil {
					row = v.Present.Next(row)
				}
				id, err := tab.TraceID(ctx, int(trs.Ints[row]))
				require.NoError(t, err)
				if o, ok := tab.(column.Ordered); ok {
					require.Equal(t, int(trs.Ints[row]), o.TraceOf(p*column.PageRows+row))
				}
				c := cell{id: id, span: span.Text(row), start: start.Ints[row]}
				switch k.Type {
				case column.Int, column.Bool:
					c.text = fmt.Sprint(v.Ints[i])
				case column.Float:
					c.text = fmt.Sprintf("%x", v.Floats[i])
				default:
					c.text = v.Text(i)
				}
				out = append(out, c)
			}
		}
	}
	slices.SortFunc(out, func(a, b cell) int {
		return cmp.Or(bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.span, b.span), cmp.Compare(a.start, b.start), cmp.Compare(a.text, b.text))
	})
	return out
}

// checkColumns: a column of the block has the values of the tables it was made of; what is in no
// column of the block is in its overflow.
func checkColumns(t *testing.T, b *Block, tables []column.Table) {
	t.Helper()
	got := b.Reader().Tables()
	inputs := map[column.Key]bool{}
	for _, tab := range tables {
		for _, k := range tab.Keys() {
			inputs[k] = true
		}
	}
	overflows := len(values(t, tables, column.Overflow)) > 0 || len(values(t, tables, column.ResourceOverflow)) > 0
	require.True(t, slices.IsSortedFunc(b.spans.keys, column.Key.Compare))
	for _, k := range b.spans.keys {
		switch k {
		case column.TraceRow, column.Shape, column.Group, column.Overflow, column.ResourceOverflow, column.ScopeOverflow:
			continue
		}
		if overflows && k.Scope != column.Intrinsic {
			continue // the inputs' columns hold part of it only
		}
		require.True(t, inputs[k], k)
		require.True(t, slices.Equal(values(t, tables, k), values(t, got, k)), k)
	}
	checkHints(t, got)
}

// Traces are described as the table they came from describes them, but for the choice among several
// roots.
func checkTraces(t *testing.T, b *Block, from column.Table) {
	t.Helper()
	last := uint64(0)
	for _, tab := range b.Reader().Tables() {
		for i := range tab.Traces() {
			got, err := tab.Trace(ctx, i)
			require.NoError(t, err)
			j, ok, err := from.Lookup(ctx, got.ID)
			require.NoError(t, err)
			require.True(t, ok)
			want, err := from.Trace(ctx, j)
			require.NoError(t, err)
			roots := 0
			rows := tab.TraceRows(i, nil)
			require.Len(t, rows, got.Spans)
			var v column.Vector
			for _, r := range rows {
				_, err := tab.Vector(ctx, column.ParentID, int(r)/column.PageRows, &v)
				require.NoError(t, err)
				if v.Present != nil && !v.Present.Get(int(r)%column.PageRows) {
					roots++
				}
			}
			require.Equal(t, roots > 0, got.HasRoot)
			if roots > 1 {
				want.RootName, want.RootService = got.RootName, got.RootService
			}
			require.Equal(t, want, got)
			require.GreaterOrEqual(t, got.Start, last)
			last = got.Start
		}
	}
}

// Several readers of one block do not disturb each other.
func TestReadersAtOnce(t *testing.T) {
	g := spans.New(1, 30, 10)
	g.Unique = true
	records := [][]byte{g.Record(100), g.Record(100)}
	b, _ := write(t, segments(t, records, 1, live.Limits{}), WriteOptions{RowGroupRows: 50})
	t.Run("at once", func(t *testing.T) {
		for i := range 4 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				checkSpans(t, b, records)
			})
		}
	})
}

// checkOverflow: what is in an overflow is listed, and encoded like any overflow.
func checkOverflow(t *testing.T, d column.Directory, c column.Columns, k column.Key, scope column.Scope) {
	t.Helper()
	var v column.Vector
	listed, ok := d.OverflowKeys(scope)
	require.True(t, ok)
	for p := range column.Pages(c.Rows()) {
		_, err := c.Vector(ctx, k, p, &v)
		require.NoError(t, err)
		for i := range v.N {
			var again []byte
			for rest := []byte(v.Text(i)); ; {
				var a trace.Attribute
				var ok bool
				rest, ok, err = column.NextKeyValue(rest, &a)
				require.NoError(t, err)
				if !ok {
					break
				}
				again = column.AppendKeyValue(again, &a)
				key := column.Key{Scope: scope, Name: string(a.Key), Type: column.TypeOf(a.Value.Type)}
				if !slices.Contains(listed, key) {
					t.Errorf("%v is in the overflow but not listed", key)
				}
			}
			require.Equal(t, string(again), v.Text(i))
		}
	}
}

// checkHints: hints say what the values say.
func checkHints(t *testing.T, tables []column.Table) {
	t.Helper()
	var v column.Vector
	for _, tab := range tables {
		d := tab.(column.Directory)
		checkOverflow(t, d, tab, column.Overflow, column.Span)
		checkOverflow(t, d, tab, column.ResourceOverflow, column.Resource)
		checkOverflow(t, d, tab, column.ScopeOverflow, column.Instrumentation)
		if e := tab.Events(); e != nil {
			checkOverflow(t, d, e, column.Overflow, column.Event)
		}
		if l := tab.Links(); l != nil {
			checkOverflow(t, d, l, column.Overflow, column.Link)
		}
		h := tab.(column.Hinter)
		sparseColumns := readSparse(t, tab)
		for _, k := range tab.Keys() {
			for p := range column.Pages(tab.Rows()) {
				_, err := tab.Vector(ctx, k, p, &v)
				require.NoError(t, err)
				if n, ok := h.Count(k, p); ok {
					require.Equal(t, v.N, n, k)
				}
				isSparse := sparseColumns[k]
				if lo, hi, ok := h.Bounds(k, p); ok && isSparse {
					require.True(t, v.N == 0 || lo <= slices.Min(v.Ints) && slices.Max(v.Ints) <= hi)
				} else if ok {
					require.Equal(t, [2]int64{slices.Min(v.Ints), slices.Max(v.Ints)}, [2]int64{lo, hi})
				}
				if k.Type == column.Int {
					siftsAsRead(t, tab, k, p, &v)
				}
				dict, ok, err := h.Dict(ctx, k, p)
				require.NoError(t, err)
				if ok && (v.N > 0 || !isSparse) {
					require.True(t, slices.Equal(v.Dict, dict))
				}
				for i := range min(v.N, 50) {
					if k.Type == column.String && !h.MayHave(k, v.Text(i)) {
						t.Errorf("column %v may not have %q", k, v.Text(i))
					}
				}
			}
		}
	}
}

// readSparse returns the columns that tab reads at once, which must be as its pages are.
func readSparse(t *testing.T, tab column.Columns) map[column.Key]bool {
	t.Helper()
	out := map[column.Key]bool{}
	var page column.Vector
	for _, k := range tab.Keys() {
		var rows []uint32
		var values []trace.Value
		ok, err := tab.(column.SparseReader).EachSparse(ctx, k, func(some []uint32, v *column.Vector) error {
			require.Equal(t, len(some), v.N)
			rows = append(rows, some...)
			for i := range v.N {
				value, ok := v.Value(k.Type, i)
				require.True(t, ok)
				value.Bytes = bytes.Clone(value.Bytes)
				values = append(values, value)
			}
			return nil
		})
		require.NoError(t, err)
		if !ok {
			continue
		}
		out[k] = true
		n := 0
		for p := range column.Pages(tab.Rows()) {
			_, err := tab.Vector(ctx, k, p, &page)
			require.NoError(t, err)
			ranks := column.Ranks(page.Present)
			for row := range page.Rows {
				i, has := ranks.At(row)
				if !has {
					continue
				}
				require.Equal(t, uint32(p*column.PageRows+row), rows[n])
				value, _ := page.Value(k.Type, i)
				value.Bytes = bytes.Clone(value.Bytes)
				require.Equal(t, value, values[n])
				n++
			}
		}
		require.Len(t, rows, n)
	}
	return out
}

// siftsAsRead checks that Sift finds what is in the page, for each number of some that occur and
// for none of them.
func siftsAsRead(t *testing.T, tab column.Columns, k column.Key, page int, v *column.Vector) {
	found := column.NewBitmap(v.Rows)
	for _, x := range append(slices.Clone(v.Ints[:min(v.N, 5)]), math.MinInt64) {
		for _, holds := range []func(int64) bool{func(n int64) bool { return n == x }, func(n int64) bool { return n != x }} {
			found.ClearAll()
			ok, err := tab.(column.Sifter).Sift(ctx, k, page, holds, found)
			require.NoError(t, err)
			if !ok {
				require.True(t, found.Empty())
				continue
			}
			ranks := column.Ranks(v.Present)
			for r := range v.Rows {
				i, has := ranks.At(r)
				require.Equal(t, has && holds(v.Ints[i]), found.Get(r), "%v %d", k, r)
			}
		}
	}
}

// fragments returns what a table holds of a trace.
func fragments(t *testing.T, tab column.Table, id trace.ID) []trace.Fragment {
	i, ok, err := tab.Lookup(ctx, id)
	require.NoError(t, err)
	if !ok {
		return nil
	}
	fs, err := column.Fragments(ctx, tab, tab.TraceRows(i, nil), nil)
	require.NoError(t, err)
	return fs
}

// Merging blocks and segments does not change what is put together from them, wherever a span came
// from and however often, and each span is in the block once.
func TestMerge(t *testing.T) {
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			g := spans.New(seed, 3+int(seed)*2, 3+int(seed))
			g.Spans = []int{0, 3, 40}[seed%3]
			r := rand.New(rand.NewPCG(seed, 9))
			var tables []column.Table
			var last [][]byte
			ids := map[trace.ID]bool{}
			for i := range 4 {
				var records [][]byte
				for range 3 {
					records = append(records, g.Record(30))
				}
				if i > 0 && r.IntN(2) == 0 {
					records = append(records, last[0]) // again
				}
				last = records
				limits := live.Limits{Seed: seed}
				if r.IntN(3) == 0 {
					limits.MaxColumns = 3
				}
				in := segments(t, records, 1, limits)
				if r.IntN(3) > 0 {
					b, _ := write(t, in, WriteOptions{RowGroupRows: r.IntN(60)})
					in = b.Reader().Tables()
				}
				tables = append(tables, in...)
				for _, tab := range in {
					for i := range tab.Traces() {
						id, err := tab.TraceID(ctx, i)
						require.NoError(t, err)
						ids[id] = true
					}
				}
			}
			b, _ := write(t, tables, WriteOptions{RowGroupRows: 100})
			require.Equal(t, len(ids), b.Meta().Traces)
			rd := b.Reader()
			rows := 0
			for id := range ids {
				var homes [][]trace.Fragment
				for _, tab := range tables {
					homes = append(homes, fragments(t, tab, id))
				}
				tab, i, ok, err := rd.Find(ctx, id)
				require.NoError(t, err)
				require.True(t, ok)
				fs := fragments(t, tab, id)
				require.True(t, bytes.Equal(trace.Assemble(homes...), trace.Assemble(fs)), "trace %s", id)
				require.Empty(t, trace.Duplicates(fs)[0])
				info, err := tab.Trace(ctx, i)
				require.NoError(t, err)
				require.Equal(t, len(fs), info.Spans)
				rows += len(fs)
			}
			require.Equal(t, b.Meta().Spans, rows)
			checkHints(t, rd.Tables())
		})
	}
}

// Resources that are all distinct end a row group before their dictionary grows without bound, and
// a trace is never cut.
func TestManyResources(t *testing.T) {
	var e trace.Encoder
	big := bytes.Repeat([]byte("r"), 64<<10)
	for i := range 620 {
		a := trace.AppendAttribute(nil, &trace.Attribute{Key: []byte("k"), Value: trace.Value{Type: trace.String, Bytes: append(fmt.Appendf(nil, "%d ", i), big...)}})
		res := append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(a))), a...)
		require.NoError(t, e.Resource(append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(res))), res...)))
		require.NoError(t, e.Scope([]byte{1<<3 | 2, 0}))
		require.NoError(t, e.Span(&trace.Span{TraceID: trace.ID{1, byte(i / 100)}, SpanID: trace.SpanID{1, byte(i / 256), byte(i)}, StartUnixNano: uint64(i)}))
	}
	records := [][]byte{e.Bytes()}
	b, _ := write(t, segments(t, records, 1, live.Limits{}), WriteOptions{})
	checkSpans(t, b, records)
	require.Len(t, b.RowGroups(), 2)
	require.Equal(t, 600, b.RowGroups()[0].Rows) // 32 MB are 512 of them
}
