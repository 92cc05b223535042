package block

import (
	"fmt"
	"testing"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/test/kit/spans"
)

// Spans with 8 attributes each of few or many keys, so that the number of values is the same: what
// has no column goes to the overflow. Beside the figures of each number of keys stands how often
// those of 32 they are.
func BenchmarkKeys(b *testing.B) {
	const n = 200_000
	first := map[string]float64{}
	measure := func(b *testing.B, keys int, name string, f func(), more func(b *testing.B)) {
		b.Run(fmt.Sprintf("%s/%d", name, keys), func(b *testing.B) {
			used, runs := int64(0), 0
			perSpan(b, n, func() {
				used -= cpu()
				f()
				used += cpu()
				runs++
			})
			each := float64(used) / float64(runs)
			if keys == 32 {
				first[name] = each
			}
			if first[name] > 0 {
				b.ReportMetric(each/first[name], "x-of-32")
			}
			if more != nil {
				more(b)
			}
		})
	}
	for _, keys := range []int{32, 2000, 10_000} {
		records, _ := spans.Wide(keys, n)
		tables := segments(b, records, 1, live.Limits{Seed: 1})
		var m *Meta
		measure(b, keys, "write", func() {
			var err error
			if m, _, err = Write(ctx, tables, WriteOptions{}, discard{}); err != nil {
				b.Fatal(err)
			}
		}, func(b *testing.B) { b.ReportMetric(float64(m.Bytes)/float64(m.Spans), "B/span") })
		bl, _ := write(b, tables, WriteOptions{})
		measure(b, keys, "merge", func() {
			if _, _, err := Write(ctx, bl.Reader().Tables(), WriteOptions{}, discard{}); err != nil {
				b.Fatal(err)
			}
		}, nil)
		measure(b, keys, "open", func() {
			if _, err := Open(ctx, bl.src, bl.meta); err != nil {
				b.Fatal(err)
			}
		}, func(b *testing.B) { b.ReportMetric(float64(bl.Memory())/n, "memoryB/span") })
		var v column.Vector
		measure(b, keys, "read-all", func() {
			for _, t := range bl.Reader().Tables() {
				for p := range column.Pages(t.Rows()) {
					for _, k := range t.Keys() {
						if _, err := t.Vector(ctx, k, p, &v); err != nil {
							b.Fatal(err)
						}
					}
				}
			}
		}, nil)
		if len(bl.overflow[column.Span]) == 0 {
			continue
		}
		measure(b, keys, "read-overflow", func() {
			for _, t := range bl.Reader().Tables() {
				for p := range column.Pages(t.Rows()) {
					if _, err := t.Vector(ctx, column.Overflow, p, &v); err != nil {
						b.Fatal(err)
					}
				}
			}
		}, nil)
	}
}
