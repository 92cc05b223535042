package block

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/test/kit/corpus"
	"github.com/troupe-tracing/troupe/test/kit/spans"
)

// Spans take fewer bytes in one block than in the eight that it was merged from, whatever system
// they are of.
func TestMergedIsSmaller(t *testing.T) {
	corpus.Run(t, func(t *testing.T, from corpus.Source) {
		for _, name := range from.Files(corpus.DemoApps, corpus.WebApp, corpus.Shell, corpus.Boutique) {
			t.Run(name, func(t *testing.T) {
				var cuts int64
				var tables []column.Table
				for _, part := range segments(t, spans.OfSystem(t, from, name), 8, live.Limits{}) {
					if part.Rows() == 0 { // fewer requests than blocks
						continue
					}
					b, _ := write(t, []column.Table{part}, WriteOptions{})
					cuts += b.meta.Bytes
					tables = append(tables, b.Reader().Tables()...)
				}
				b, _ := write(t, tables, WriteOptions{})
				n := float64(b.meta.Spans)
				t.Logf("%.0f spans: %.1f B/span in %d blocks, %.1f in one",
					n, float64(cuts)/n, len(tables), float64(b.meta.Bytes)/n)
				require.Less(t, b.meta.Bytes, cuts)
			})
		}
	})
}
