// Package backup copies buckets: a backup is a bucket that holds one version of the catalog, all
// blocks that it lists, and what else a node keeps there.
//
// Objects are never changed, so what is there with its size is there. A copy that was interrupted
// is run again and copies the rest; a backup that is brought up to date copies what is new. The
// catalog comes last: until then the backup is the one before.
//
// A node may run on the bucket meanwhile. Blocks that it merges or retires while they are copied
// are replaced by those of the newer version.
package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// The errors of copies.
var (
	// ErrForeign means that the target holds another bucket.
	ErrForeign = errors.New("it holds another bucket")
	// ErrInUse means that a node has written to the target.
	ErrInUse = errors.New("a node has written to it")
	// ErrForked means that the target has what the source never had.
	ErrForked = errors.New("it is newer than what is to be copied, or of another history")
	// ErrNothing means that there is no catalog to copy.
	ErrNothing = errors.New("it has no catalog: no node has written to it")
)

// Options say how objects are copied.
type Options struct {
	AtOnce   int           // objects; 0: 4
	Limit    *rate.Limiter // of bytes, nil: none
	Verify   bool          // every page of each block that was copied is read again
	Progress func(copied, total int64)
}

// Result is what a copy has done.
type Result struct {
	Version uint64 `json:"version"` // of the catalog
	Blocks  int    `json:"blocks"`  // that the catalog lists
	Spans   int64  `json:"spans"`
	Copied  int    `json:"copied"` // objects
	Equal   int    `json:"equal"`  // objects that were there
	Bytes   int64  `json:"bytes"`  // that were copied
	Pruned  int    `json:"pruned"` // blocks
	// Missing are the blocks of which a part could not be copied, because the source has lost it or
	// has it otherwise than its catalog says. The copy's catalog lists them, so answers name them.
	Missing []Missing `json:"missing,omitempty"`
}

// Missing is a block that could not be copied.
type Missing struct {
	Tenant string `json:"tenant"`
	Block  string `json:"block"`
	Reason string `json:"reason"`
}

// Copy brings a backup up to date, or begins one in an empty bucket.
func Copy(ctx context.Context, from, to objstore.Bucket, o Options) (*Result, error) {
	c := newCopier(from, to, o)
	if err := c.checkTarget(ctx); err != nil {
		return nil, err
	}
	if err := c.copyLiveBlocks(ctx); err != nil {
		return nil, err
	}
	if err := c.copyOthers(ctx); err != nil {
		return nil, err
	}
	if err := c.saveCatalog(ctx); err != nil {
		return nil, err
	}
	return c.result(), nil
}

// Restore makes an empty bucket a copy of a backup. The catalog comes first: a node that is started
// on the bucket before all is there names what is missing.
func Restore(ctx context.Context, from, to objstore.Bucket, o Options) (*Result, error) {
	c := newCopier(from, to, o)
	err := c.checkTarget(ctx)
	if errors.Is(err, ErrInUse) {
		return c.putBack(ctx)
	}
	if err != nil {
		return nil, err
	}
	if err := c.loadCatalog(ctx); err != nil {
		return nil, err
	}
	if err := c.saveCatalog(ctx); err != nil {
		return nil, err
	}
	if err := c.copyOthers(ctx); err != nil {
		return nil, err
	}
	if err := c.copyLiveBlocks(ctx); err != nil {
		return nil, err
	}
	return c.result(), nil
}

// putBack copies the objects that live blocks of a bucket in use have lost and the backup has.
func (c *copier) putBack(ctx context.Context) (*Result, error) {
	own, err := blockstore.LoadCatalog(ctx, c.to)
	if err != nil {
		return nil, err
	}
	c.catalog = own
	if err := c.copyBlocks(ctx, c.liveBlocks()); err != nil {
		return nil, err
	}
	return c.result(), nil
}

// overridesFolder is where the limits lie that tenants have set themselves: a journal, too.
const overridesFolder = "overrides/"

