package block

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// plainSpans returns a record of n spans in traces of ten; attributes says which each has.
func plainSpans(first, n int, attributes func(i int) []trace.Attribute) []byte {
	var e trace.Encoder
	must(e.Resource([]byte{1<<3 | 2, 0}))
	must(e.Scope([]byte{1<<3 | 2, 0}))
	for i := range n {
		s := trace.Span{StartUnixNano: uint64(first + i), EndUnixNano: uint64(first + i + 5), Name: []byte("op"), Attributes: attributes(i)}
		binary.BigEndian.PutUint64(s.TraceID[:], uint64((first+i)/10)+1)
		binary.BigEndian.PutUint64(s.SpanID[:], uint64(first+i)+1)
		must(e.Span(&s))
	}
	return e.Bytes()
}

func attribute(key, value string) trace.Attribute {
	return trace.Attribute{Key: []byte(key), Value: trace.Value{Type: trace.String, Bytes: []byte(value)}}
}

// Columns are chosen from what a block holds: a merge gives a column to what has become frequent,
// and takes it from what has become rare. What is neither goes to the attributes table.
func TestPromotion(t *testing.T) {
	rare, old := column.Key{Scope: column.Span, Name: "rare"}, column.Key{Scope: column.Span, Name: "old"}
	many := plainSpans(0, 3000, func(i int) []trace.Attribute {
		list := []trace.Attribute{attribute("common", fmt.Sprint(i%7))}
		if i == 77 || i == 78 {
			list = append(list, attribute("rare", "first"), attribute("common", "again"))
		}
		return list
	})
	few := plainSpans(5000, 60, func(i int) []trace.Attribute { return []trace.Attribute{attribute("rare", fmt.Sprint(i))} })
	one := plainSpans(9000, 1, func(i int) []trace.Attribute { return []trace.Attribute{attribute("old", "x")} })

	var all []column.Table
	for _, c := range []struct {
		record    []byte
		rare, old bool // have columns
	}{{many, true, false}, {few, true, false}, {one, false, false}} {
		b, _ := write(t, segments(t, [][]byte{c.record}, 1, live.Limits{}), WriteOptions{})
		require.Equal(t, c.rare, slices.Contains(b.spans.keys, rare))
		require.Equal(t, c.old, slices.Contains(b.spans.keys, old))
		checkSpans(t, b, [][]byte{c.record})
		all = append(all, b.Reader().Tables()...)
	}
	b, _ := write(t, all, WriteOptions{RowGroupRows: 500})
	require.Contains(t, b.spans.keys, rare)
	require.NotContains(t, b.spans.keys, old)
	listed, _ := b.Reader().Tables()[0].(column.Directory).OverflowKeys(column.Span)
	require.ElementsMatch(t, []column.Key{old, {Scope: column.Span, Name: "common"}}, listed)
	checkSpans(t, b, [][]byte{many, few, one})
	var n int
	for _, c := range values(t, b.Reader().Tables(), rare) {
		if c.text == "first" {
			n++
		}
	}
	require.Equal(t, 2, n)
}

// countColumns returns how many attributes of spans have columns of their own.
func countColumns(b *Block) (n int) {
	for i := range b.spans.columns {
		if b.spans.columns[i].key.Scope == column.Span {
			n++
		}
	}
	return n
}

// At most 512 attributes get columns, the most frequent; the others are in the attributes table,
// and those that hardly any span has in the overflow.
func TestManyKeys(t *testing.T) {
	for _, c := range []struct{ each, columns, sparse, overflow int }{
		{6, 1, 900, 2},    // one span in 150 has each key
		{24, 512, 389, 2}, // one in 37
	} {
		var records [][]byte
		for part := range 3 {
			records = append(records, plainSpans(part*1000, 1000, func(i int) []trace.Attribute {
				list := []trace.Attribute{attribute("every", "x")}
				for k := range c.each {
					list = append(list, attribute(fmt.Sprintf("key.%d", (i*c.each+k)%900), fmt.Sprint(k)))
				}
				if part == 1 && i%600 == 99 {
					list = append(list, attribute(fmt.Sprintf("once.%d", i), "y"))
				}
				return list
			}))
		}
		for _, tables := range [][]column.Table{segments(t, records, 1, live.Limits{}), segments(t, records, 3, live.Limits{MaxColumns: 300})} {
			b, m := write(t, tables, WriteOptions{RowGroupRows: 700})
			require.Equal(t, c.columns, countColumns(b))
			require.Equal(t, c.sparse, len(b.sparse.keys))
			require.Equal(t, c.columns+c.sparse, len(b.spans.shapeKeys))
			require.Equal(t, c.overflow, len(b.overflow[column.Span]))
			require.True(t, slices.Contains(b.spans.shapeKeys, column.Key{Scope: column.Span, Name: "every"}))
			checkSpans(t, b, records)
			judge(t, b, m)
			again, _ := write(t, b.Reader().Tables(), WriteOptions{})
			checkSpans(t, again, records)
		}
	}
}
