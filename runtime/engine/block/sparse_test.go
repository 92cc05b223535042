package block

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// seldomSpans returns a record of n spans, of which few have attributes of all types.
func seldomSpans(first, n int) []byte {
	value := func(key string, v trace.Value) trace.Attribute { return trace.Attribute{Key: []byte(key), Value: v} }
	return plainSpans(first, n, func(i int) []trace.Attribute {
		list := []trace.Attribute{attribute("often", fmt.Sprint(i%3))}
		if i%100 == 3 {
			list = append(list, attribute("seldom", fmt.Sprint(i%700)),
				value("seldom", trace.Value{Type: trace.Int, Num: uint64(i)}),
				value("seldom.code", trace.Value{Type: trace.Int, Num: uint64(200 + i%3)}),
				value("seldom.ratio", trace.Value{Type: trace.Float, Num: uint64(i) << 50}),
				value("seldom.flag", trace.Value{Type: trace.Bool, Num: uint64(i / 100 & 1)}),
				value("seldom.bytes", trace.Value{Type: trace.Bytes, Bytes: []byte{byte(i), 0xff, byte(i >> 8)}}),
				value("seldom.empty", trace.Value{}))
		}
		if i%400 == 7 { // the same key twice, a long text, what is not UTF-8
			list = append(list, attribute("seldom", "first"), attribute("seldom", "second"),
				attribute("long", strings.Repeat("x", 2000+i%300)), attribute("odd\xff", "\xfe"))
		}
		if i%90 == 8 {
			list = append(list, attribute("unique", fmt.Sprintf("value %d", first+i)))
		}
		return list
	})
}

// Attributes that few spans have come back, by span and as columns, whatever their type, and
// through merges, in which they change places with columns and the overflow.
func TestSparse(t *testing.T) {
	records := [][]byte{seldomSpans(0, 9000), seldomSpans(20_000, 9500), seldomSpans(40_000, 30)}
	whole, m := write(t, segments(t, records, 1, live.Limits{}), WriteOptions{RowGroupRows: 9100})
	require.Len(t, whole.groups, 3)
	require.Equal(t, 1, countColumns(whole))
	require.Equal(t, 10, len(whole.sparse.keys))
	judge(t, whole, m)
	var parts []column.Table
	for _, r := range records {
		b, _ := write(t, segments(t, [][]byte{r}, 1, live.Limits{MaxColumns: 5}), WriteOptions{})
		parts = append(parts, b.Reader().Tables()...)
	}
	merged, _ := write(t, parts, WriteOptions{RowGroupRows: 9100})
	for _, b := range []*Block{whole, merged} {
		_, err := b.Verify(ctx)
		require.NoError(t, err)
		checkSpans(t, b, records)
		checkHints(t, b.Reader().Tables())
	}
	want, got := whole.Reader().Tables(), merged.Reader().Tables()
	for _, k := range whole.spans.keys {
		require.True(t, slices.Equal(values(t, want, k), values(t, got, k)), k)
	}
}

// A page that has been decoded is kept; a reader that may keep no more reads it again.
func TestSparseForgotten(t *testing.T) {
	b, _ := write(t, segments(t, [][]byte{seldomSpans(0, 9000)}, 1, live.Limits{}), WriteOptions{})
	r := b.Reader()
	v := &r.tables[0].groupTable
	seldom := column.Key{Scope: column.Span, Name: "seldom"}
	before := values(t, r.Tables(), seldom)
	kept, reads := r.keptBytes, r.stats.Reads
	require.Equal(t, before, values(t, r.Tables(), seldom))
	require.Equal(t, reads, r.stats.Reads)
	n, ok := v.Count(seldom, 1)
	require.True(t, ok)
	require.Positive(t, n)
	v.forgetColumns(seldom)
	require.Less(t, r.keptBytes, kept)
	_, ok = v.Count(seldom, 1)
	require.False(t, ok)
	r.releasePages(nil)
	require.Equal(t, before, values(t, r.Tables(), seldom))
}

