package adopt

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// PublishLeftovers publishes the blocks of a tenant that an import has written, and not published
// before it ended. Those of a range that was imported since are removed. A block that another
// process has written and is about to publish is published for it: it finds its block in the
// catalog.
func (a *Adopter) PublishLeftovers(ctx context.Context, tenant string) (published int, err error) {
	var left []*blocks.BlockMeta
	known := a.catalog.Orphans()
	err = a.bucket.List(ctx, tenant+"/", func(o objstore.Info) error {
		n, ok := blockstore.ParseObjectName(o.Name)
		if !ok || n.Object != block.MetaObject || known.Known(n.ID) {
			return nil
		}
		raw, err := a.bucket.Read(ctx, o.Name, blockstore.MaxMeta)
		if errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrTooLarge) {
			return nil
		}
		if err != nil {
			return err
		}
		var m block.Meta
		if json.Unmarshal(raw, &m) == nil && m.ID == n.ID && m.Tenant == tenant && catalog.IsImport(m.Epoch) &&
			m.Level == 0 {
			left = append(left, jobs.CatalogMeta(&m, raw))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, m := range left {
		traces, err := a.tracesOf(ctx, m)
		if errors.Is(err, block.ErrCorrupt) || errors.Is(err, objstore.ErrNotFound) {
			continue // a part of it, whose range is imported again
		}
		if err == nil {
			err = a.Publish(ctx, m, traces)
		}
		if errors.Is(err, ErrImported) {
			err = a.removeBlock(ctx, m)
			published--
		}
		if err != nil {
			return published, err
		}
		published++
	}
	return published, nil
}

func (a *Adopter) tracesOf(ctx context.Context, m *blocks.BlockMeta) (out []block.TraceExtent, err error) {
	b, err := a.blocks.Open(ctx, m)
	if err != nil {
		return nil, err
	}
	for _, t := range b.Reader().Tables() {
		for i := range t.Traces() {
			info, err := t.Trace(ctx, i)
			if err != nil {
				return nil, err
			}
			out = append(out, block.TraceExtent{ID: info.ID, Start: info.Start, End: info.End})
		}
	}
	return out, nil
}

// removeBlock removes the objects of a block that no catalog lists, the meta first: a catalog that
// is made anew from the metas must not list a block of which a part is gone.
func (a *Adopter) removeBlock(ctx context.Context, m *blocks.BlockMeta) error {
	folder := blockstore.Folder(m.GetTenant(), m.GetId())
	for _, name := range append([]string{block.MetaObject}, block.PartNames()...) {
		if err := a.bucket.Delete(ctx, folder+name); err != nil {
			return err
		}
	}
	return nil
}
