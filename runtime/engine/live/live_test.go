package live

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/corpus"
	"github.com/troupe-tracing/troupe/test/kit/spans"
)

var ctx = context.Background()

// fragments returns the trace's fragments, read both ways, which must agree.
func fragments(t testing.TB, sn column.Table, plain *column.Reader, i int) []trace.Fragment {
	t.Helper()
	rows := sn.TraceRows(i, nil)
	require.True(t, slices.IsSorted(rows))
	direct, err := column.Fragments(ctx, sn, rows, nil)
	require.NoError(t, err)
	if plain != nil {
		paged, err := plain.Fragments(ctx, rows, nil)
		require.NoError(t, err)
		require.Equal(t, direct, paged)
	}
	return direct
}

func assembled(t testing.TB, records [][]byte) (*trace.Collector, []trace.ID) {
	var c trace.Collector
	for _, rec := range records {
		require.NoError(t, c.Add(rec))
	}
	return &c, c.IDs()
}

// What goes in comes out: without duplicates, a trace put together from the segment is byte for
// byte the one put together from the records.
func checkIdentity(t *testing.T, records [][]byte, limits Limits) {
	s := New(limits)
	for i, rec := range records {
		_, err := s.Append(int64(i), int64(i), rec)
		require.NoError(t, err)
	}
	sn := s.Snapshot(0, s.Next())
	want, idList := assembled(t, records)
	require.Equal(t, len(idList), sn.Traces())
	plain := column.NewReader(plainTable{sn})
	for n, id := range idList {
		i, ok, err := sn.Lookup(ctx, id)
		require.NoError(t, err)
		require.True(t, ok)
		p := plain
		if n%8 != 0 && len(idList) > 500 {
			p = nil // page by page takes long for traces that lie scattered
		}
		require.Equal(t, trace.Assemble(want.Fragments(id)), trace.Assemble(fragments(t, sn, p, i)))
	}
	checkColumns(t, sn)
}

func TestIdentity(t *testing.T) {
	for seed := range uint64(30) {
		g := &spans.Gen{Rand: rand.New(rand.NewPCG(seed, 1)), Traces: 5 + int(seed)*3, Keys: 3 + int(seed), Unique: true}
		var records [][]byte
		for range 6 {
			records = append(records, g.Record(40))
		}
		limits := Limits{Seed: seed}
		if seed%3 == 1 {
			limits.MaxColumns = 2 // nearly everything overflows
		}
		if seed%3 == 2 {
			limits.FirstColumns = 1 // what came first overflows
		}
		checkIdentity(t, records, limits)
	}
}

// Tables of several pages, with columns that turn from dictionary coded to plain on the way.
func TestIdentityOfManyPages(t *testing.T) {
	g := &spans.Gen{Rand: rand.New(rand.NewPCG(1, 2)), Traces: 900, Keys: 12, Unique: true}
	var records [][]byte
	for range 70 {
		records = append(records, g.Record(300))
	}
	checkIdentity(t, records, Limits{MaxColumns: 40})
}

func TestIdentityOfSystems(t *testing.T) {
	corpus.Run(t, func(t *testing.T, from corpus.Source) {
		for _, name := range from.Files(corpus.DemoApps, corpus.WebApp, corpus.Shell) {
			t.Run(name, func(t *testing.T) { checkIdentity(t, spans.OfSystem(t, from, name), Limits{}) })
		}
	})
}

// overflowing adds the rows that have an attribute in an overflow column: the first rows of a
// segment may lack columns that later ones have.
func overflowing(t *testing.T, sn *Snapshot, in, k column.Key, rows map[int]bool) {
	var v column.Vector
	for p := range column.Pages(sn.Rows()) {
		_, err := sn.Vector(ctx, in, p, &v)
		require.NoError(t, err)
		for i := range v.N {
			for rest := []byte(v.Text(i)); len(rest) > 0; {
				var a trace.Attribute
				rest, _, err = column.NextKeyValue(rest, &a)
				require.NoError(t, err)
				if string(a.Key) == k.Name && column.TypeOf(a.Value.Type) == k.Type {
					rows[p*column.PageRows+rowOf(&v, i)] = true
				}
			}
		}
	}
}

