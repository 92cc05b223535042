package block

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/test/kit/spans"
)

// Rows read alone, in runs, over the border of pages, before and after others, are what a reader of
// whole pages makes of them.
func TestFragmentsOfFewRows(t *testing.T) {
	records, _ := spans.Typical(t, 20_000)
	b, _ := write(t, segments(t, records, 1, live.Limits{Seed: 1}), WriteOptions{})
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		few, whole := b.Reader().Tables()[0], column.NewReader(b.Reader().Tables()[0])
		n := few.Rows()
		require.Greater(t, n, 2*column.PageRows)
		for range 3 {
			from := []int{rng.IntN(n), column.PageRows - 1 - rng.IntN(20), 0, n - 1}[rng.IntN(4)]
			var rows []uint32
			for r := from; r < min(from+1+rng.IntN(40), n); r++ {
				if rng.IntN(4) > 0 || len(rows) == 0 {
					rows = append(rows, uint32(r))
				}
			}
			want, err := whole.Fragments(ctx, rows, nil)
			require.NoError(t, err)
			got, err := column.Fragments(ctx, few, rows, nil)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}
