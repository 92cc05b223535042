package blockbuilder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Blocks opens blocks that exist, to look for other homes of new traces.
type Blocks interface {
	Open(ctx context.Context, m *blocks.BlockMeta) (*block.Block, error)
}

// errSlow: the sweep of orphans may have taken a part of a block that was so long in the making.
var errSlow = errors.New("it took longer than a build may")

// buildWithin builds and gives up after cfg.BuildTimeout, which is less than the grace of the orphan sweep; also when the process slept meanwhile.
func (d Deps) buildWithin(ctx context.Context, cfg Config, b *buildJob) (*blocks.PublishCut, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := d.Clock.Now()
	defer d.Clock.AfterFunc(cfg.BuildTimeout, func() { cancel(errSlow) }).Stop()
	out, err := d.build(ctx, cfg, b)
	took := d.Clock.Now().Sub(began)
	d.Metrics.seconds.Observe(took.Seconds())
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errSlow):
		return nil, fmt.Errorf("%w: %w", errSlow, err)
	case err == nil && took >= cfg.BuildTimeout:
		return nil, errSlow
	}
	return out, err
}

// build writes one block per tenant of the cut and returns what is to be published. Everything it names is durable in the bucket.
func (d Deps) build(ctx context.Context, cfg Config, b *buildJob) (*blocks.PublishCut, error) {
	out := &blocks.PublishCut{Epoch: b.epoch, Partition: b.partition, From: b.cut.From, To: b.cut.To, Fingerprint: b.cut.Last, ViewVersion: b.view.Version}
	for _, tenant := range slices.Sorted(maps.Keys(b.cut.Tables)) {
		m, ids, err := d.writeBlock(ctx, cfg, b, tenant)
		if err != nil {
			return nil, fmt.Errorf("write block of tenant %s: %w", tenant, err)
		}
		shared, err := d.shared(ctx, cfg, b, m, ids)
		if err != nil {
			return nil, fmt.Errorf("look for other homes of tenant %s: %w", tenant, err)
		}
		out.Blocks = append(out.Blocks, m)
		out.Shared = append(out.Shared, shared...)
	}
	return out, nil
}

// trim lets the log forget what a published cut covers, but for its last record, whose fingerprint tells this log from another. A log that has another record there was cut
// off and has grown again: what lies below is not what was covered.
func (d Deps) trim(ctx context.Context, m *blocks.PublishCut) error {
	f, err := d.Log.Fingerprint(ctx, m.GetPartition(), m.GetTo()-1)
	if err != nil {
		return fmt.Errorf("read fingerprint of offset %d: %w", m.GetTo()-1, err)
	}
	if f.CRC != m.GetFingerprint().GetCrc() || f.LeaderEpoch != m.GetFingerprint().GetLeaderEpoch() {
		return fmt.Errorf("the record at offset %d is not the one that was covered", m.GetTo()-1)
	}
	return d.Log.Trim(ctx, m.GetPartition(), m.GetTo()-1)
}

func (d Deps) writeBlock(ctx context.Context, cfg Config, b *buildJob, tenant string) (*blocks.BlockMeta, []block.TraceExtent, error) {
	id := d.NewID(tenant, b.epoch, b.partition, b.cut.From, b.cut.To, b.attempt)
	up := &upload{ctx: ctx, bucket: d.Bucket, prefix: tenant + "/" + id + "/"}
	meta, ids, err := block.Write(ctx, b.cut.Tables[tenant], block.WriteOptions{
		ID: id, Tenant: tenant, Epoch: b.epoch, Partition: b.partition, Parts: b.cut.Parts, From: b.cut.From, To: b.cut.To,
		MinArrival: b.cut.FirstArrival, MaxArrival: b.cut.LastArrival, RowGroupRows: cfg.RowGroup,
	}, up)
	if err != nil {
		return nil, nil, err
	}
	raw, err := json.Marshal(meta)
	if err != nil {
		return nil, nil, fmt.Errorf("encode block meta: %w", err)
	}
	if _, err := d.Bucket.Create(ctx, up.prefix+"meta.json", bytes.NewReader(raw)); err != nil {
		return nil, nil, err
	}
	return plan.CatalogMeta(meta, raw), ids, nil
}