func (c *copier) loadCatalog(ctx context.Context) (err error) {
	if c.catalog, err = blockstore.LoadCatalog(ctx, c.from); err != nil {
		return err
	}
	if c.catalog.View().Version == 0 {
		return ErrNothing
	}
	return nil
}

func (c *copier) liveBlocks() (list []*blocks.BlockMeta) {
	for _, name := range c.catalog.View().Tenants() {
		list = append(list, c.catalog.View().Blocks(name, 0, ^uint64(0))...)
	}
	return list
}

// checkTarget returns an error unless the target is empty or a backup of the same bucket, and gives
// it the bucket's identity. ErrInUse is returned only for the same bucket.
func (c *copier) checkTarget(ctx context.Context) error {
	from, err := objstore.ReadIdentity(ctx, c.from)
	if err != nil {
		return err
	}
	to, err := objstore.ReadIdentity(ctx, c.to)
	if err != nil {
		return err
	}
	if (to.ID != "" || !to.Empty) && to.ID != from.ID {
		return fmt.Errorf("the target: %w than the source", ErrForeign)
	}
	err = c.to.List(ctx, blockstore.CatalogFolder, func(o objstore.Info) error {
		if !strings.HasPrefix(o.Name, blockstore.CatalogFolder+"snapshot") {
			return fmt.Errorf("the target: %w", ErrInUse)
		}
		return nil
	})
	if err == nil && to.ID == "" && from.ID != "" {
		_, err = objstore.SaveIdentity(ctx, c.to, from.ID)
	}
	return err
}

// reloads is how often blocks may go while they are copied.
const reloads = 20

// copyLiveBlocks copies the blocks of the newest version of the catalog.
func (c *copier) copyLiveBlocks(ctx context.Context) error {
	for range reloads {
		if err := c.loadCatalog(ctx); err != nil {
			return err
		}
		if err := c.copyBlocks(ctx, c.liveBlocks()); err != nil {
			return err
		}
		moved, err := c.hasMoved(ctx)
		if err != nil || !moved {
			return err
		}
	}
	return errors.New("blocks are merged or removed faster than they can be copied: raise the limits of the copy")
}

// hasMoved reports whether a block that could not be copied is no longer live.
func (c *copier) hasMoved(ctx context.Context) (bool, error) {
	if len(c.missing) == 0 {
		return false, nil
	}
	newer, err := blockstore.LoadCatalog(ctx, c.from)
	if err != nil {
		return false, err
	}
	for _, m := range c.missing {
		if len(newer.FindBlocks(m.Tenant, []string{m.Block})) == 0 {
			return true, nil
		}
	}
	return false, nil
}

