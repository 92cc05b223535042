// Package blockstore knows where the blocks of a bucket lie, how a block is opened by its entry in
// the catalog, and how traces are found in it. It joins engine/block, which knows no bucket, with
// objstore, which knows no blocks.
//
// Every block has a folder of its own, <tenant>/<block id>/, with the objects that
// docs/format/tcb1.md describes.
package blockstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/storage/cache"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// MaxMeta bounds the size of a meta.json in bytes.
const MaxMeta = 16 << 20

// Key names a block among all blocks of a bucket.
func Key(tenant, id string) string { return tenant + "/" + id }

// Folder returns the prefix that the names of a block's objects share.
func Folder(tenant, id string) string { return tenant + "/" + id + "/" }

// ObjectName is the name of an object in the folder of a block, taken apart.
type ObjectName struct{ Tenant, ID, Object string }

// ParseObjectName takes the name of an object of the bucket apart. It returns ok=false if the name
// does not have the form of one in the folder of a block.
func ParseObjectName(name string) (n ObjectName, ok bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 {
		return n, false
	}
	return ObjectName{Tenant: parts[0], ID: parts[1], Object: parts[2]}, true
}

// Folder returns the folder that the object lies in.
func (n ObjectName) Folder() string { return Folder(n.Tenant, n.ID) }

// DecodeMeta returns the block's meta.json, which its entry in the catalog holds.
func DecodeMeta(m *blocks.BlockMeta) (*block.Meta, error) {
	var meta block.Meta
	if err := json.Unmarshal(m.GetMetaJson(), &meta); err != nil {
		return nil, fmt.Errorf("decode meta of block %s: %w", m.GetId(), err)
	}
	return &meta, nil
}

// Objects are the objects in the folder of one block. It implements block.Source.
type Objects struct {
	bucket objstore.Bucket
	folder string
}

// ObjectsOf returns the objects of a block.
func ObjectsOf(b objstore.Bucket, tenant, id string) Objects {
	return Objects{bucket: b, folder: Folder(tenant, id)}
}

// ReadRange fills buf from the object at off; an object that ends before is an error.
func (o Objects) ReadRange(ctx context.Context, name string, off int64, buf []byte) error {
	n, err := o.bucket.ReadRange(ctx, o.folder+name, off, buf)
	if err == nil && n < len(buf) {
		err = fmt.Errorf("read %s at %d: %d of %d bytes", o.folder+name, off, n, len(buf))
	}
	return err
}

// concurrentObjects are Objects that read the ranges of one wave at the same time.
type concurrentObjects struct{ Objects }

// readsAtOnce bounds how many reads of one wave are under way.
const readsAtOnce = 16

// ReadRanges implements block.BatchSource.
func (o concurrentObjects) ReadRanges(ctx context.Context, ranges []block.Range) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	for _, r := range ranges {
		g.Go(func() error { return o.ReadRange(ctx, r.Name, r.Offset, r.Buf) })
	}
	return g.Wait()
}

// Opener opens blocks by their entries in the catalog. Implementations MAY return the same opened
// block to several callers, and MUST be safe for concurrent use.
type Opener interface {
	// Open returns the block. Errors: block.ErrCorrupt, objstore.ErrNotFound, or those of the
	// bucket.
	Open(ctx context.Context, m *blocks.BlockMeta) (*block.Block, error)
}

// Store is the Opener of a bucket. It keeps the indexes of the blocks that were used last.
type Store struct {
	bucket objstore.Bucket
	opened *cache.LRU[*block.Block] // by Key
}

// NewStore returns a Store that keeps at most indexBytes bytes of indexes in memory.
func NewStore(b objstore.Bucket, indexBytes int64) *Store {
	return &Store{bucket: b, opened: cache.New[*block.Block](indexBytes)}
}

// Open implements Opener. Callers that ask for the same block at the same time share one read.
func (s *Store) Open(ctx context.Context, m *blocks.BlockMeta) (*block.Block, error) {
	return s.opened.Get(ctx, Key(m.GetTenant(), m.GetId()), func(ctx context.Context) (*block.Block, int64, error) {
		meta, err := DecodeMeta(m)
		if err != nil {
			return nil, 0, err
		}
		b, err := block.Open(ctx, concurrentObjects{ObjectsOf(s.bucket, m.GetTenant(), m.GetId())}, meta)
		if err != nil {
			return nil, 0, err
		}
		return b, b.Memory(), nil
	})
}
