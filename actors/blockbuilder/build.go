package blockbuilder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// errSlow: the sweep of orphans may have taken a part of a block that was so long in the making.
var errSlow = errors.New("it took longer than a build may")

// errInput: the build has failed because of what was to be built, and will again. Where it was to
// be written, and what else had to be read, is not the cause.
var errInput = errors.New("what was to be built cannot be")

// smallTenant is the number of spans up to which a tenant's block is written beside others: most of
// its time goes into making objects durable.
const smallTenant = 4096

// buildWithin builds and gives up after cfg.BuildTimeout, which is less than the grace of the
// orphan sweep; also when the process slept meanwhile. Where less than half of that went into
// waiting for storage it was the input.
func (d Deps) buildWithin(ctx context.Context, cfg Config, b *buildJob) (*blocks.PublishCut, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := d.Clock.Now()
	defer d.Clock.AfterFunc(cfg.BuildTimeout, func() { cancel(errSlow) }).Stop()
	var waited storageTime
	out, err := d.build(ctx, cfg, b, &waited)
	took := d.Clock.Now().Sub(began)
	d.Metrics.seconds.Observe(took.Seconds())
	late := took >= cfg.BuildTimeout
	switch {
	case err == nil && !late:
		return out, nil
	case err == nil:
		err = errSlow
	case errors.Is(context.Cause(ctx), errSlow):
		late, err = true, fmt.Errorf("%w: %w", errSlow, err)
	}
	if late && 2*waited.sum < took {
		err = fmt.Errorf("%w: %w", errInput, err)
	}
	return nil, err
}

// tenantBlock is what a build makes of one tenant.
type tenantBlock struct {
	meta   *blocks.BlockMeta
	shared []*blocks.SharedTrace
	waited storageTime
}

// build writes one block per tenant of the cut and returns what is to be published. Everything it
// names is durable in the bucket. Blocks of small tenants are written several at a time.
func (d Deps) build(ctx context.Context, cfg Config, b *buildJob, waited *storageTime) (*blocks.PublishCut, error) {
	out := &blocks.PublishCut{Epoch: b.epoch, Partition: b.partition, From: b.cut.From, To: b.cut.To, ViewVersion: b.view.Version}
	var err error
	if out.Fingerprint, err = d.fingerprint(ctx, b); err != nil {
		return nil, err
	}
	if out.SetAside, err = d.keepAside(ctx, b, waited); err != nil {
		return nil, fmt.Errorf("keep the records that were set aside: %w", err)
	}
	if b.aside != "" {
		return out, nil
	}
	tenants := slices.Sorted(maps.Keys(b.cut.Tables))
	small := func(tenant string) bool { return rowsOf(b.cut.Tables[tenant]) <= smallTenant }
	made := make([]tenantBlock, len(tenants))
	scratch := make([]*block.Scratch, max(d.Writers, 1))
	defer func() {
		for _, s := range scratch {
			if s != nil {
				s.Close()
			}
		}
	}()
	write := func(ctx context.Context, worker, i int) error {
		if scratch[worker] == nil {
			scratch[worker] = block.NewScratch()
		}
		return d.buildTenant(ctx, cfg, b, tenants[i], scratch[worker], &made[i])
	}
	defer func() { // where several wait at once it counts once for each
		for i := range made {
			waited.sum += made[i].waited.sum
		}
	}()
	var few []int // indices of small tenants
	for i, tenant := range tenants {
		if small(tenant) {
			few = append(few, i)
		} else if err := write(ctx, 0, i); err != nil {
			return nil, err
		}
	}
	if err := work.Each(ctx, d.Writers, len(few), func(ctx context.Context, worker, i int) error { return write(ctx, worker, few[i]) }); err != nil {
		return nil, err
	}
	for _, m := range made {
		out.Blocks = append(out.Blocks, m.meta)
		out.Shared = append(out.Shared, m.shared...)
	}
	return out, nil
}

func rowsOf(tables []column.Table) (n int) {
	for _, t := range tables {
		n += t.Rows()
	}
	return n
}

