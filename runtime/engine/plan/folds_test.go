package plan

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// foldsOf are the folds of a query of the last hour before end, over a block for each minute, which
// is cut into two parts.
func foldsOf(t *testing.T, end int64, print func(minute int64) uint64) (folds []Fold, rest []Scan) {
	query, err := traceql.Parse("{} | rate()")
	require.NoError(t, err)
	scan := jobs.Scan{Metrics: &eval.MetricsRequest{Query: query, Start: end - int64(time.Hour), End: end, Step: 15e9}}
	var list []Scan
	const minute = int64(time.Minute)
	for m := end / minute; m*minute > end-int64(time.Hour)-minute; m-- {
		b := &blocks.BlockMeta{Id: fmt.Sprintf("block of minute %d", m), Tenant: "t",
			MinStartUnixNano: uint64(m*minute + 1), MaxEndUnixNano: uint64((m + 1) * minute)}
		for part := 1; part >= 0; part-- {
			list = append(list, Scan{Block: &jobs.BlockScanJob{Block: b, Part: part, Parts: 2, Scan: scan, Key: "k",
				Print: print(m)}})
		}
	}
	return foldScans(list)
}

// Every scan is made once, in a fold or by itself. When time goes on, the folds of blocks that lie
// inside of the range stay the same, except for the last one of either end. Another print of a
// block makes the fold with it another one, and no other.
func TestFolds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	base := int64(1_700_000_040e9)
	none := func(int64) uint64 { return 0 }
	for range 100 {
		end := base + 15e9*r.Int64N(10_000)
		folds, rest := foldsOf(t, end, none)
		seen := map[string]bool{}
		take := func(s Scan) {
			name := fmt.Sprint(s.Block.Block.GetId(), s.Block.Part)
			require.False(t, seen[name])
			seen[name] = true
		}
		names := map[string]bool{}
		for _, f := range folds {
			require.GreaterOrEqual(t, len(f.Scans), 2)
			require.False(t, names[f.Name])
			names[f.Name] = true
			for _, s := range f.Scans {
				take(s)
			}
		}
		for _, s := range rest {
			take(s)
		}
		require.GreaterOrEqual(t, len(seen), 2*60)

		later, _ := foldsOf(t, end+15e9*(1+r.Int64N(8)), none)
		known := 0
		for _, f := range later {
			if names[f.Name] {
				known++
			}
		}
		require.GreaterOrEqual(t, known, len(later)-4)

		changed := folds[r.IntN(len(folds))].Scans[0].Block.Block.GetId()
		again, _ := foldsOf(t, end, func(m int64) uint64 {
			if fmt.Sprintf("block of minute %d", m) == changed {
				return 1
			}
			return 0
		})
		known = 0
		for _, f := range again {
			if names[f.Name] {
				known++
			}
		}
		require.Equal(t, len(folds)-1, known)
	}
}
