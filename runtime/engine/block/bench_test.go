package block

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/spans"
)

// benchRecords returns the standard corpus: the file of tools/loadgen that TROUPE_CORPUS names, or
// records of its shape.
func benchRecords(b testing.TB, n int) [][]byte {
	records, _ := spans.Typical(b, n)
	return records
}

const benchSpans = 1_000_000

func benchTables(b testing.TB, n int) []column.Table {
	return segments(b, benchRecords(b, benchSpans), n, live.Limits{Seed: 1})
}

// cpu returns the processor time of the process, in ns: on a busy machine it says more than the
// clock.
func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func perSpan(b *testing.B, spans int, f func()) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	used := cpu()
	for b.Loop() {
		f()
		n++
	}
	used = cpu() - used
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n)/float64(spans), "ns/span")
	b.ReportMetric(float64(used)/float64(n)/float64(spans), "cpu-ns/span")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(n)/float64(spans), "allocs/span")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(n)/float64(spans), "allocB/span")
	b.ReportMetric(0, "ns/op")
}

// From four sealed segments of a quarter of the spans each.
func BenchmarkWrite(b *testing.B) {
	tables := benchTables(b, 4)
	var m *Meta
	perSpan(b, benchSpans, func() {
		var err error
		if m, _, err = Write(ctx, tables, WriteOptions{}, discard{}); err != nil {
			b.Fatal(err)
		}
	})
	b.ReportMetric(float64(m.Bytes)/float64(m.Spans), "B/span")
}

// Four blocks of a quarter of the spans each.
func BenchmarkMerge(b *testing.B) {
	var tables []column.Table
	var blocks []*Block
	for _, t := range benchTables(b, 4) {
		bl, _ := write(b, []column.Table{t}, WriteOptions{})
		blocks = append(blocks, bl)
	}
	perSpan(b, benchSpans, func() {
		tables = tables[:0]
		for _, bl := range blocks {
			tables = append(tables, bl.Reader().Tables()...)
		}
		if _, _, err := Write(ctx, tables, WriteOptions{}, discard{}); err != nil {
			b.Fatal(err)
		}
	})
}

// discard is a Sink that keeps nothing.
type discard struct{}

func (discard) Create(string) (io.WriteCloser, error) { return discard{}, nil }
func (discard) Write(b []byte) (int, error)           { return len(b), nil }
func (discard) Close() error                          { return nil }

func benchBlock(b testing.TB) *Block {
	bl, _ := write(b, benchTables(b, 4), WriteOptions{})
	return bl
}

var benchKeys = map[string]column.Key{
	"service":  {Scope: column.Resource, Name: "service.name"},
	"route":    {Scope: column.Span, Name: "http.route"},
	"path":     {Scope: column.Span, Name: "url.path"},
	"status":   {Scope: column.Span, Name: "http.response.status_code", Type: column.Int},
	"duration": column.Duration,
	"start":    column.Start,
	"name":     column.Name,
	"user":     {Scope: column.Span, Name: "enduser.id"},
}

// The columns as they are read: each query with a reader of its own, dictionaries and all.
func BenchmarkScan(b *testing.B) {
	bl := benchBlock(b)
	var v column.Vector
	equal := func(k column.Key, value string) int {
		n := 0
		for _, t := range bl.Reader().Tables() {
			h := t.(column.Hinter)
			if !h.MayHave(k, value) {
				continue
			}
			for p := range column.Pages(t.Rows()) {
				dict, ok, err := h.Dict(ctx, k, p)
				if err != nil {
					b.Fatal(err)
				}
				code := uint32(1 << 31)
				if ok {
					for i, s := range dict {
						if s == value {
							code = uint32(i)
						}
					}
					if code == 1<<31 {
						continue
					}
				}
				if _, err := t.Vector(ctx, k, p, &v); err != nil {
					b.Fatal(err)
				}
				if v.Dict != nil {
					for _, c := range v.Codes {
						if c == code {
							n++
						}
					}
				} else {
					for _, s := range v.Strings {
						if s == value {
							n++
						}
					}
				}
			}
		}
		return n
	}
	for _, q := range [][2]string{{"service", "checkout"}, {"route", "/api/cart/v1/{id}"}, {"name", "SELECT geo"}, {"user", "user-77"}, {"path", "/api/cart/v1/7"}, {"service", "absent"}, {"user", "absent"}} {
		b.Run("equal-"+q[0]+"="+q[1], func(b *testing.B) {
			perSpan(b, benchSpans, func() { equal(benchKeys[q[0]], q[1]) })
		})
	}
	for _, name := range []string{"duration", "start", "status"} {
		b.Run("range-"+name, func(b *testing.B) {
			perSpan(b, benchSpans, func() {
				n := 0
				for _, t := range bl.Reader().Tables() {
					for p := range column.Pages(t.Rows()) {
						if _, err := t.Vector(ctx, benchKeys[name], p, &v); err != nil {
							b.Fatal(err)
						}
						for _, x := range v.Ints {
							if uint64(x-1000) < 5_000_000 {
								n++
							}
						}
					}
				}
			})
		})
	}
	b.Run("count-by-service-second", func(b *testing.B) {
		var w column.Vector
		perSpan(b, benchSpans, func() {
			for _, t := range bl.Reader().Tables() {
				var list [1 << 16]int
				for p := range column.Pages(t.Rows()) {
					_, err := t.Vector(ctx, benchKeys["service"], p, &v)
					if err == nil {
						_, err = t.Vector(ctx, column.Start, p, &w)
					}
					if err != nil {
						b.Fatal(err)
					}
					for i, c := range v.Codes {
						list[uint16(uint64(w.Ints[i])/1e9*64+uint64(c))]++
					}
				}
			}
		})
	})
	b.Run("all-columns", func(b *testing.B) {
		perSpan(b, benchSpans, func() {
			for _, t := range bl.Reader().Tables() {
				for p := range column.Pages(t.Rows()) {
					for _, k := range t.Keys() {
						if _, err := t.Vector(ctx, k, p, &v); err != nil {
							b.Fatal(err)
						}
					}
				}
			}
		})
	})
}