func (d Deps) buildTenant(ctx context.Context, cfg Config, b *buildJob, tenant string, scratch *block.Scratch, out *tenantBlock) error {
	m, ids, err := d.writeBlock(ctx, cfg, b, tenant, scratch, &out.waited)
	if err != nil {
		return fmt.Errorf("write block of tenant %s: %w", tenant, err)
	}
	defer out.waited.begin(d.Clock)()
	if out.shared, err = d.shared(ctx, cfg, b, m, ids); err != nil {
		return fmt.Errorf("look for other homes of tenant %s: %w", tenant, err)
	}
	out.meta = m
	return nil
}

// fingerprint is that of the cut's last record. Where the live-store does not know it the log does,
// if its history is still the one that was read.
func (d Deps) fingerprint(ctx context.Context, b *buildJob) (*blocks.Fingerprint, error) {
	if b.cut.Last != nil {
		return b.cut.Last, nil
	}
	var got [2]kafkalog.Fingerprint
	for i, offset := range []int64{b.cut.To - 1, b.cut.Later} {
		var err error
		if got[i], err = d.Log.Fingerprint(ctx, b.partition, offset); err != nil {
			return nil, fmt.Errorf("read fingerprint of offset %d: %w", offset, err)
		}
	}
	if got[1].CRC != b.cut.LaterPrint.GetCrc() || got[1].LeaderEpoch != b.cut.LaterPrint.GetLeaderEpoch() {
		return nil, fmt.Errorf("the record at offset %d is not the one that was read", b.cut.Later)
	}
	return &blocks.Fingerprint{Crc: got[0].CRC, LeaderEpoch: got[0].LeaderEpoch}, nil
}

// errOther: the log has another record than the one that was covered, or is to be.
var errOther = errors.New("the log has another record there")

// same compares the last record of a cut with what the log has there now. A log that has another
// record was cut off and has grown again.
func (d Deps) same(ctx context.Context, m *blocks.PublishCut) error {
	f, err := d.Log.Fingerprint(ctx, m.GetPartition(), m.GetTo()-1)
	switch {
	case errors.Is(err, kafkalog.ErrOutOfRange):
		return fmt.Errorf("read fingerprint of offset %d: %w: %w", m.GetTo()-1, errOther, err)
	case err != nil:
		return fmt.Errorf("read fingerprint of offset %d: %w", m.GetTo()-1, err)
	case f.CRC != m.GetFingerprint().GetCrc() || f.LeaderEpoch != m.GetFingerprint().GetLeaderEpoch():
		return fmt.Errorf("compare the record at offset %d: %w", m.GetTo()-1, errOther)
	}
	return nil
}

// trim lets the log forget what a published cut covers. The log keeps the fingerprint of the last
// record, which tells it from another. What lies below another record is not what was covered.
func (d Deps) trim(ctx context.Context, m *blocks.PublishCut) error {
	if err := d.same(ctx, m); err != nil {
		return err
	}
	return d.Log.Trim(ctx, m.GetPartition(), m.GetTo())
}

func (d Deps) writeBlock(ctx context.Context, cfg Config, b *buildJob, tenant string, scratch *block.Scratch, waited *storageTime) (*blocks.BlockMeta, []block.TraceExtent, error) {
	id := d.NewID(tenant, b.epoch, b.partition, b.cut.From, b.cut.To, b.attempt)
	up := &upload{ctx: ctx, bucket: d.Bucket, prefix: blockstore.Folder(tenant, id), clock: d.Clock, waited: waited}
	meta, ids, err := writeTables(ctx, b.cut.Tables[tenant], block.WriteOptions{
		ID: id, Tenant: tenant, Epoch: b.epoch, Partition: b.partition, Parts: b.cut.Parts, From: b.cut.From, To: b.cut.To,
		MinArrival: b.cut.FirstArrival, MaxArrival: b.cut.LastArrival, RowGroupRows: cfg.RowGroup, Scratch: scratch,
	}, up)
	if err != nil {
		if up.err == nil && ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", errInput, err)
		}
		return nil, nil, err
	}
	raw, err := json.Marshal(meta)
	if err != nil {
		return nil, nil, fmt.Errorf("encode block meta: %w", err)
	}
	if err := up.create(block.MetaObject, bytes.NewReader(raw)); err != nil {
		return nil, nil, err
	}
	return jobs.CatalogMeta(meta, raw), ids, nil
}