// Every column says what the spans say: resource and scope columns, presence, and lists of keys.
func checkColumns(t *testing.T, sn *Snapshot) {
	t.Helper()
	require.True(t, slices.IsSortedFunc(sn.Keys(), column.Key.Compare))
	all := make([]uint32, sn.Rows())
	for i := range all {
		all[i] = uint32(i)
	}
	frags, err := column.Fragments(ctx, sn, all, nil)
	require.NoError(t, err)
	count := map[column.Key]int{} // values by column, as the spans have them
	for i := range frags {
		seen := map[column.Key]bool{}
		list, err := trace.ResourceAttributes(frags[i].Resource, nil)
		require.NoError(t, err)
		for _, a := range list {
			seen[column.Key{Scope: column.Resource, Name: string(a.Key), Type: column.TypeOf(a.Value.Type)}] = true
		}
		scope, err := trace.ReadScope(frags[i].Scope, nil)
		require.NoError(t, err)
		for _, a := range scope.Attributes {
			seen[column.Key{Scope: column.Instrumentation, Name: string(a.Key), Type: column.TypeOf(a.Value.Type)}] = true
		}
		seen[column.ScopeName], seen[column.ScopeVersion] = len(scope.Name) > 0, len(scope.Version) > 0
		for k, has := range seen {
			if has {
				count[k]++
			}
		}
	}
	var v column.Vector
	for _, k := range sn.Keys() {
		n := 0
		have := map[int]bool{} // rows
		for p := range column.Pages(sn.Rows()) {
			ok, err := sn.Vector(ctx, k, p, &v)
			require.NoError(t, err)
			require.True(t, ok, k)
			for i := range v.N {
				have[p*column.PageRows+rowOf(&v, i)] = true
			}
			require.Equal(t, min(column.PageRows, sn.Rows()-p*column.PageRows), v.Rows)
			if v.Present == nil {
				require.Equal(t, v.Rows, v.N)
			} else {
				require.Equal(t, v.N, v.Present.Count())
			}
			require.Equal(t, v.N, max(len(v.Codes), len(v.Strings), len(v.Ints), len(v.Floats)), k)
			for i := range v.N {
				if k.Scope != column.Resource || k.Type != column.String {
					break
				}
				row := p*column.PageRows + rowOf(&v, i)
				list, _ := trace.ResourceAttributes(frags[row].Resource, nil)
				at := slices.IndexFunc(list, func(a trace.Attribute) bool { return string(a.Key) == k.Name && a.Value.Type == trace.String })
				require.Equal(t, string(list[at].Value.Bytes), v.Text(i))
			}
			n += v.N
		}
		switch {
		case k.Scope == column.Resource:
			overflowing(t, sn, column.ResourceOverflow, k, have)
			require.Len(t, have, count[k], k)
		case k.Scope == column.Instrumentation:
			overflowing(t, sn, column.ScopeOverflow, k, have)
			require.Len(t, have, count[k], k)
		case k == column.ScopeName || k == column.ScopeVersion:
			require.Equal(t, count[k], n, k)
		}
	}
	ok, err := sn.Vector(ctx, column.Key{Scope: column.Span, Name: "no such key"}, 0, &v)
	require.NoError(t, err)
	require.False(t, ok)
	require.Zero(t, v.N)
}

// rowOf returns the row of dense value i.
func rowOf(v *column.Vector, i int) int {
	if v.Present == nil {
		return i
	}
	row := v.Present.Next(0)
	for range i {
		row = v.Present.Next(row + 1)
	}
	return row
}

type content3 struct{ resource, scope, span string }

func contentOf(fs []trace.Fragment) map[content3]int {
	m := map[content3]int{}
	for _, f := range fs {
		m[content3{string(f.Resource), string(f.Scope), string(f.Span)}]++
	}
	return m
}

