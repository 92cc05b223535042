package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/storage/cache"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// blockOpener opens blocks of the bucket and keeps the parsed parts of those used last.
type blockOpener struct {
	bucket objstore.Bucket
	opened *cache.LRU[*block.Block]
}

// Open returns the block described by its catalog entry.
func (o *blockOpener) Open(ctx context.Context, m *blocks.BlockMeta) (*block.Block, error) {
	return o.opened.Get(ctx, m.GetTenant()+"/"+m.GetId(), func(ctx context.Context) (*block.Block, int64, error) {
		var meta block.Meta
		if err := json.Unmarshal(m.GetMetaJson(), &meta); err != nil {
			return nil, 0, fmt.Errorf("decode meta of block %s: %w", m.GetId(), err)
		}
		b, err := block.Open(ctx, objects{objstore.Sub(o.bucket, m.GetTenant()+"/"+m.GetId()+"/")}, &meta)
		if err != nil {
			return nil, 0, err
		}
		return b, b.Memory(), nil
	})
}

// objects are those of one block. Reads of one wave go out together.
type objects struct{ objstore.Folder }

// readsAtOnce bounds how many reads of one wave are under way.
const readsAtOnce = 16

// ReadRanges implements block.BatchSource.
func (o objects) ReadRanges(ctx context.Context, ranges []block.Range) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	for _, r := range ranges {
		g.Go(func() error { return o.ReadRange(ctx, r.Name, r.Offset, r.Buf) })
	}
	return g.Wait()
}

// blockSpace is the namespace of block ids, itself made once by version 4.
var blockSpace = uuid.MustParse("8b8b2f0e-6a4f-4e0c-9c59-1c1fd3f0a6d4")

// blockID names a block after what it holds and the attempt that wrote it, so that no two writes
// ever share objects.
func blockID(tenant, epoch string, partition int32, from, to int64, attempt int) string {
	b := make([]byte, 0, 64)
	b = binary.AppendUvarint(b, uint64(len(tenant)))
	b = append(b, tenant...)
	b = binary.AppendUvarint(b, uint64(len(epoch)))
	b = append(b, epoch...)
	b = binary.AppendVarint(b, int64(partition))
	b = binary.AppendVarint(b, from)
	b = binary.AppendVarint(b, to)
	salt := uuid.New() // a restarted builder counts its attempts from one again
	b = append(b, salt[:]...)
	b = binary.AppendVarint(b, int64(attempt))
	return uuid.NewSHA1(blockSpace, b).String()
}
