// Command manyblocks writes the bucket of a node that has run for two weeks: many small blocks, all
// of them whole, the catalog that lists them as a snapshot, and as many commits after it as there
// are at most before the next snapshot. Its files are not synced, so it takes seconds.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

const (
	tenant     = "single-tenant"
	epoch      = "an-older-log"
	partitions = 4
	traceSpans = 6
	kept       = 14 * 24 * time.Hour
)

func main() {
	dir := flag.String("dir", "", "folder of the bucket, which is made")
	count := flag.Int("blocks", 20_000, "blocks")
	spans := flag.Int("spans", 60, "spans of a block")
	tail := flag.Int("commits", 999, "commits of the catalog after its snapshot, each of one block")
	flag.Parse()
	if err := write(*dir, *count, *spans, *tail); err != nil {
		fmt.Fprintln(os.Stderr, "manyblocks:", err)
		os.Exit(1)
	}
}

// write writes the blocks, and then the catalog.
func write(dir string, count, spans, tail int) error {
	g := &generator{
		random: rand.New(rand.NewPCG(7, 1)),
		dir:    dir,
		spans:  spans,
		first:  time.Now().Add(-kept),
		each:   kept / time.Duration(count),
	}
	var metas []*blocks.BlockMeta
	for i := range count {
		m, err := g.writeBlock(i)
		if err != nil {
			return err
		}
		metas = append(metas, m)
	}
	bytes, err := writeCatalog(dir, metas, min(tail, count))
	if err != nil {
		return err
	}
	fmt.Printf("%d blocks of %d spans; the snapshot has %.1f MB, the commits after it are %d\n",
		count, spans, float64(bytes)/1e6, min(tail, count))
	for _, i := range []int{0, count / 2, count - 1} {
		fmt.Printf("trace %s\n", traceOf(i, 0))
	}
	return nil
}

// generator makes blocks, each of the spans of one partition in a slice of time.
type generator struct {
	random *rand.Rand
	dir    string
	spans  int
	first  time.Time
	each   time.Duration
}

// traceOf is the id of a trace of a block. It is one of those that arrive in the block's partition.
func traceOf(i, n int) trace.ID {
	for k := uint64(0); ; k++ {
		id := otlp.TraceID(uint64(i)<<32 | uint64(n)<<16 | k)
		if trace.Partition(tenant, id, partitions) == int32(i%partitions) {
			return id
		}
	}
}

func (g *generator) writeBlock(i int) (*blocks.BlockMeta, error) {
	ctx := context.Background()
	segment := live.New(live.Limits{})
	from := int64(i / partitions)
	arrival := g.first.Add(time.Duration(i+1) * g.each)
	if _, err := segment.Append(from, arrival.UnixNano(), otlp.Encode(g.makeSpans(i)...)); err != nil {
		return nil, err
	}
	o := block.WriteOptions{
		Tenant:     tenant,
		Epoch:      epoch,
		Partition:  int32(i % partitions),
		Parts:      []int32{partitions},
		From:       from,
		To:         from + 1,
		Level:      3, // merged for good
		MinArrival: arrival.Add(-g.each).UnixNano(),
		MaxArrival: arrival.UnixNano(),
	}
	o.ID = blockstore.NewID(tenant, epoch, o.Partition, o.From, o.To, 0)
	folder := filepath.Join(g.dir, tenant, o.ID)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	meta, _, err := block.Write(ctx, []column.Table{segment.Snapshot(0, math.MaxInt64)}, o, files(folder))
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	return jobs.CatalogMeta(meta, raw), os.WriteFile(filepath.Join(folder, block.MetaObject), raw, 0o600)
}

// files is the folder of one block. It is a block.Sink.
type files string

// Create implements block.Sink.
func (f files) Create(name string) (io.WriteCloser, error) {
	return os.OpenFile(filepath.Join(string(f), name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

// makeSpans makes the spans of a block.
func (g *generator) makeSpans(i int) (out []*otlp.Span) {
	for n := range g.spans {
		t, r := n/traceSpans, g.random
		start := g.first.Add(time.Duration(i)*g.each + time.Duration(r.Int64N(int64(g.each))))
		s := &otlp.Span{
			Trace:    traceOf(i, t),
			ID:       otlp.SpanID(uint64(n + 1)),
			Name:     fmt.Sprintf("GET /api/v%d", r.IntN(9)),
			Kind:     int32(1 + r.IntN(5)),
			Start:    uint64(start.UnixNano()),
			End:      uint64(start.UnixNano()) + r.Uint64N(2e8),
			Resource: &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: fmt.Sprint("service-", r.IntN(20))}}},
			Attrs: []otlp.Attr{
				{Key: "http.request.method", Value: "GET"},
				{Key: "url.path", Value: fmt.Sprintf("/api/%d", r.IntN(100_000))},
				{Key: "http.response.status_code", Value: 200},
			},
		}
		if n%traceSpans > 0 {
			s.Parent = otlp.SpanID(uint64(t*traceSpans + 1))
		}
		if r.IntN(1000) == 0 {
			s.Status = 2
		}
		out = append(out, s)
	}
	return out
}

// writeCatalog writes the journal, and returns the size of the snapshot.
func writeCatalog(dir string, metas []*blocks.BlockMeta, tail int) (size int, err error) {
	ctx := context.Background()
	bucket, err := objstore.OpenLocal(dir)
	if err != nil {
		return 0, err
	}
	j := journal.New(bucket, "catalog/")
	state, before := catalog.New(), len(metas)-tail
	log := catalog.Log{Identity: epoch, Partitions: make([]catalog.Partition, partitions)}
	entries := state.Reconcile(log, 0)
	for i, m := range metas {
		entries = append(entries, &blocks.Entry{CutPublished: &blocks.PublishCut{
			Epoch:     epoch,
			Partition: m.GetPartition(),
			From:      m.GetFrom(),
			To:        m.GetTo(),
			Blocks:    []*blocks.BlockMeta{m},
		}})
		if i < before-1 {
			continue
		}
		commit := &blocks.Commit{Seq: state.View().Version + 1, Entries: entries}
		if err := state.Apply(commit); err != nil {
			return 0, err
		}
		entries = nil
		if i >= before {
			data, err := proto.Marshal(commit)
			if err != nil {
				return 0, err
			}
			if err := j.Append(ctx, commit.GetSeq(), data); err != nil {
				return 0, err
			}
			continue
		}
		data, err := proto.Marshal(state.Snapshot())
		if err != nil {
			return 0, err
		}
		size = len(data)
		if err := j.SaveSnapshot(ctx, commit.GetSeq(), bytes.Clone(data)); err != nil {
			return 0, err
		}
	}
	return size, nil
}