// A span that comes again is kept once; another span with the same ids is kept too, however often
// that happens.
func TestDuplicates(t *testing.T) {
	for seed := range uint64(30) {
		g := &spans.Gen{Rand: rand.New(rand.NewPCG(seed, 3)), Traces: 2, Spans: 1 + int(seed)%4, Keys: 5}
		s := New(Limits{Seed: seed})
		var c trace.Collector
		sum := 0
		for i := range 5 {
			rec := g.Record(40)
			require.NoError(t, c.Add(rec))
			n, err := s.Append(int64(i*10), 0, rec)
			require.NoError(t, err)
			sum += n
		}
		require.Equal(t, g.Sent(), sum)
		sn := s.Snapshot(0, s.Next())
		rows := 0
		for _, id := range c.IDs() {
			i, ok, err := sn.Lookup(ctx, id)
			require.NoError(t, err)
			require.True(t, ok)
			got := contentOf(fragments(t, sn, nil, i))
			want := contentOf(c.Fragments(id))
			require.Equal(t, len(want), len(got))
			for k, n := range got {
				require.Equal(t, 1, n)
				require.Contains(t, want, k)
			}
			rows += len(got)
		}
		require.Equal(t, rows, s.Rows())
		require.Equal(t, int64(sum-rows), s.Duplicates())
	}
}

// A snapshot holds exactly the records of its range, with rows and traces counted from 0.
func TestSnapshotRanges(t *testing.T) {
	g := &spans.Gen{Rand: rand.New(rand.NewPCG(7, 4)), Traces: 40, Keys: 6, Unique: true}
	var records [][]byte
	s := New(Limits{})
	for i := range 12 {
		records = append(records, g.Record(30))
		_, err := s.Append(int64(100+i*5), int64(1000-i), records[i]) // offsets between belong to other tenants
		require.NoError(t, err)
	}
	require.Equal(t, int64(100), s.From())
	require.Equal(t, int64(156), s.Next())
	for from := int64(95); from < 165; from += 3 {
		for upTo := int64(95); upTo < 165; upTo += 4 {
			sn := s.Snapshot(from, upTo)
			var in [][]byte
			for i := range records {
				if off := int64(100 + i*5); from <= off && off < upTo {
					in = append(in, records[i])
				}
			}
			require.Equal(t, len(in), sn.Records())
			c, idList := assembled(t, in)
			require.Equal(t, len(idList), sn.Traces())
			plain := column.NewReader(plainTable{sn})
			spans := 0
			for _, id := range idList {
				i, ok, err := sn.Lookup(ctx, id)
				require.NoError(t, err)
				require.True(t, ok)
				got, err := sn.TraceID(ctx, i)
				require.NoError(t, err)
				require.Equal(t, id, got)
				info, err := sn.Trace(ctx, i)
				require.NoError(t, err)
				require.Equal(t, infoOf(t, id, c.Fragments(id)), info)
				fs := fragments(t, sn, plain, i)
				require.Equal(t, trace.Assemble(c.Fragments(id)), trace.Assemble(fs))
				spans += len(fs)
			}
			require.Equal(t, spans, sn.Rows())
			var v column.Vector
			for p := range column.Pages(sn.Rows()) {
				_, err := sn.Vector(ctx, column.Record, p, &v)
				require.NoError(t, err)
				for _, off := range v.Ints {
					require.True(t, from <= off && off < upTo)
				}
				_, err = sn.Vector(ctx, column.TraceRow, p, &v)
				require.NoError(t, err)
				for i, n := range v.Ints {
					require.Contains(t, sn.TraceRows(int(n), nil), uint32(p*column.PageRows+i))
				}
			}
			if ev := sn.Events(); ev != nil {
				_, err := ev.Vector(ctx, column.RowRef, 0, &v)
				require.NoError(t, err)
				for _, r := range v.Ints {
					require.True(t, r >= 0 && int(r) < sn.Rows())
				}
			}
		}
	}
	first, last := s.Snapshot(0, 1000).Arrivals()
	require.Equal(t, []int64{989, 1000}, []int64{first, last})
}

