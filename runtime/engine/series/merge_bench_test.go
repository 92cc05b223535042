package series

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// keptParts are what a node keeps of one query: so many Tallies of row groups, which lie in either
// half of an hour and hold a few spans in each cell, of 60 groups and 244 intervals in all.
func keptParts(b *testing.B, f Func, n int) (w Window, out []*Packed) {
	const groups, spans, step = 60, 40_000, int64(15e9)
	start := int64(1_700_000_000e9) / step * step
	w, err := NewWindow(start, start+244*step, step)
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	in, ivs, values := make([]uint32, spans), make([]uint32, spans), make([]int64, spans)
	for i := range n {
		half := w
		half.low, half.intervals = w.low+int64(i%2)*122*step, 122
		half.start, half.end = half.low, half.low+122*step
		t := NewTally(Spec{Func: f, Name: "x", Window: half, Labels: []string{"route"}, InSeconds: true,
			Quantiles: []float64{.5, .99}})
		for k := range groups {
			t.Groups.GroupOf([]uint32{t.Groups.EncodeValue(0, String(fmt.Sprintf("/api/service-%d/v1/{id}", k)))})
		}
		for k := range in {
			in[k], ivs[k] = r.Uint32N(groups), r.Uint32N(122)
			values[k] = int64(20e6 * math.Exp(r.NormFloat64()*1.5))
		}
		if f.UsesValues() {
			t.AddInts(in, ivs, values, nil)
		} else {
			t.CountSpans(in, ivs, nil)
		}
		out = append(out, t.Pack())
	}
	return w, out
}

// Answering from what is kept: 126 parts become one Tally, and that 120 series.
func BenchmarkKeptParts(b *testing.B) {
	for _, c := range []struct {
		name string
		f    Func
	}{{"rate", Rate}, {"avg", Avg}, {"max", Max}, {"quantile", Quantile}} {
		w, parts := keptParts(b, c.f, 126)
		bytes := 0
		for _, p := range parts {
			bytes += p.Bytes()
		}
		var all *Tally
		b.Run(c.name+"/merge", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				all = parts[0].NewTally()
				for _, p := range parts {
					all.Merge(p)
				}
			}
			b.ReportMetric(float64(bytes)/float64(len(parts)), "kept-B/part")
		})
		b.Run(c.name+"/series", func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				s := all.MakeSeries(w)
				n = len(s.Series)
			}
			b.ReportMetric(float64(n), "series")
		})
	}
}

// Counting a row group and packing what was counted: 40,000 spans of 60 groups in 122 intervals.
func BenchmarkCountAndPack(b *testing.B) {
	for _, c := range []struct {
		name string
		f    Func
	}{{"rate", Rate}, {"avg", Avg}, {"quantile", Quantile}} {
		_, parts := keptParts(b, c.f, 1)
		in, ivs, values := make([]uint32, 40_000), make([]uint32, 40_000), make([]int64, 40_000)
		r := rand.New(rand.NewPCG(1, 1))
		for k := range in {
			in[k], ivs[k] = r.Uint32N(60), uint32(k*122/len(in))
			values[k] = int64(20e6 * math.Exp(r.NormFloat64()*1.5))
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				t := parts[0].NewTally()
				for k := range 60 {
					t.Groups.GroupOf([]uint32{t.Groups.EncodeValue(0, Int(int64(k)))})
				}
				for k := 0; k < len(in); k += 4000 {
					if c.f.UsesValues() {
						t.AddInts(in[k:k+4000], ivs[k:k+4000], values[k:k+4000], nil)
					} else {
						t.CountSpans(in[k:k+4000], ivs[k:k+4000], nil)
					}
				}
				t.Pack()
			}
		})
	}
}
