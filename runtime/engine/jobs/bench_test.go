package jobs

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// corpus is a file of the load generator, named by TROUPE_CORPUS: its time in unix seconds and its
// records.
func corpus(b *testing.B) (start, end uint64, records [][]byte) {
	path := os.Getenv("TROUPE_CORPUS")
	if path == "" {
		b.Skip("no corpus: set TROUPE_CORPUS to a file made by loadgen gen")
	}
	f, err := os.Open(path)
	require.NoError(b, err)
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	for {
		var n uint32
		if binary.Read(r, binary.LittleEndian, &n) != nil {
			break
		}
		rec := make([]byte, n)
		_, err := io.ReadFull(r, rec)
		require.NoError(b, err)
		records = append(records, rec)
	}
	var h struct{ Start, End uint64 }
	require.NoError(b, json.Unmarshal(records[0], &h))
	return h.Start * 1e9, h.End * 1e9, records[1:]
}

// dir is a block in a directory.
type dir string

func (d dir) Create(name string) (io.WriteCloser, error) {
	return os.Create(filepath.Join(string(d), name))
}

func (d dir) ReadRange(_ context.Context, name string, off int64, buf []byte) error {
	f, err := os.Open(filepath.Join(string(d), name))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.ReadAt(buf, off)
	return err
}

// loaded returns the corpus as one live segment and as one block, to be opened anew for every
// query.
func loaded(b *testing.B) (start, end uint64, snap *live.Snapshot, bl *block.Block) {
	start, end, records := corpus(b)
	seg := live.New(live.Limits{})
	for i, r := range records {
		_, err := seg.Append(int64(i), 1, r)
		require.NoError(b, err)
	}
	seg.Seal()
	snap = seg.Snapshot(0, int64(len(records)))
	at := dir(b.TempDir())
	m, _, err := block.Write(context.Background(), []column.Table{snap.Clone()}, block.WriteOptions{ID: "00000000-0000-5000-8000-000000000001",
		Tenant: "t", Epoch: "e", Parts: []int32{1}, To: int64(len(records))}, at)
	require.NoError(b, err)
	bl, err = block.Open(context.Background(), at, m)
	require.NoError(b, err)
	b.Logf("%d spans, block of %.1f B a span", snap.Rows(), float64(m.Bytes)/float64(m.Spans))
	return start, end, snap, bl
}

// BenchmarkSuite answers the queries of the load generator's suite over one live segment and over
// one block, each time with empty caches of our own.
func BenchmarkSuite(b *testing.B) {
	start, end, snap, bl := loaded(b)
	search := func(q string, limit int) Scan {
		query, err := traceql.Parse(q)
		require.NoError(b, err)
		return Scan{Search: &eval.SearchRequest{Query: query, Start: start, End: end, Limit: limit, SpansPerSpanSet: 3}}
	}
	values := func(field, filter string) Scan {
		f, err := traceql.ParseField(field)
		require.NoError(b, err)
		return Scan{Values: &eval.ValuesRequest{Field: f, Query: traceql.ParseFilter(filter), Start: start, End: end, MaxBytes: 1 << 20}}
	}
	suite := []struct {
		name string
		scan Scan
	}{
		{"service", search(`{ resource.service.name = "checkout" }`, 20)},
		{"error", search(`{ status = error }`, 20)},
		{"needle", search(`{ span.url.path = "/api/cart/v1/4242" }`, 20)},
		{"nomatch", search(`{ span.enduser.id = "nobody" }`, 20)},
		{"regex", search(`{ span.db.query.text =~ ".*FROM billing.*shard = 17" }`, 20)},
		{"duration", search(`{ span.http.response.status_code = 500 && duration > 100ms }`, 20)},
		{"unscoped", search(`{ .rpc.service = "cart" && .retry = true }`, 20)},
		{"structural", search(`{ resource.service.name = "frontend" } >> { status = error }`, 20)},
		{"aggregate", search(`{ span.db.system = "redis" } | count() > 5`, 20)},
		{"exhaustive", search(`{ span.http.response.status_code = 404 && resource.service.name = "gateway" }`, 100000)},
		{"all-rows", search(`{ span.http.response.status_code = 999 || duration < 0ns || name = "" }`, 20)},
		{"arithmetic", search(`{ duration * 2 < 0 }`, 20)},
		{"tags", Scan{Tags: &eval.TagsRequest{Start: start, End: end}}},
		{"tag-values", values("resource.service.name", "")},
		{"tag-values-filtered", values("span.http.route", `{ resource.service.name = "cart" }`)},
	}
	for _, q := range suite {
		run := func(b *testing.B, tables func() []column.Table) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				r, err := RunScan(context.Background(), tables(), q.scan, nil)
				require.NoError(b, err)
				switch p := r.Partial; {
				case p.Search != nil:
					n = len(p.Search.Traces)
				case p.Values != nil:
					n = len(p.Values.Values)
				default:
					n = len(p.Tags)
				}
			}
			b.ReportMetric(float64(n), "found")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(snap.Rows()), "ns/span")
		}
		b.Run("live/"+q.name, func(b *testing.B) { run(b, func() []column.Table { return []column.Table{snap.Clone()} }) })
		b.Run("block/"+q.name, func(b *testing.B) { run(b, func() []column.Table { return bl.Reader().Tables() }) })
	}
}
