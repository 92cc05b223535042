package live

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// A column of few values is read at once as it is read page by page, also of a snapshot that begins
// within the segment; one of many values is not.
func TestEachSparse(t *testing.T) {
	s := New(Limits{Seed: 1})
	for record := range 12 {
		var spans []*otlp.Span
		for i := range 1000 {
			n := record*1000 + i
			span := &otlp.Span{Trace: otlp.TraceID(uint64(n/10) + 1), ID: otlp.SpanID(uint64(n) + 1), Name: "op",
				Attrs: []otlp.Attr{{Key: "often", Value: "x"}}}
			if n%70 == 3 {
				span.Attrs = append(span.Attrs, otlp.Attr{Key: "seldom", Value: fmt.Sprint(n % 7)},
					otlp.Attr{Key: "number", Value: n}, otlp.Attr{Key: "ratio", Value: float64(n)})
			}
			spans = append(spans, span)
		}
		_, err := s.Append(int64(record), 0, otlp.Encode(spans...))
		require.NoError(t, err)
	}
	for _, from := range []int64{0, 3} {
		sn := s.Snapshot(from, 12)
		for _, k := range []column.Key{
			{Scope: column.Span, Name: "seldom"}, {Scope: column.Span, Name: "number", Type: column.Int},
			{Scope: column.Span, Name: "ratio", Type: column.Float},
		} {
			var rows, want []uint32
			var got, values []any
			ok, err := sn.EachSparse(t.Context(), k, func(part []uint32, v *column.Vector) error {
				rows = append(rows, part...)
				for i := range v.N {
					x, _ := v.Value(k.Type, i)
					got = append(got, fmt.Sprint(x))
				}
				return nil
			})
			require.NoError(t, err)
			require.True(t, ok)
			var v column.Vector
			for p := range column.Pages(sn.Rows()) {
				_, err := sn.Vector(t.Context(), k, p, &v)
				require.NoError(t, err)
				want = v.Present.AppendRows(want, uint32(p*column.PageRows))
				for i := range v.N {
					x, _ := v.Value(k.Type, i)
					values = append(values, fmt.Sprint(x))
				}
			}
			require.NotEmpty(t, want)
			require.Equal(t, want, rows)
			require.Equal(t, values, got)
		}
		ok, err := sn.EachSparse(t.Context(), column.Key{Scope: column.Span, Name: "often"}, nil)
		require.NoError(t, err)
		require.False(t, ok)
	}
}