// infoOf works out a TraceInfo from fragments in order of arrival.
func infoOf(t *testing.T, id trace.ID, fs []trace.Fragment) column.TraceInfo {
	info := column.TraceInfo{ID: id, Start: ^uint64(0), Spans: len(fs)}
	type place struct {
		start uint64
		id    trace.SpanID
		f     *trace.Fragment
	}
	var root *place
	for _, f := range fs {
		var r trace.Reader
		otlp := trace.Assemble([]trace.Fragment{f})
		require.NoError(t, r.Walk(otlp, spanFunc(func(s *trace.Span) {
			info.Start, info.End = min(info.Start, s.StartUnixNano), max(info.End, s.StartUnixNano, s.EndUnixNano)
			if s.HasParent {
				return
			}
			at := &place{s.StartUnixNano, s.SpanID, &f}
			if root != nil && cmp.Or(cmp.Compare(at.start, root.start), bytes.Compare(at.id[:], root.id[:]), at.f.Compare(root.f)) < 0 {
				return
			}
			root = at
			info.HasRoot, info.RootName, info.RootService = true, string(s.Name), ""
			list, err := trace.ResourceAttributes(f.Resource, nil)
			require.NoError(t, err)
			for _, a := range list {
				if string(a.Key) == "service.name" && a.Value.Type == trace.String {
					info.RootService = string(a.Value.Bytes)
					break
				}
			}
		})))
	}
	return info
}

type spanFunc func(*trace.Span)

func (spanFunc) Resource([]byte) error      { return nil }
func (spanFunc) Scope([]byte) error         { return nil }
func (f spanFunc) Span(s *trace.Span) error { f(s); return nil }

// A record that cannot be appended leaves nothing behind: not for readers, and not for what is
// appended after it.
func TestAppendIsAllOrNothing(t *testing.T) {
	for seed := range uint64(20) {
		g := &spans.Gen{Rand: rand.New(rand.NewPCG(seed, 5)), Traces: 10, Keys: 8, Spans: 3}
		s, clean := New(Limits{Seed: seed}), New(Limits{Seed: seed})
		for i := range 25 {
			rec := g.Record(60)
			if i%2 == 0 {
				bad := append(bytes.Clone(rec), 0x0a, 0x05, 0x12, 0x03, 0x12, 0x01, 0x0f) // a span cut off at the end
				held := s.Snapshot(0, s.Next())
				rows, traces := s.Rows(), s.Traces()
				_, err := s.Append(int64(i), 0, bad)
				require.ErrorIs(t, err, trace.ErrMalformed)
				require.Equal(t, []int{rows, traces}, []int{s.Rows(), s.Traces()})
				require.Equal(t, clean.Next(), s.Next())
				same(t, held, clean.Snapshot(0, clean.Next()))
			}
			if i%3 == 0 {
				continue // what failed may never come again
			}
			n, err := s.Append(int64(i), 0, rec)
			require.NoError(t, err)
			m, err := clean.Append(int64(i), 0, rec)
			require.NoError(t, err)
			require.Equal(t, m, n)
			require.Equal(t, clean.Rows(), s.Rows())
		}
		same(t, s.Snapshot(0, s.Next()), clean.Snapshot(0, clean.Next()))
	}
}

// same checks that two snapshots hold the same spans in the same order.
func same(t *testing.T, a, b *Snapshot) {
	t.Helper()
	require.Equal(t, b.Rows(), a.Rows())
	require.Equal(t, b.Traces(), a.Traces())
	all := make([]uint32, a.Rows())
	for i := range all {
		all[i] = uint32(i)
	}
	x, err := column.Fragments(ctx, a, all, nil)
	require.NoError(t, err)
	y, err := column.Fragments(ctx, b, all, nil)
	require.NoError(t, err)
	require.Equal(t, y, x)
	z, err := column.Fragments(ctx, plainTable{a}, all, nil)
	require.NoError(t, err)
	require.Equal(t, y, z)
}

func TestLimits(t *testing.T) {
	g := &spans.Gen{Rand: rand.New(rand.NewPCG(1, 6)), Traces: 10, Keys: 100, Unique: true}
	s := New(Limits{MaxRows: 50, MaxColumns: 3})
	_, err := s.Append(4, 0, g.Record(20))
	require.NoError(t, err)
	_, err = s.Append(4, 0, g.Record(1))
	require.ErrorIs(t, err, ErrOrder)
	rows := s.Rows()
	_, err = s.Append(5, 0, g.Record(100))
	require.ErrorIs(t, err, ErrFull)
	require.Equal(t, rows, s.Rows())
	require.LessOrEqual(t, len(s.Snapshot(0, 9).ShapeKeys()), 3)
	s.Seal()
	_, err = s.Append(6, 0, nil)
	require.ErrorIs(t, err, ErrSealed)
	require.True(t, s.Sealed())
	checkColumnsOfSealed(t, s)
}

