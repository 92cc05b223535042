// Package journal keeps a sequence of entries as objects that are created only where absent, and snapshots of what they lead to.
package journal

import (
	"context"
	"errors"

	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// ErrTaken: another writer has written this sequence number.
var ErrTaken = errors.New("sequence number is taken")

// Journal is a sequence of entries 1, 2, … in a bucket.
type Journal struct {
	bucket objstore.Bucket
	prefix string
}

// New makes a Journal of the objects below prefix, such as "catalog/".
func New(b objstore.Bucket, prefix string) *Journal { return &Journal{bucket: b, prefix: prefix} }

// Loaded is the newest snapshot and the entries after it.
type Loaded struct {
	Snapshot    []byte // nil: none
	SnapshotSeq uint64
	Entries     [][]byte // SnapshotSeq+1 … Last
	Last        uint64
}

// Load reads the journal.
func (j *Journal) Load(ctx context.Context) (Loaded, error) { panic("BUG: not built") }

// Append makes entry seq durable, or returns ErrTaken.
func (j *Journal) Append(ctx context.Context, seq uint64, data []byte) error {
	panic("BUG: not built")
}

// SaveSnapshot makes a snapshot of the state after entry seq durable.
func (j *Journal) SaveSnapshot(ctx context.Context, seq uint64, data []byte) error {
	panic("BUG: not built")
}
