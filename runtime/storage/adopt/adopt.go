// Package adopt adds blocks that were made elsewhere to the catalog of a bucket. A node may be
// running on the bucket: the entry is written as the next one of the journal, or not at all, so
// nobody publishes anything between the look for other homes of its traces and the entry.
package adopt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// The errors of an Adopter.
var (
	// ErrImported means that the catalog has records of the block's range already.
	ErrImported = errors.New("it was imported before")
	// ErrNoJournal means that the bucket has blocks and no catalog.
	ErrNoJournal = errors.New("the bucket has blocks and no catalog: start a node on it, which makes the catalog anew")
)

const (
	// indexBytes bounds the indexes of blocks that are kept in memory.
	indexBytes = 256 << 20

	// tries is how often an entry is tried while a node writes its own.
	tries = 50

	// goneTries is how often a block that the catalog lists may be gone: it was merged meanwhile,
	// or is lost.
	goneTries = 3

	// traceWindow is how far apart the spans of a trace are seen together.
	traceWindow = 24 * time.Hour
)

// Adopter adds blocks to one bucket. It belongs to one goroutine.
type Adopter struct {
	bucket  objstore.Bucket
	journal *journal.Journal
	blocks  *blockstore.Store
	writer  string
	catalog *catalog.State
}

// Open reads the catalog of a bucket. writer names the process in what it writes.
func Open(ctx context.Context, b objstore.Bucket, writer string) (*Adopter, error) {
	a := &Adopter{
		bucket:  b,
		journal: journal.New(b, blockstore.CatalogFolder),
		blocks:  blockstore.NewStore(b, indexBytes),
		writer:  writer,
	}
	if err := a.loadCatalog(ctx); err != nil {
		return nil, err
	}
	if a.catalog.View().Version > 0 {
		return a, nil
	}
	return a, b.List(ctx, "", func(o objstore.Info) error {
		if n, ok := blockstore.ParseObjectName(o.Name); ok && n.Object == block.MetaObject {
			return ErrNoJournal
		}
		return nil
	})
}

// Begin begins the catalog of a bucket that has none, before the first block is written. Otherwise
// the blocks of an import that ended before its first entry would look like those of a lost
// catalog.
func (a *Adopter) Begin(ctx context.Context) error {
	if a.catalog.View().Version > 0 {
		return nil
	}
	err := a.writeCommit(ctx)
	if errors.Is(err, journal.ErrTaken) {
		err = a.loadCatalog(ctx)
	}
	return err
}

// Catalog returns the catalog as it was read last.
func (a *Adopter) Catalog() *catalog.State { return a.catalog }

func (a *Adopter) loadCatalog(ctx context.Context) (err error) {
	a.catalog, err = blockstore.LoadCatalog(ctx, a.bucket)
	return err
}

// Publish adds a block of an import epoch, whose objects are durable, to the catalog.
//
// Errors: ErrImported; then the catalog does not list the block.
func (a *Adopter) Publish(ctx context.Context, m *blocks.BlockMeta, traces []block.TraceExtent) error {
	s := newSharing(a.blocks, m, traces)
	for try := 1; ; try++ {
		if a.catalog.HasBlock(m) {
			return nil
		}
		for _, r := range catalog.RangesOf(m) {
			if catalog.FirstOverlap(a.catalog.Imported(m.GetTenant())[r.GetEpoch()], r) != nil {
				return ErrImported
			}
		}
		err := s.lookInBlocks(ctx, a.homesOf(m))
		if err == nil {
			err = a.writeCommit(ctx, &blocks.Entry{BlocksImported: &blocks.BlocksImported{
				Tenant:       m.GetTenant(),
				Blocks:       []*blocks.BlockMeta{m},
				SharedTraces: s.message(ctx),
			}})
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		if try == tries || errors.Is(err, objstore.ErrNotFound) && try == goneTries {
			return fmt.Errorf("add block %s to the catalog: %w", m.GetId(), err)
		}
		// Somebody else has written the number, or removed a block, or nobody knows whether the
		// entry is there: the journal tells.
		if loadErr := a.loadCatalog(ctx); loadErr != nil {
			return errors.Join(err, loadErr)
		}
	}
}

// homesOf returns the live blocks in which parts of the traces of a block may lie: those within the
// trace window, and those that may be merged with it.
func (a *Adopter) homesOf(m *blocks.BlockMeta) (out []*blocks.BlockMeta) {
	window := jobs.Range{Start: m.GetMinStartUnixNano(), End: m.GetMaxEndUnixNano()}.Widen(traceWindow)
	near := map[string]bool{}
	for _, o := range a.catalog.View().Blocks(m.GetTenant(), window.Start, window.End) {
		near[o.GetId()] = true
	}
	for _, o := range a.catalog.View().Blocks(m.GetTenant(), 0, ^uint64(0)) {
		if near[o.GetId()] || compact.DayOf(o) == compact.DayOf(m) {
			out = append(out, o)
		}
	}
	return out
}

// writeCommit writes the next commit of the journal.
func (a *Adopter) writeCommit(ctx context.Context, entries ...*blocks.Entry) error {
	c := &blocks.Commit{
		Seq:        a.catalog.View().Version + 1,
		Entries:    entries,
		AtUnixNano: time.Now().UnixNano(),
		Writer:     a.writer,
	}
	next, err := a.catalog.With(c.GetSeq(), entries...)
	if err != nil {
		return err
	}
	data, err := proto.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode commit: %w", err)
	}
	if err := a.journal.Append(ctx, c.GetSeq(), data); err != nil {
		return err
	}
	a.catalog = next
	return nil
}
