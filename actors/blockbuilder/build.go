package blockbuilder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// errSlow means that a build took so long that the sweep of orphans may have removed a part of it.
var errSlow = errors.New("it took longer than a build may")

// errInput means that a build has failed because of what was to be built, and will fail again. The
// bucket and the other blocks that had to be read are not the cause.
var errInput = errors.New("what was to be built cannot be")

// smallTenant is the number of spans up to which a tenant's block is written beside others: most of
// its time goes into making objects durable.
const smallTenant = 4096

// cutBuild makes the blocks of one cut. It runs on a pool.
type cutBuild struct {
	deps   Deps
	cfg    Config
	job    *buildJob
	waited storageTime // of all tenants
}

// buildCut writes one block for each tenant of the cut and returns what is to be published.
// Everything that it names is durable in the bucket.
// Next: actors/backendscheduler is asked to publish the cut.
func buildCut(ctx context.Context, d Deps, cfg Config, j *buildJob) (*builtCut, error) {
	b := &cutBuild{deps: d, cfg: cfg, job: j}
	return b.withinTime(ctx, b.writeCut)
}

// withinTime does a part of a build. It gives up after cfg.BuildTimeout, which is less than the
// grace time of the orphan sweep, and returns errSlow; also when the process has slept meanwhile.
// If less than half of that time went into waiting for storage, the error is an errInput, too.
func (b *cutBuild) withinTime(
	ctx context.Context, do func(context.Context) (*builtCut, error),
) (*builtCut, error) {
	d, cfg := b.deps, b.cfg
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := d.Clock.Now()
	defer d.Clock.AfterFunc(cfg.BuildTimeout, func() { cancel(errSlow) }).Stop()
	out, err := do(ctx)
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
	if late && 2*b.waited.sum < took {
		err = fmt.Errorf("%w: %w", errInput, err)
	}
	return nil, err
}

func (b *cutBuild) writeCut(ctx context.Context) (*builtCut, error) {
	cut := b.job.cut
	out := &blocks.PublishCut{
		Epoch:       b.job.epoch,
		Partition:   b.job.partition,
		From:        cut.From,
		To:          cut.To,
		ViewVersion: b.job.view.Version,
	}
	built := &builtCut{publish: out, job: b.job}
	var err error
	if out.Fingerprint, err = fingerprintOfCut(ctx, b.deps.Log, b.job.partition, cut); err != nil {
		return nil, err
	}
	if out.SetAside, err = b.keepAside(ctx); err != nil {
		return nil, fmt.Errorf("keep the records that were set aside: %w", err)
	}
	if b.job.aside != "" {
		return built, nil
	}
	if built.tenants, err = b.writeTenants(ctx, slices.Sorted(maps.Keys(cut.Tables))); err != nil {
		return nil, err
	}
	for _, t := range built.tenants {
		out.Blocks = append(out.Blocks, t.meta)
	}
	return built, b.listShared(built)
}

// writeTenants writes the blocks of the tenants: large ones one after the other, small ones several
// at a time.
func (b *cutBuild) writeTenants(ctx context.Context, tenants []string) ([]tenantBlock, error) {
	made := make([]tenantBlock, len(tenants))
	scratch := make([]*block.Scratch, max(b.deps.Writers, 1)) // one a worker
	defer func() {
		for _, s := range scratch {
			if s != nil {
				s.Close()
			}
		}
		for i := range made { // where several wait at once it counts once for each
			b.waited.sum += made[i].waited.sum
		}
	}()
	write := func(ctx context.Context, worker, i int) error {
		if scratch[worker] == nil {
			scratch[worker] = block.NewScratch()
		}
		return b.writeTenant(ctx, tenants[i], scratch[worker], &made[i])
	}
	var small []int // indices
	for i, tenant := range tenants {
		if countRows(b.job.cut.Tables[tenant]) <= smallTenant {
			small = append(small, i)
		} else if err := write(ctx, 0, i); err != nil {
			return nil, err
		}
	}
	err := work.Each(ctx, b.deps.Writers, len(small), func(ctx context.Context, worker, i int) error {
		return write(ctx, worker, small[i])
	})
	return made, err
}

func countRows(tables []column.Table) (n int) {
	for _, t := range tables {
		n += t.Rows()
	}
	return n
}

// writeTenant writes the block of one tenant and looks for other homes of its traces.
func (b *cutBuild) writeTenant(ctx context.Context, tenant string, scratch *block.Scratch, out *tenantBlock) error {
	m, traces, err := b.writeBlock(ctx, tenant, scratch, &out.waited)
	if err != nil {
		return fmt.Errorf("write block of tenant %s: %w", tenant, err)
	}
	out.meta, out.sharing = m, newSharing(m.GetId(), traces)
	return b.findShared(ctx, out)
}

// writeBlock writes the objects of a tenant's block. It returns what the catalog keeps of the
// block, and its traces.
func (b *cutBuild) writeBlock(
	ctx context.Context, tenant string, scratch *block.Scratch, waited *storageTime,
) (*blocks.BlockMeta, []block.TraceExtent, error) {
	cut := b.job.cut
	id := b.deps.NewID(tenant, b.job.epoch, b.job.partition, cut.From, cut.To, b.job.attempt)
	up := &upload{
		ctx:    ctx,
		bucket: b.deps.Bucket,
		folder: blockstore.Folder(tenant, id),
		clock:  b.deps.Clock,
		waited: waited,
	}
	meta, traces, err := writeTables(ctx, cut.Tables[tenant], block.WriteOptions{
		ID:           id,
		Tenant:       tenant,
		Epoch:        b.job.epoch,
		Partition:    b.job.partition,
		Parts:        cut.Parts,
		From:         cut.From,
		To:           cut.To,
		MinArrival:   cut.FirstArrival,
		MaxArrival:   cut.LastArrival,
		RowGroupRows: b.cfg.RowGroup,
		Scratch:      scratch,
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
	if err := up.createObject(block.MetaObject, bytes.NewReader(raw)); err != nil {
		return nil, nil, err
	}
	return jobs.CatalogMeta(meta, raw), traces, nil
}

// writeTables is block.Write with a panic as an error: one record must not keep all others from
// being built.
func writeTables(
	ctx context.Context, tables []column.Table, o block.WriteOptions, sink block.Sink,
) (m *block.Meta, traces []block.TraceExtent, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("BUG: writing a block panicked: %v\n%s", r, debug.Stack())
		}
	}()
	return block.Write(ctx, tables, o, sink)
}
