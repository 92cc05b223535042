package eval_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

const benchSpans = 1_000_000

// benchRecords are records of a million spans of 80 s: the file of tools/loadgen that TROUPE_CORPUS
// names, or some of its shape.
func benchRecords(b *testing.B) (records [][]byte) {
	if name := os.Getenv("TROUPE_CORPUS"); name != "" {
		data, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		for n := 0; len(data) > 4; n++ {
			size := binary.LittleEndian.Uint32(data)
			if n > 0 { // the first is a header
				records = append(records, data[4:4+size])
			}
			data = data[4+size:]
		}
		return records
	}
	r := rand.New(rand.NewPCG(1, 1))
	str := func(k, v string) trace.Attribute {
		return trace.Attribute{Key: []byte(k), Value: trace.Value{Type: trace.String, Bytes: []byte(v)}}
	}
	start := uint64(1_700_000_000e9)
	for n := 0; n < benchSpans; {
		var e trace.Encoder
		for range 10 {
			var id trace.ID
			binary.BigEndian.PutUint64(id[:], r.Uint64())
			at := start + uint64(n)*80_000
			for left := 5 + r.IntN(55); left > 0; {
				service := r.IntN(20)
				res := str("service.name", fmt.Sprintf("service-%d", service))
				if err := e.Resource(append([]byte{0x0a}, message(append([]byte{0x0a},
					message(trace.AppendAttribute(nil, &res))...))...)); err != nil {
					b.Fatal(err)
				}
				if err := e.Scope(nil); err != nil {
					b.Fatal(err)
				}
				for range min(left, 1+r.IntN(6)) {
					at += r.Uint64N(1e6)
					s := trace.Span{TraceID: id, HasParent: true, StartUnixNano: at,
						EndUnixNano: at + uint64(r.ExpFloat64()*1e7), Kind: int32(2 + r.IntN(2))}
					binary.BigEndian.PutUint64(s.SpanID[:], r.Uint64())
					binary.BigEndian.PutUint64(s.ParentID[:], r.Uint64())
					s.Name = []byte(fmt.Sprintf("GET /%d/%d", service, r.IntN(5)))
					code := trace.Attribute{Key: []byte("http.response.status_code"),
						Value: trace.Value{Type: trace.Int, Num: 200}}
					if r.IntN(50) == 0 {
						s.Status, s.HasStatus, code.Value.Num = 2, true, 500
					}
					if s.Kind == 2 {
						s.Attributes = []trace.Attribute{str("http.route",
							fmt.Sprintf("/api/%d/{id}/%d", service, r.IntN(3))), code}
					}
					if err := e.Span(&s); err != nil {
						b.Fatal(err)
					}
					left--
					n++
				}
			}
		}
		records = append(records, e.Bytes())
	}
	return records
}

// message puts the length before a message that is shorter than 128 bytes.
func message(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }

// objects keeps a block in memory.
type objects map[string][]byte

type object struct {
	in   objects
	name string
}

func (o objects) Create(name string) (io.WriteCloser, error) { return object{o, name}, nil }
func (o object) Write(p []byte) (int, error) {
	o.in[o.name] = append(o.in[o.name], p...)
	return len(p), nil
}
func (o object) Close() error { return nil }
func (o objects) ReadRange(_ context.Context, name string, off int64, buf []byte) error {
	if off < 0 || off+int64(len(buf)) > int64(len(o[name])) {
		return io.ErrUnexpectedEOF
	}
	copy(buf, o[name][off:])
	return nil
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

// Metrics over a million spans, on one core: in four live segments, and in four blocks of which
// every page is read anew. The corpus is that of the figures when TROUPE_CORPUS names it.
func BenchmarkMetrics(b *testing.B) {
	ctx := context.Background()
	records := benchRecords(b)
	var segments []*live.Snapshot
	var blocks []*block.Block
	spans := 0
	lo, hi := int64(math.MaxInt64), int64(0)
	for i := range 4 {
		seg := live.New(live.Limits{Seed: 1})
		part := records[i*len(records)/4 : (i+1)*len(records)/4]
		for k, r := range part {
			if _, err := seg.Append(int64(k), 0, r); err != nil {
				b.Fatal(err)
			}
		}
		seg.Seal()
		s := seg.Snapshot(0, int64(len(part)))
		spans += s.Rows()
		segments = append(segments, s)
		o := objects{}
		m, _, err := block.Write(ctx, []column.Table{s}, block.WriteOptions{}, o)
		if err != nil {
			b.Fatal(err)
		}
		lo, hi = min(lo, int64(m.MinStart)), max(hi, int64(m.MaxEnd))
		bl, err := block.Open(ctx, o, m)
		if err != nil {
			b.Fatal(err)
		}
		blocks = append(blocks, bl)
	}
	const step = int64(1e9)
	for _, q := range []string{
		`{ } | rate()`,
		`{ } | rate() by (resource.service.name)`,
		`{ status = error } | rate() by (resource.service.name)`,
		`{ kind = server } | quantile_over_time(duration, .5, .99) by (span.http.route)`,
		`{ span.http.response.status_code = 500 } | count_over_time() by (span.http.route)`,
		`{ } | sum_over_time(duration) by (name, kind)`,
		`{ } | compare({ status = error })`,
	} {
		query, err := traceql.Parse(q)
		if err != nil {
			b.Fatal(err)
		}
		for _, exemplars := range []int{0, 100} {
			r := &eval.MetricsRequest{Query: query, Start: lo - lo%step - step, End: hi - hi%step + step, Step: step,
				Exemplars: exemplars}
			if strings.Contains(q, "compare") {
				r.Instant = true // as it is mostly asked
			}
			run := func(b *testing.B, tables func() []column.Table) {
				b.ReportAllocs()
				n, before := 0, cpu()
				for b.Loop() {
					n++
					var p eval.MetricsPartial
					for _, t := range tables() {
						o, err := eval.QueryRange(ctx, t, r, nil)
						if err != nil {
							b.Fatal(err)
						}
						p.Merge(o)
					}
					if _, err := p.Result(r); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n)/float64(spans), "ns/span")
				b.ReportMetric(float64(cpu()-before)/float64(n)/float64(spans), "cpu-ns/span")
			}
			name := fmt.Sprintf("%s/exemplars=%d", q, exemplars)
			b.Run("live/"+name, func(b *testing.B) {
				run(b, func() (out []column.Table) {
					for _, s := range segments {
						out = append(out, s)
					}
					return out
				})
			})
			b.Run("block/"+name, func(b *testing.B) {
				run(b, func() (out []column.Table) {
					for _, bl := range blocks {
						out = append(out, bl.Reader().Tables()...)
					}
					return out
				})
			})
		}
	}
}
