package backendworker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// mergeBlocks merges the blocks of a lease to one, whose objects are durable when it returns. It
// runs on a pool.
// Next: actors/backendscheduler puts the block in the place of the others.
func mergeBlocks(
	ctx context.Context, d Deps, cfg Config, lease *jobs.MergeLease,
) (out *blocks.BlockMeta, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanicked, r, debug.Stack())
		}
	}()
	began := d.Clock.Now()
	defer func() { d.Metrics.seconds.Observe(d.Clock.Now().Sub(began).Seconds()) }()
	var tables []column.Table
	for _, m := range lease.Inputs {
		b, err := d.Blocks.Open(ctx, m)
		if err != nil {
			return nil, blameFor(fmt.Errorf("open block %s: %w", m.GetId(), err), m.GetId())
		}
		tables = append(tables, b.Reader().Tables()...)
	}
	o := compact.DescribeOutput(lease.Inputs)
	o.ID, o.Tenant = d.NewID(lease.Tenant, lease.Lease), lease.Tenant
	o.Level, o.Lease, o.RowGroupRows = lease.Level, lease.Lease, cfg.RowGroup
	sink := blockstore.NewSink(ctx, d.Bucket, o.Tenant, o.ID)
	meta, _, err := block.Write(ctx, tables, o, sink)
	if err != nil {
		sink.Abandon(err)
		return nil, findDamaged(ctx, d, lease, fmt.Errorf("merge %d blocks: %w", len(lease.Inputs), err))
	}
	raw, err := json.Marshal(meta)
	if err != nil {
		return nil, fmt.Errorf("encode block meta: %w", err)
	}
	name := blockstore.Folder(o.Tenant, o.ID) + block.MetaObject
	if _, err := d.Bucket.Create(ctx, name, bytes.NewReader(raw)); err != nil {
		return nil, err
	}
	return jobs.CatalogMeta(meta, raw), nil
}
