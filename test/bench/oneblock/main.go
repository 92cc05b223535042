// Command oneblock prints what the live blocks of a stopped node's local bucket take, and can merge
// those of each tenant to one before, as a worker does. So the same spans can be asked for in many
// blocks and in one.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

func main() {
	dir := flag.String("dir", "", "folder of the bucket")
	merge := flag.Bool("merge", false, "merge the blocks of each tenant to one")
	flag.Parse()
	if err := run(context.Background(), *dir, *merge); err != nil {
		fmt.Fprintln(os.Stderr, "oneblock:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, merge bool) error {
	bucket, err := objstore.OpenLocal(dir)
	if err != nil {
		return err
	}
	m := merger{bucket: bucket, journal: journal.New(bucket, "catalog/")}
	read, err := m.journal.Load(ctx)
	if err != nil {
		return err
	}
	if m.state, err = catalog.Load(read.Snapshot, read.Entries); err != nil {
		return err
	}
	for _, tenant := range m.state.View().Tenants() {
		list := m.state.View().All(tenant)
		if merge && len(list) > 1 {
			if err := m.mergeAll(ctx, tenant, list); err != nil {
				return err
			}
		}
		printBlocks(tenant, m.state.View().All(tenant))
	}
	return nil
}

func printBlocks(tenant string, list []*blocks.BlockMeta) {
	levels := map[int32]int{}
	var spans, size int64
	for _, m := range list {
		levels[m.GetLevel()]++
		spans += m.GetSpans()
		size += m.GetBytes()
	}
	fmt.Printf("%s: %d spans in %d blocks (by level: %v), %.1f B/span\n",
		tenant, spans, len(list), levels, float64(size)/float64(spans))
}

// merger merges blocks, and writes to the catalog what has come of it.
type merger struct {
	bucket  objstore.Bucket
	journal *journal.Journal
	state   *catalog.State
}

// mergeAll merges blocks of a tenant to one, which takes their place in the catalog.
func (m *merger) mergeAll(ctx context.Context, tenant string, list []*blocks.BlockMeta) error {
	store := blockstore.NewStore(m.bucket, 1<<30)
	var tables []column.Table
	replaced := &blocks.BlocksReplaced{Tenant: tenant}
	for _, b := range list {
		opened, err := store.Open(ctx, b)
		if err != nil {
			return err
		}
		tables = append(tables, opened.Reader().Tables()...)
		replaced.Inputs = append(replaced.Inputs, b.GetId())
	}
	o := compact.DescribeOutput(list)
	o.ID, o.Tenant, o.Level, o.RowGroupRows = uuid.NewString(), tenant, 3, 128<<10
	sink := blockstore.NewSink(ctx, m.bucket, tenant, o.ID)
	meta, _, err := block.Write(ctx, tables, o, sink)
	if err != nil {
		sink.Abandon(err)
		return err
	}
	raw, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	name := blockstore.Folder(tenant, o.ID) + block.MetaObject
	if _, err := m.bucket.Create(ctx, name, bytes.NewReader(raw)); err != nil {
		return err
	}
	replaced.Outputs = []*blocks.BlockMeta{jobs.CatalogMeta(meta, raw)}
	commit := &blocks.Commit{
		Seq:     m.state.View().Version + 1,
		Entries: []*blocks.Entry{{BlocksReplaced: replaced}},
		Writer:  o.ID,
	}
	data, err := proto.Marshal(commit)
	if err != nil {
		return err
	}
	if err := m.journal.Append(ctx, commit.GetSeq(), data); err != nil {
		return err
	}
	return m.state.Apply(commit)
}
