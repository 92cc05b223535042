package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// The states of a block.
const (
	stateLive     = "live"
	stateMissing  = "missing"  // live, and objects of it are gone
	stateDamaged  = "damaged"  // live, and its objects are not what the catalog says
	stateRetired  = "retired"  // no longer live
	stateUnlisted = "unlisted" // written, but never published
)

// listed is a block of the catalog, of the bucket, or of both.
type listed struct {
	meta    block.Meta
	state   string
	wrong   []string // what the bucket lacks or has otherwise than the catalog says
	objects blockstore.Objects
}

func (l *listed) openBlock(ctx context.Context) (*block.Block, error) {
	b, err := block.Open(ctx, l.objects, &l.meta)
	if err != nil {
		return nil, fmt.Errorf("open block %s of tenant %s: %w", l.meta.ID, l.meta.Tenant, err)
	}
	return b, nil
}

// errorOfWrong is an error that names the blocks which are missing or damaged; nil if there are
// none.
func (f *bucketFlags) errorOfWrong(all []listed) error {
	var errs []error
	for _, l := range all {
		if len(l.wrong) > 0 {
			errs = append(errs, fmt.Errorf("block %s of tenant %s is %s: %s", l.meta.ID, l.meta.Tenant, l.state,
				strings.Join(l.wrong, "; ")))
		}
	}
	if len(errs) > 0 {
		errs = append(errs, errors.New("restore the bucket's files from a copy, "+
			"or settle a block that is gone for good with `troupectl blocks rm`"))
	}
	return errors.Join(errs...)
}

const noCatalog = "the catalog cannot be read, and the next start of a node makes it anew from the blocks"

// listBlocks compares the catalog with the bucket's objects and returns the blocks of both, newest
// first. Objects that cannot be read are warnings. So is a catalog that cannot be read, unless it
// is needed.
func (f *bucketFlags) listBlocks(cmd *cobra.Command, needCatalog bool) ([]listed, error) {
	ctx := cmd.Context()
	warn, err := f.out.makeNotes(cmd)
	if err != nil {
		return nil, err
	}
	b, closeBucket, err := openPlace(ctx, f.path, objstore.ViewLocal)
	if err != nil {
		return nil, err
	}
	defer closeBucket()
	b = cachePieces(b)
	c, err := blockstore.LoadCatalog(ctx, b)
	if err != nil && needCatalog {
		return nil, fmt.Errorf("%s: %w", noCatalog, err)
	}
	if err != nil {
		warn.Warn(fmt.Sprintf("%s: %v", noCatalog, err))
		c = catalog.New()
	}
	return f.compareBlocks(ctx, b, c, warn.Warn)
}

// compareBlocks finds the blocks of a catalog and of a bucket.
func (f *bucketFlags) compareBlocks(
	ctx context.Context, b objstore.Bucket, c *catalog.State, warn func(string),
) ([]listed, error) {
	sizes := map[string]int64{} // of the objects
	prefix := ""
	if f.tenant != "" {
		prefix = f.tenant + "/"
	}
	err := b.List(ctx, prefix, func(o objstore.Info) error {
		sizes[o.Name] = o.Size
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list bucket %s: %w", f.path, err)
	}
	var out []listed
	known := map[string]bool{}
	for _, tenant := range c.View().Tenants() {
		if f.tenant != "" && tenant != f.tenant {
			continue
		}
		for _, m := range c.View().Blocks(tenant, 0, ^uint64(0)) {
			known[m.GetId()] = true
			l, err := compareBlock(ctx, b, m, sizes)
			if err != nil {
				return nil, err
			}
			out = append(out, l)
		}
	}
	retired := map[string]bool{}
	for _, r := range c.Retired() {
		retired[r.GetBlock().GetId()] = true
	}
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		n, ok := blockstore.ParseObjectName(name)
		if !ok || n.Object != block.MetaObject || known[n.ID] {
			continue
		}
		l := listed{state: stateUnlisted, objects: blockstore.ObjectsOf(b, n.Tenant, n.ID)}
		raw, err := b.Read(ctx, name, blockstore.MaxMeta)
		if err == nil {
			err = json.Unmarshal(raw, &l.meta)
		}
		if err != nil {
			warn(fmt.Sprintf("read %s: %v", name, err))
			continue
		}
		if retired[l.meta.ID] {
			l.state = stateRetired
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b listed) int {
		return cmp.Or(cmp.Compare(b.meta.MaxEnd, a.meta.MaxEnd), strings.Compare(a.meta.ID, b.meta.ID))
	})
	return out, nil
}

// compareBlock finds out what is wrong with the objects of a block of the catalog, from their
// names and sizes.
func compareBlock(ctx context.Context, b objstore.Bucket, m *blocks.BlockMeta, sizes map[string]int64) (listed, error) {
	folder := blockstore.Folder(m.GetTenant(), m.GetId())
	l := listed{state: stateLive, objects: blockstore.ObjectsOf(b, m.GetTenant(), m.GetId())}
	meta, err := blockstore.DecodeMeta(m)
	if err != nil {
		return l, err
	}
	l.meta = *meta
	fail := func(state, format string, args ...any) {
		if l.wrong = append(l.wrong, fmt.Sprintf(format, args...)); l.state != stateMissing {
			l.state = state
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.meta.Objects)) {
		size, ok := sizes[folder+name]
		switch {
		case !ok:
			fail(stateMissing, "%s is gone", name)
		case size != l.meta.Objects[name]:
			fail(stateDamaged, "%s has %d bytes and had %d", name, size, l.meta.Objects[name])
		}
	}
	raw, err := b.Read(ctx, folder+block.MetaObject, blockstore.MaxMeta)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		fail(stateMissing, "meta.json is gone")
	case err != nil && !errors.Is(err, objstore.ErrTooLarge):
		return l, err
	case !bytes.Equal(raw, m.GetMetaJson()):
		fail(stateDamaged, "meta.json is another one than in the catalog")
	}
	return l, nil
}

// findBlock finds the block whose id is or begins with id.
func (f *bucketFlags) findBlock(cmd *cobra.Command, id string) (*listed, error) {
	all, err := f.listBlocks(cmd, false)
	if err != nil {
		return nil, err
	}
	return f.chooseByID(all, id)
}

// chooseByID is findBlock among blocks that are known.
func (f *bucketFlags) chooseByID(all []listed, id string) (*listed, error) {
	found := slices.DeleteFunc(slices.Clone(all), func(l listed) bool { return !strings.HasPrefix(l.meta.ID, id) })
	switch len(found) {
	case 1:
		return &found[0], nil
	case 0:
		return nil, fmt.Errorf("no block %s in bucket %s: `troupectl blocks ls` lists them", id, f.path)
	}
	return nil, fmt.Errorf("%d blocks begin with %s: give more of the id", len(found), id)
}
