package series

import (
	"math/rand/v2"
	"testing"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// The kernels, over pages of 8192 spans in the order of time, as blocks have them: per span.
func BenchmarkKernels(b *testing.B) {
	const rows, pages, step = 8192, 122, int64(15e9)
	r := rand.New(rand.NewPCG(1, 1))
	start := int64(1_700_000_000e9)
	starts := make([][]int64, pages)
	durations, floats, codes, codes2 := make([]int64, rows), make([]float64, rows), make([]uint32, rows),
		make([]uint32, rows)
	for i := range rows {
		durations[i] = int64(r.ExpFloat64() * 1e8)
		floats[i] = r.ExpFloat64()
		codes[i], codes2[i] = uint32(r.IntN(50)+1), uint32(r.IntN(8))
	}
	at := start
	for p := range starts {
		starts[p] = make([]int64, rows)
		for i := range starts[p] {
			at += r.Int64N(7e6)
			starts[p][i] = at + r.Int64N(1e9)
		}
	}
	w, err := NewWindow(start-start%step, at-at%step+2*step, step)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		f      Func
		labels int
		kind   byte
		n      int
	}{{"rate", Rate, 0, 0, 0}, {"rate-exemplars", Rate, 0, 0, 100}, {"rate-by-1", Rate, 1, 0, 0},
		{"rate-by-2", Rate, 2, 0, 0}, {"sum-by-1", Sum, 1, 'i', 0}, {"max-by-1", Max, 1, 'i', 0},
		{"sum-floats", Sum, 1, 'f', 0}, {"quantile-by-1", Quantile, 1, 'i', 0}} {
		b.Run(c.name, func(b *testing.B) {
			t := NewTally(Spec{Func: c.f, Window: w, Labels: []string{"x", "y"}[:c.labels], MaxExemplars: c.n,
				BinWidth: BinWidthFor(start, at, c.n)})
			for label := range c.labels {
				for i := range 64 {
					t.Groups.EncodeValue(label, Int(int64(i)))
				}
			}
			var in, ivs []uint32
			groups := make([]uint32, rows)
			columns := [][]uint32{codes, codes2}[:c.labels]
			b.ReportAllocs()
			p := 0
			for b.Loop() {
				in, ivs = w.LocateRows(starts[p], nil, in[:0], ivs[:0])
				var g []uint32
				if c.labels > 0 {
					g = groups[:len(in)]
					t.Groups.NumberRows(columns, g)
				}
				if c.n > 0 {
					_ = t.PickExemplars(starts[p], in, func(i int, p *ExemplarSpan) (bool, error) {
						p.Trace = trace.ID{byte(i), byte(i >> 8)}
						return true, nil
					}, func(p *ExemplarSpan) error { p.Labels = []Label{}; return nil })
				}
				switch c.kind {
				case 'i':
					t.AddInts(g, ivs, durations, nil)
				case 'f':
					t.AddFloats(g, ivs, floats, nil)
				default:
					t.CountSpans(g, ivs, nil)
				}
				p = (p + 1) % pages
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/span")
		})
	}
}
