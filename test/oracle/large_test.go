package oracle

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit/layout"
	"github.com/troupe-tracing/troupe/test/kit/random"
)

// Tables of several pages and row groups must be pruned and cut off at the limit without a change
// of the answer.
func TestLarge(t *testing.T) {
	r := rand.New(rand.NewPCG(*seed, 0))
	spans := random.Many(r, largeTraces)
	traces := assemble(spans)
	t.Logf("seed %d: %d spans of %d traces", *seed, len(spans), len(traces))
	var stores []*layout.Store
	layouts := []layout.Layout{layout.All[0], layout.Block(0), layout.Block(2000), layout.Random(r)}
	for _, l := range layouts {
		s, err := l.Build(spans)
		require.NoError(t, err)
		s.Confirm = 200
		stores = append(stores, s)
	}
	for i := 0; i < *pairs/100 && !t.Failed(); i++ {
		p := &pair{}
		p.ask(rand.New(rand.NewPCG(*seed, uint64(1+i))), 36e9)
		want := p.oracle(traces)
		for n, s := range stores {
			got, err := p.engine(s)
			require.NoError(t, err)
			if d := got.differs(want); d != "" {
				t.Errorf("seed %d, number %d, layout %s\n%s%.4000s", *seed, i, layouts[n].Name, p.request(), d)
			}
		}
	}
}