// Damage of the attributes table is found like that of any other object, and what contradicts the
// index is an error, not fewer values.
func TestSparseDamage(t *testing.T) {
	b, m := write(t, segments(t, [][]byte{seldomSpans(0, 1200)}, 1, live.Limits{}), WriteOptions{RowGroupRows: 700})
	want, err := everything(m, b.meta)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(7, 8))
	found := 0
	for range 200 {
		bad, what := maps.Clone(m), ""
		bad[AttributesObject], what = mutate(r, m[AttributesObject])
		got, err := everything(bad, b.meta)
		if err != nil {
			found++
			continue
		}
		require.True(t, want == got, what)
	}
	require.Greater(t, found, 100)

	for cause, change := range map[string]func(b *Block){
		"rows of an attribute":   func(b *Block) { b.groups[1].rows -= 100 },
		"values of an attribute": func(b *Block) { b.sparse.keys[0].Type = column.Int },
	} {
		damaged, err := Open(ctx, m, b.meta)
		require.NoError(t, err)
		change(damaged)
		err = nil
		var v column.Vector
		table := damaged.Reader().Tables()[1]
		for _, k := range b.sparse.keys {
			if _, e := table.Vector(ctx, k, 0, &v); e != nil {
				err = e
			}
		}
		require.ErrorIs(t, err, ErrCorrupt)
		require.ErrorContains(t, err, cause)
		require.ErrorContains(t, err, AttributesObject)
	}
}

// The index of sparse attributes must agree with the columns of their values.
func TestSparseIndex(t *testing.T) {
	b, m := write(t, segments(t, [][]byte{seldomSpans(0, 1200)}, 1, live.Limits{}), WriteOptions{})
	for what, change := range map[string]func(x *sparseIndex){
		"fewer":        func(x *sparseIndex) { x.counts[0]-- },
		"cut":          func(x *sparseIndex) { x.counts = x.counts[:len(x.counts)-1] },
		"other type":   func(x *sparseIndex) { x.counts[len(x.counts)-1]--; x.counts[0]++ },
		"more":         func(x *sparseIndex) { x.counts = append(x.counts, 0) },
		"also columns": func(x *sparseIndex) { x.keys[0] = column.Key{Scope: column.Span, Name: "often"} },
	} {
		o, err := Open(ctx, m, b.meta)
		require.NoError(t, err)
		require.True(t, o.sparseFits() || o.sparse.counts == nil)
		for g, first := range o.sparse.first {
			if first == nil {
				continue
			}
			for i := range o.sparse.keys {
				from, to := o.sparse.rowsOf(g, i)
				o.sparse.counts = binary.AppendUvarint(o.sparse.counts, uint64(to-from))
			}
		}
		change(&o.sparse)
		require.False(t, o.sparseFits(), what)
	}
}

// A block that was written as version 1 of the format says is read, by every way, and merged.
func TestVersion1(t *testing.T) {
	const dir = "testdata/version1/"
	m := memory{}
	for _, name := range []string{SpansObject, EventsObject, LinksObject} {
		data, err := os.ReadFile(dir + name)
		require.NoError(t, err)
		m[name] = data
	}
	raw, err := os.ReadFile(dir + MetaObject)
	require.NoError(t, err)
	var meta Meta
	require.NoError(t, json.Unmarshal(raw, &meta))
	require.Equal(t, 1, meta.Version)
	packed, err := os.ReadFile(dir + "records.zst")
	require.NoError(t, err)
	all, err := decoder.DecodeAll(packed, make([]byte, 0, 4<<20))
	require.NoError(t, err)
	var records [][]byte
	for c := (cursor{b: all}); len(c.b) > 0; {
		records = append(records, c.readBytes(c.readCount()))
	}

	old, err := Open(ctx, m, &meta)
	require.NoError(t, err)
	_, err = old.Verify(ctx)
	require.NoError(t, err)
	checkSpans(t, old, records)
	checkHints(t, old.Reader().Tables())
	judge(t, old, m)

	now, _ := write(t, segments(t, records, 1, live.Limits{}), WriteOptions{})
	merged, _ := write(t, old.Reader().Tables(), WriteOptions{})
	checkSpans(t, merged, records)
	require.Positive(t, len(merged.sparse.keys))
	for _, k := range now.spans.keys {
		want := values(t, now.Reader().Tables(), k)
		require.True(t, slices.Equal(want, values(t, merged.Reader().Tables(), k)), k)
		if slices.Contains(old.spans.keys, k) && k != column.Overflow && k != column.Shape {
			require.True(t, slices.Equal(want, values(t, old.Reader().Tables(), k)), k)
		}
	}
}