// A trace with the index in memory and nothing else.
func BenchmarkTraceByID(b *testing.B) {
	bl := benchBlock(b)
	b.ReportAllocs()
	n := 0
	var st Stats
	for b.Loop() {
		r := bl.Reader()
		id := bl.traces.ids[n*7919%len(bl.traces.ids)]
		t, i, ok, err := r.Find(ctx, id)
		if !ok || err != nil {
			b.Fatal(err)
		}
		fs, err := column.Fragments(ctx, t, t.TraceRows(i, nil), nil)
		if err != nil {
			b.Fatal(err)
		}
		trace.Assemble(fs)
		st = r.Stats()
		n++
	}
	b.ReportMetric(float64(st.Reads), "reads")
	b.ReportMetric(float64(st.Bytes), "bytes")
}

func BenchmarkOpen(b *testing.B) {
	bl := benchBlock(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(ctx, bl.src, bl.meta); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(bl.Memory()), "memory")
	b.ReportMetric(float64(bl.meta.Index.Length), "index")
}

// What the columns of the corpus take.
func TestSizes(t *testing.T) {
	if os.Getenv("TROUPE_CORPUS") == "" {
		t.Skip("set TROUPE_CORPUS to a file of tools/loadgen")
	}
	bl := benchBlock(t)
	for _, d := range []*directory{&bl.spans, &bl.events, &bl.links} {
		for i := range d.columns {
			n, dict, raw := int64(0), 0, int64(0)
			for g := range d.columns[i].chunks {
				n += d.columns[i].chunks[g].storedBytes()
				dict += d.columns[i].chunks[g].dict
				raw += d.columns[i].chunks[g].rawBytes
			}
			t.Logf("%-40s %7.3f B/span, dictionaries %6.3f, raw %7.3f zip %v", d.object+" "+d.columns[i].name, float64(n)/benchSpans, float64(dict)/benchSpans, float64(raw)/benchSpans, d.columns[i].chunks[0].zipped)
		}
	}
	t.Logf("%v index %d", bl.meta.Objects, bl.meta.Index.Length)
}

// The same columns read by another reader, driven by pages and codes as ours is: what the file
// gives to anyone.
func BenchmarkScanByParquetGo(b *testing.B) {
	bl := benchBlock(b)
	data := bl.src.(memory)[SpansObject]
	for _, q := range [][2]string{{"resource.service.name", "checkout"}, {"span.http.route", "/api/cart/v1/{id}"}, {"name", "SELECT geo"}} {
		b.Run("equal-"+q[0], func(b *testing.B) {
			hits := 0
			perSpan(b, benchSpans, func() {
				f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
				if err != nil {
					b.Fatal(err)
				}
				leaf, _ := f.Schema().Lookup(q[0])
				for _, rg := range f.RowGroups() {
					pages := rg.ColumnChunks()[leaf.ColumnIndex].Pages()
					for {
						p, err := pages.ReadPage()
						if errors.Is(err, io.EOF) {
							break
						}
						if err != nil {
							b.Fatal(err)
						}
						code := int32(-1)
						for i := range p.Dictionary().Len() {
							if string(p.Dictionary().Index(int32(i)).ByteArray()) == q[1] {
								code = int32(i)
							}
						}
						data := p.Data()
						for _, c := range data.Int32() {
							if c == code {
								hits++
							}
						}
						parquet.Release(p)
					}
					if err := pages.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
			if hits == 0 {
				b.Fatal("no span was found")
			}
		})
	}
}
