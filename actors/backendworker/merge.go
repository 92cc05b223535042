package backendworker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// mergeBlocks merges the blocks of a lease to one, whose objects are durable when it returns. It
// runs on a pool.
// Next: actors/backendscheduler puts the block in the place of the others.
func mergeBlocks(
	ctx context.Context, d Deps, cfg Config, lease *jobs.MergeLease,
) (out *blocks.BlockMeta, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("BUG: merging blocks panicked: %v\n%s", r, debug.Stack())
		}
	}()
	began := d.Clock.Now()
	defer func() { d.Metrics.seconds.Observe(d.Clock.Now().Sub(began).Seconds()) }()
	var tables []column.Table
	for _, m := range lease.Inputs {
		b, err := d.Blocks.Open(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("open block %s: %w", m.GetId(), err)
		}
		tables = append(tables, b.Reader().Tables()...)
	}
	o := compact.DescribeOutput(lease.Inputs)
	o.ID, o.Tenant = d.NewID(lease.Tenant, lease.Lease), lease.Tenant
	o.Level, o.Lease, o.RowGroupRows = lease.Level, lease.Lease, cfg.RowGroup
	s := &sink{ctx: ctx, bucket: d.Bucket, folder: blockstore.Folder(o.Tenant, o.ID)}
	meta, _, err := block.Write(ctx, tables, o, s)
	if err != nil {
		s.abandon(err)
		return nil, fmt.Errorf("merge %d blocks: %w", len(lease.Inputs), err)
	}
	raw, err := json.Marshal(meta)
	if err != nil {
		return nil, fmt.Errorf("encode block meta: %w", err)
	}
	if _, err := d.Bucket.Create(ctx, s.folder+block.MetaObject, bytes.NewReader(raw)); err != nil {
		return nil, err
	}
	return jobs.CatalogMeta(meta, raw), nil
}

// sink creates the objects of a block in the bucket while they are written, so that no object is in
// memory as a whole.
type sink struct {
	ctx    context.Context
	bucket objstore.Bucket
	folder string
	open   []*object // begun, and not closed yet
}

// object is an object that is being written.
type object struct {
	*io.PipeWriter
	created chan error // the end of its creation
}

// Create begins an object.
func (s *sink) Create(name string) (io.WriteCloser, error) {
	r, w := io.Pipe()
	o := &object{PipeWriter: w, created: make(chan error, 1)}
	s.open = append(s.open, o)
	go func() {
		_, err := s.bucket.Create(s.ctx, s.folder+name, r)
		if err != nil {
			r.CloseWithError(err) // a writer that goes on learns of it
		}
		o.created <- err
	}()
	return o, nil
}

// Close makes the object durable.
func (o *object) Close() error {
	if err := o.PipeWriter.Close(); err != nil {
		return err
	}
	err := <-o.created
	o.created <- err // for abandon
	return err
}

// abandon ends the creation of the objects that were begun, and waits for it.
func (s *sink) abandon(cause error) {
	for _, o := range s.open {
		o.CloseWithError(cause)
		<-o.created
	}
}