func checkColumnsOfSealed(t *testing.T, s *Segment) {
	sn := s.Snapshot(0, s.Next())
	var v column.Vector
	for _, k := range sn.Keys() {
		_, err := sn.Vector(ctx, k, 0, &v)
		require.NoError(t, err)
	}
}

// Readers of a snapshot and the writer do not touch the same memory: run with -race.
func TestReadWhileAppending(t *testing.T) {
	g := &spans.Gen{Rand: rand.New(rand.NewPCG(9, 7)), Traces: 60, Keys: 20}
	s := New(Limits{MaxColumns: 60})
	work := make(chan *Snapshot, 4)
	done := make(chan error)
	for range 2 {
		go func() {
			var first error
			for sn := range work {
				if err := readAll(sn); err != nil && first == nil {
					first = err
				}
			}
			done <- first
		}()
	}
	for i := range 120 {
		rec := g.Record(60)
		if i%9 == 4 {
			_, err := s.Append(int64(i), 0, append(bytes.Clone(rec), 0x0a, 0x7f))
			require.Error(t, err)
		}
		_, err := s.Append(int64(i), 0, rec)
		require.NoError(t, err)
		sn := s.Snapshot(int64(max(0, i-40+i%60)), int64(i+1))
		other := sn.Clone()
		select {
		case work <- sn:
			select {
			case work <- other:
			default:
			}
		default:
		}
	}
	close(work)
	require.NoError(t, <-done)
	require.NoError(t, <-done)
}

func readAll(sn *Snapshot) error {
	var v column.Vector
	tables := []column.Columns{sn}
	if e := sn.Events(); e != nil {
		tables = append(tables, e)
	}
	if l := sn.Links(); l != nil {
		tables = append(tables, l)
	}
	for _, c := range tables {
		for _, k := range c.Keys() {
			for p := range column.Pages(c.Rows()) {
				if _, err := c.Vector(ctx, k, p, &v); err != nil {
					return err
				}
				for i := range v.N {
					if len(v.Codes)+len(v.Strings) > 0 && len(v.Text(i)) > 1<<20 {
						return errors.New("a long string")
					}
				}
			}
		}
	}
	n := 0
	for i := range sn.Traces() {
		rows := sn.TraceRows(i, nil)
		fs, err := column.Fragments(ctx, sn, rows, nil)
		if err != nil {
			return err
		}
		info, err := sn.Trace(ctx, i)
		if err != nil {
			return err
		}
		if j, ok, _ := sn.Lookup(ctx, info.ID); !ok || j != i || info.Spans != len(fs) {
			return fmt.Errorf("trace %d of %d is not itself", i, sn.Traces())
		}
		n += len(fs)
	}
	if n != sn.Rows() {
		return fmt.Errorf("traces have %d rows of %d", n, sn.Rows())
	}
	return nil
}

// Bytes follows what is allocated, and a sealed segment takes less.
func TestBytesFollowMemory(t *testing.T) {
	s := New(Limits{})
	empty := s.Bytes()
	g := &spans.Gen{Rand: rand.New(rand.NewPCG(2, 8)), Traces: 60, Keys: 20, Unique: true}
	for i := range 20 {
		_, err := s.Append(int64(i), 0, g.Record(100))
		require.NoError(t, err)
	}
	full := s.Bytes()
	require.Greater(t, full, empty+int64(s.Rows())*50)
	s.Seal()
	require.Less(t, s.Bytes(), full)
}

