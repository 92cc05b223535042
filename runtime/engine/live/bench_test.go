package live

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/test/kit/spans"
)

func benchAppend(b *testing.B, records [][]byte, spans int) {
	var last *Segment
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		last = New(Limits{Seed: 5})
		for i, rec := range records {
			if _, err := last.Append(int64(i), 0, rec); err != nil {
				b.Fatal(err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	n := float64(b.N) * float64(spans)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/span")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/span")
	b.ReportMetric(float64(last.Bytes())/float64(spans), "B/span")
	last.Seal()
	b.ReportMetric(float64(last.Bytes())/float64(spans), "sealed-B/span")
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(spans), "heap-B/span")
	runtime.KeepAlive(last)
	runtime.KeepAlive(records)
}

func BenchmarkAppend(b *testing.B) {
	records, n := spans.Typical(b, 100_000)
	benchAppend(b, records, n)
}

func BenchmarkAppendKeys(b *testing.B) {
	for _, keys := range []int{32, 2000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			records, n := spans.Wide(keys, 100_000)
			benchAppend(b, records, n)
		})
	}
}

// Every record comes twice.
func BenchmarkAppendDuplicates(b *testing.B) {
	records, n := spans.Typical(b, 50_000)
	benchAppend(b, append(records, records...), 2*n)
}

func filled(b testing.TB, n int) *Segment {
	records, _ := spans.Typical(b, n)
	s := New(Limits{Seed: 5})
	for i, rec := range records {
		if _, err := s.Append(int64(i), 0, rec); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func BenchmarkSnapshot(b *testing.B) {
	s := filled(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		s.Snapshot(0, s.Next())
	}
}

func BenchmarkVector(b *testing.B) {
	s := filled(b, 100_000)
	sn := s.Snapshot(0, s.Next())
	for _, k := range []column.Key{column.Start, column.SpanID, column.Kind, column.Name, column.Shape, column.ResourceRef,
		{Scope: column.Resource, Name: "service.name"}, {Scope: column.Span, Name: "http.route"},
		{Scope: column.Span, Name: "http.response.status_code", Type: column.Int}, {Scope: column.Span, Name: "messaging.message.id"}} {
		b.Run(k.Name, func(b *testing.B) {
			b.ReportAllocs()
			var v column.Vector
			for b.Loop() {
				for p := range column.Pages(sn.Rows()) {
					if ok, err := sn.Vector(ctx, k, p, &v); !ok || err != nil {
						b.Fatal(ok, err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(sn.Rows()), "ns/row")
		})
	}
}

// Finding a trace and reading it, with a new snapshot each time.
func BenchmarkTraceByID(b *testing.B) {
	s := filled(b, 200_000)
	id := s.traces.at(s.traces.len() / 2)
	b.ReportAllocs()
	for b.Loop() {
		sn := s.Snapshot(0, s.Next())
		i, ok, err := sn.Lookup(ctx, id)
		if !ok || err != nil {
			b.Fatal(ok, err)
		}
		fs, err := column.Fragments(ctx, sn, sn.TraceRows(i, nil), nil)
		if err != nil || len(fs) == 0 {
			b.Fatal(err)
		}
	}
}

// The same page by page, as from a block.
func BenchmarkFragmentsByPage(b *testing.B) {
	s := filled(b, 100_000)
	sn := s.Snapshot(0, s.Next())
	n := 0
	for b.Loop() {
		r := column.NewReader(plainTable{sn})
		n = 0
		for i := range sn.Traces() / 50 {
			rows := sn.TraceRows(i, nil)
			fs, err := r.Fragments(ctx, rows, nil)
			if err != nil {
				b.Fatal(err)
			}
			n += len(fs)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/span")
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	records, _ := spans.Typical(b, 20)
	for b.Loop() {
		s := New(Limits{})
		if _, err := s.Append(0, 0, records[0]); err != nil {
			b.Fatal(err)
		}
		s.Snapshot(0, 1)
	}
}
