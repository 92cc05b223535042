package blockstore

import (
	"context"
	"fmt"

	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// CatalogFolder is where the journal of the catalog lies in a bucket.
const CatalogFolder = "catalog/"

// LoadCatalog reads the catalog of a bucket, which is at version 0 where there is none. It changes
// nothing; the backend-scheduler has a way of its own, which mends what is damaged.
func LoadCatalog(ctx context.Context, b objstore.Bucket) (*catalog.State, error) {
	l, err := journal.New(b, CatalogFolder).Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	return catalog.Load(l.Snapshot, l.Entries)
}