func FuzzAppend(f *testing.F) {
	g := &spans.Gen{Rand: rand.New(rand.NewPCG(3, 9)), Traces: 3, Keys: 4, Spans: 2}
	for range 5 {
		f.Add(g.Record(5), g.Record(5))
	}
	f.Add([]byte{}, []byte{0x0a, 0x00})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		s := New(Limits{MaxColumns: 8})
		var c trace.Collector
		for i, rec := range [][]byte{a, b, a} {
			if _, err := s.Append(int64(i), 0, rec); err != nil {
				continue
			}
			require.NoError(t, c.Add(rec))
		}
		sn := s.Snapshot(0, s.Next())
		plain := column.NewReader(plainTable{sn})
		require.Equal(t, len(c.IDs()), sn.Traces())
		for _, id := range c.IDs() {
			i, ok, err := sn.Lookup(ctx, id)
			require.NoError(t, err)
			require.True(t, ok)
			got, want := contentOf(fragments(t, sn, plain, i)), contentOf(c.Fragments(id))
			require.Equal(t, len(want), len(got))
			for k := range got {
				require.Contains(t, want, k)
			}
		}
	})
}

// Strings come out of a column as they went in, while its dictionary lasts and after.
func TestTextTurnsPlain(t *testing.T) {
	var m memory
	m.hash, m.arena = newHasher(1), &arena{}
	var s stringColumn
	var w stringWriter
	var want []string
	for i := range 30000 {
		v := fmt.Sprint(i % 50)
		if i > 9000 {
			v = fmt.Sprintf("unique-%d", i)
		}
		want = append(want, v)
		w.addString(&s, &m, []byte(v))
	}
	require.True(t, w.noDict)
	require.Equal(t, len(want), s.len())
	for i := range want {
		require.Equal(t, want[i], s.at(m.arena, i))
	}
	seen := map[string]bool{}
	for _, d := range s.dict {
		require.False(t, seen[d])
		seen[d] = true
	}
}

// A vec gives back what was added, in any mix of adding and truncating, and a view of it does not
// change.
func TestVec(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	var v vec[uint32]
	var mem int64
	want := []uint32{}
	for range 300 {
		view, seen := v, slices.Clone(want)
		for range r.IntN(700) {
			x := uint32(len(want))
			v.add(x, &mem)
			want = append(want, x)
		}
		if r.IntN(3) == 0 {
			n := len(seen) + r.IntN(len(want)-len(seen)+1)
			v.truncate(n)
			want = want[:n]
		}
		require.Equal(t, len(want), v.len())
		require.Equal(t, len(seen), view.len())
		from := r.IntN(len(seen) + 1)
		require.Equal(t, seen[from:], view.appendTo([]uint32{}, from, len(seen)))
		at := r.IntN(len(want) + 10)
		require.Equal(t, min(at, len(want)), searchRows(&v, uint32(at)))
	}
	v.truncate(0)
	require.Zero(t, v.len())
}

// plainTable hides what a Snapshot can do beyond column.Table.
type plainTable struct{ column.Table }

// What a snapshot says of itself without being read is true of what it holds.
func TestHints(t *testing.T) {
	for seed := range uint64(6) {
		g := spans.New(seed, 30, 12)
		s := New(Limits{MaxColumns: 20})
		for i := range 30 {
			_, err := s.Append(int64(i), 0, g.Record(400))
			require.NoError(t, err)
		}
		sn := s.Snapshot(7, 29)
		var h column.Hinter = sn
		var v column.Vector
		for page := range column.Pages(sn.Rows()) {
			for _, k := range sn.Keys() {
				_, err := sn.Vector(ctx, k, page, &v)
				require.NoError(t, err)
				if n, ok := h.Count(k, page); ok {
					require.Equal(t, v.N, n, k)
				}
				if lo, hi, ok := h.Bounds(k, page); ok {
					for _, n := range v.Ints {
						require.True(t, lo <= n && n <= hi, k)
					}
				}
				if dict, ok, err := h.Dict(ctx, k, page); ok {
					require.NoError(t, err)
					require.Equal(t, dict, v.Dict, k)
				}
				if k.Type == column.String {
					for i := range v.N {
						require.True(t, h.MayHave(k, v.Text(i)), k)
					}
				}
			}
		}
		require.False(t, h.MayHave(column.Name, "a name that was never sent") && func() bool { _, ok, _ := h.Dict(ctx, column.Name, 0); return ok }())
	}
}