// copyOthers copies what is neither of the catalog nor of a block: records that were set aside, and
// the limits that tenants have set themselves.
func (c *copier) copyOthers(ctx context.Context) error {
	var names []string
	err := c.from.List(ctx, "", func(o objstore.Info) error {
		if isOther(o.Name) {
			names = append(names, o.Name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the bucket: %w", err)
	}
	for _, name := range names {
		err := c.copySmall(ctx, name)
		if errors.Is(err, objstore.ErrNotFound) && strings.HasPrefix(name, overridesFolder) {
			continue // a newer snapshot has taken its place, and is copied the next time
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func isOther(name string) bool {
	top, _, inFolder := strings.Cut(name, "/")
	n, ok := blockstore.ParseObjectName(name)
	isBlock := ok && uuid.Validate(n.ID) == nil
	return inFolder && top+"/" != blockstore.CatalogFolder && !strings.HasPrefix(top, "catalog-damaged") && !isBlock
}

// maxSmall bounds an object that is neither of the catalog nor of a block, in bytes.
const maxSmall = 1 << 30

// copySmall copies an object, or compares it with the one that is there.
func (c *copier) copySmall(ctx context.Context, name string) error {
	want, err := c.from.Read(ctx, name, maxSmall)
	if err != nil {
		return err
	}
	_, err = c.to.Create(ctx, name, bytes.NewReader(want))
	if err == nil {
		c.copied.Add(1)
		c.bytes.Add(int64(len(want)))
		return nil
	}
	if !errors.Is(err, objstore.ErrExists) {
		return err
	}
	got, err := c.to.Read(ctx, name, maxSmall)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("the target: %w: its object %s is another one", ErrForked, name)
	}
	c.equal.Add(1)
	return err
}

// saveCatalog writes the version whose blocks were copied, as one snapshot. In the copy no merge is
// under way, and nothing waits for its removal.
func (c *copier) saveCatalog(ctx context.Context) error {
	version := c.catalog.View().Version
	if err := c.checkOlder(ctx, version); err != nil {
		return err
	}
	var entries []*blocks.Entry
	for _, l := range c.catalog.Leases() {
		entries = append(entries, &blocks.Entry{JobClosed: &blocks.JobClosed{Lease: l.GetLease(), Reason: "copied"}})
	}
	forgotten := &blocks.Forgotten{}
	for _, r := range c.catalog.Retired() {
		forgotten.Blocks = append(forgotten.Blocks, r.GetBlock().GetId())
	}
	if len(forgotten.GetBlocks()) > 0 {
		entries = append(entries, &blocks.Entry{Forgotten: forgotten})
	}
	clean, err := c.catalog.With(version, entries...)
	if err != nil {
		return err
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(clean.Snapshot())
	if err != nil {
		return fmt.Errorf("encode snapshot: %w", err)
	}
	err = journal.New(c.to, blockstore.CatalogFolder).SaveSnapshot(ctx, version, data)
	if errors.Is(err, journal.ErrTaken) {
		return nil // of an earlier run
	}
	return err
}

// checkOlder returns an error if the target has a newer catalog than the one to be written.
func (c *copier) checkOlder(ctx context.Context, version uint64) error {
	l, err := journal.New(c.to, blockstore.CatalogFolder).Load(ctx)
	if err != nil && !errors.Is(err, journal.ErrCorrupt) {
		return err
	}
	if l.Last > version {
		return fmt.Errorf("the target: %w: its catalog has version %d, the other %d", ErrForked, l.Last, version)
	}
	return nil
}

func (c *copier) result() *Result {
	r := &Result{
		Version: c.catalog.View().Version,
		Copied:  int(c.copied.Load()),
		Equal:   int(c.equal.Load()),
		Bytes:   c.bytes.Load(),
		Missing: slices.SortedFunc(maps.Values(c.missing), func(a, b Missing) int {
			return strings.Compare(a.Tenant+a.Block, b.Tenant+b.Block)
		}),
	}
	for _, m := range c.liveBlocks() {
		r.Blocks, r.Spans = r.Blocks+1, r.Spans+m.GetSpans()
	}
	return r
}

// Prune removes the blocks from a backup that its catalog does not list, the meta first: what has
// no meta is no block. It returns how many.
func Prune(ctx context.Context, b objstore.Bucket) (removed int, err error) {
	c, err := blockstore.LoadCatalog(ctx, b)
	if err != nil {
		return 0, err
	}
	known := c.Orphans()
	folders := map[string][]string{} // names of objects by id of the block
	err = b.List(ctx, "", func(o objstore.Info) error {
		n, ok := blockstore.ParseObjectName(o.Name)
		if !ok || uuid.Validate(n.ID) != nil || known.Known(n.ID) {
			return nil
		}
		if n.Object == block.MetaObject {
			folders[n.ID] = append([]string{o.Name}, folders[n.ID]...)
		} else {
			folders[n.ID] = append(folders[n.ID], o.Name)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("list the backup: %w", err)
	}
	for _, names := range folders {
		for _, name := range names {
			if err := b.Delete(ctx, name); err != nil {
				return removed, err
			}
		}
		removed++
	}
	return removed, nil
}