// writeTables is block.Write with a panic as an error: one record must not keep all others from
// being built.
func writeTables(ctx context.Context, tables []column.Table, o block.WriteOptions, sink block.Sink) (m *block.Meta, ids []block.TraceExtent, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("BUG: writing a block panicked: %v\n%s", r, debug.Stack())
		}
	}()
	return block.Write(ctx, tables, o, sink)
}

// shared lists the block's traces that have another home in the window. Filters propose, exact
// indexes decide. A block that cannot be read must not keep new ones from being made: one that is
// damaged or gone is passed over, because nothing of it is in an answer; one that could not be read
// in several attempts is taken to hold all it may hold.
func (d Deps) shared(ctx context.Context, cfg Config, b *buildJob, m *blocks.BlockMeta, ids []block.TraceExtent) ([]*blocks.SharedTrace, error) {
	within := jobs.Range{Start: m.GetMinStartUnixNano(), End: m.GetMaxEndUnixNano()}.Widen(cfg.SharedWindow)
	asked := make([]trace.ID, len(ids))
	for i, x := range ids {
		asked[i] = x.ID
	}
	found := map[trace.ID]*blocks.SharedTrace{}
	for _, other := range b.view.Blocks(m.GetTenant(), within.Start, within.End) {
		if !jobs.MayShare(other, m.GetPartition(), m.GetParts()) {
			continue
		}
		extents, err := d.findCommon(ctx, other, ids, asked)
		damaged := errors.Is(err, block.ErrCorrupt) || errors.Is(err, objstore.ErrNotFound)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && !damaged && !b.lenient:
			return nil, fmt.Errorf("block %s: %w", other.GetId(), err)
		case err != nil:
			d.Metrics.unread.Inc()
			d.Logger.Error("block cannot be read; which of the new traces lie in it too is not known", "kind", kinds.BlockBuilder, "tenant", m.GetTenant(),
				"partition", b.partition, "block", other.GetId(), "err", err)
			if extents = nil; !damaged {
				extents = slices.DeleteFunc(slices.Clone(ids), func(x block.TraceExtent) bool { return !jobs.MayHold(other, x.ID) })
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

// findCommon returns those of the new block's traces that the other block holds too, with the
// extent of both parts. asked are the ids of the traces.
func (d Deps) findCommon(
	ctx context.Context, other *blocks.BlockMeta, traces []block.TraceExtent, asked []trace.ID,
) ([]block.TraceExtent, error) {
	found, err := blockstore.FindTraces(ctx, d.Blocks, other, asked)
	if err != nil {
		return nil, err
	}
	var out []block.TraceExtent
	for _, f := range found.List {
		there, err := f.Extent(ctx)
		if err != nil {
			return nil, err
		}
		here := traces[f.Asked]
		out = append(out, block.TraceExtent{
			ID:    here.ID,
			Start: min(here.Start, there.Start),
			End:   max(here.End, there.End),
		})
	}
	return out, nil
}

// upload is the block's sink: each object is made in memory, which the cut's size bounds, and
// created at once when it is closed.
type upload struct {
	ctx    context.Context
	bucket objstore.Bucket
	prefix string
	clock  clock.Clock
	waited *storageTime
	err    error // of the bucket
}

// Create begins an object of the block.
func (u *upload) Create(name string) (io.WriteCloser, error) {
	return &object{upload: u, name: name}, nil
}

func (u *upload) create(name string, r io.Reader) error {
	defer u.waited.begin(u.clock)()
	_, err := u.bucket.Create(u.ctx, u.prefix+name, r)
	if err != nil {
		u.err = err
	}
	return err
}

type object struct {
	*upload
	name string
	bytes.Buffer
}

// Close makes the object durable.
func (o *object) Close() error { return o.create(o.name, &o.Buffer) }

// storageTime sums up the time in which one writer has waited for storage.
type storageTime struct{ sum time.Duration }

// begin starts a wait; what it returns ends it.
func (w *storageTime) begin(c clock.Clock) (end func()) {
	began := c.Now()
	return func() { w.sum += c.Now().Sub(began) }
}