// shared lists the block's traces that have another home in the window. Filters propose, exact indexes decide. A block that cannot be read must not keep new ones from
// being made: one that is damaged or gone is passed over, because nothing of it is in an answer; one that could not be read in several attempts is taken to hold all
// it may hold.
func (d Deps) shared(ctx context.Context, cfg Config, b *buildJob, m *blocks.BlockMeta, ids []block.TraceExtent) ([]*blocks.SharedTrace, error) {
	within := plan.Range{Start: m.GetMinStartUnixNano(), End: m.GetMaxEndUnixNano()}.Widen(cfg.SharedWindow)
	found := map[trace.ID]*blocks.SharedTrace{}
	for _, other := range b.view.Blocks(m.GetTenant(), within.Start, within.End) {
		if !plan.MayShare(other, m.GetPartition(), m.GetParts()) {
			continue
		}
		extents, err := d.common(ctx, other, ids)
		damaged := errors.Is(err, block.ErrCorrupt) || errors.Is(err, objstore.ErrNotFound)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && !damaged && !b.lenient:
			return nil, fmt.Errorf("block %s: %w", other.GetId(), err)
		case err != nil:
			d.Metrics.unread.Inc()
			d.Logger.Error("block cannot be read; which of the new traces lie in it too is not known", "kind", "block-builder", "tenant", m.GetTenant(),
				"partition", b.partition, "block", other.GetId(), "err", err)
			if extents = nil; !damaged {
				extents = slices.DeleteFunc(slices.Clone(ids), func(x block.TraceExtent) bool { return !plan.MayHold(other, x.ID) })
			}
		}
		for _, x := range extents {
			st := found[x.ID]
			if st == nil {
				st = &blocks.SharedTrace{Tenant: m.GetTenant(), TraceId: bytes.Clone(x.ID[:]), StartUnixNano: x.Start, EndUnixNano: x.End, Homes: []string{m.GetId()}}
				found[x.ID] = st
			}
			st.StartUnixNano, st.EndUnixNano = min(st.StartUnixNano, x.Start), max(st.EndUnixNano, x.End)
			st.Homes = append(st.Homes, other.GetId())
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b *blocks.SharedTrace) int { return bytes.Compare(a.GetTraceId(), b.GetTraceId()) }), nil
}

// common returns those of the traces that the other block holds too, with the extent of both parts.
func (d Deps) common(ctx context.Context, other *blocks.BlockMeta, ids []block.TraceExtent) (out []block.TraceExtent, err error) {
	o, err := d.Blocks.Open(ctx, other)
	if err != nil {
		return nil, err
	}
	var r *block.Reader
	for _, e := range ids {
		if !o.MayHold(e.ID) || !plan.MayHold(other, e.ID) {
			continue
		}
		if r == nil {
			r = o.Reader()
		}
		table, i, ok, err := r.Find(ctx, e.ID)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		info, err := table.Trace(ctx, i)
		if err != nil {
			return nil, err
		}
		out = append(out, block.TraceExtent{ID: e.ID, Start: min(e.Start, info.Start), End: max(e.End, info.End)})
	}
	return out, nil
}

// upload is the block's sink: each object is made in memory, which the cut's size bounds, and created at once when it is closed.
type upload struct {
	ctx    context.Context
	bucket objstore.Bucket
	prefix string
}

// Create begins an object of the block.
func (u *upload) Create(name string) (io.WriteCloser, error) {
	return &object{upload: u, name: name}, nil
}

type object struct {
	*upload
	name string
	bytes.Buffer
}

// Close makes the object durable.
func (o *object) Close() error {
	_, err := o.bucket.Create(o.ctx, o.prefix+o.name, &o.Buffer)
	return err
}
