package block

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/test/kit/spans"
)

// A trace that is too large to be held whole loses the same duplicates as one that is not.
func TestDuplicatesOfLongTraces(t *testing.T) {
	dropped := 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 9))
		g := spans.New(seed, 1, 5)
		g.Spans = []int{0, 5, 200}[r.IntN(3)]
		var tables []column.Table
		again := g.Record(10)
		for range 1 + r.IntN(4) {
			seg := live.New(live.Limits{})
			for n := range int64(1 + r.IntN(4)) {
				_, err := seg.Append(n, 0, g.Record(20))
				require.NoError(t, err)
			}
			_, err := seg.Append(9, 0, again)
			require.NoError(t, err)
			seg.Seal()
			if s := seg.Snapshot(0, math.MaxInt64); s.Rows() > 0 {
				tables = append(tables, s)
			}
		}
		if len(tables) == 0 {
			continue
		}
		p, err := layOut(t.Context(), tables, 0)
		require.NoError(t, err)
		rows := make([]uint32, p.base[len(tables)])
		for i := range rows {
			rows[i] = uint32(i)
		}
		want, err := p.dropDuplicates(t.Context(), slices.Clone(rows))
		require.NoError(t, err)
		p.longTrace = 0
		got, err := p.dropDuplicates(t.Context(), slices.Clone(rows))
		require.NoError(t, err)
		require.Equal(t, contentsOf(t, p, want), contentsOf(t, p, got), "seed %d", seed)
		dropped += len(rows) - len(want)
	}
	require.NotZero(t, dropped)
}

// contentsOf lists what the rows hold, sorted.
func contentsOf(t *testing.T, p *layout, rows []uint32) (out []string) {
	require.NoError(t, p.eachTableOf(rows, func(n int, _, local []uint32) error {
		fs, err := column.Fragments(t.Context(), p.tables[n], local, nil)
		for _, f := range fs {
			out = append(out, fmt.Sprintf("%x %x %x", f.Span, f.Resource, f.Scope))
		}
		return err
	}))
	slices.Sort(out)
	return slices.Compact(append(out, fmt.Sprint(len(rows))))
}
