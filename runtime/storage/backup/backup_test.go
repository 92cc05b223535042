package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/storage/adopt"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// addBlocks adds some blocks of a source to a bucket.
func addBlocks(t *testing.T, b objstore.Bucket, source string, count int) {
	t.Helper()
	a, err := adopt.Open(t.Context(), b, source)
	require.NoError(t, err)
	require.NoError(t, a.Begin(t.Context()))
	w := a.NewWriter("shop", source, 0, noon)
	for i := range count {
		at := uint64(noon.UnixNano()) - uint64(i+1)*1e9
		record := otlp.Encode(&otlp.Span{Trace: otlp.TraceID(uint64(i)), ID: otlp.SpanID(uint64(len(source))), Name: source,
			Start: at, End: at + 9})
		require.NoError(t, w.AddTrace(t.Context(), at, at+9, record))
		require.NoError(t, w.Flush(t.Context()))
	}
}

// newBucket makes a bucket with an identity, blocks that share traces, and what else is in a
// bucket.
func newBucket(t *testing.T) *objstore.Memory {
	t.Helper()
	b := objstore.NewMemory()
	_, err := objstore.SaveIdentity(t.Context(), b, "")
	require.NoError(t, err)
	addBlocks(t, b, "a", 5)
	addBlocks(t, b, "bb", 3)
	for _, name := range []string{"set-aside/e-0/1-2-3.jsonl", fmt.Sprintf("overrides/%020d", 1)} {
		_, err := b.Create(t.Context(), name, strings.NewReader(name))
		require.NoError(t, err)
	}
	return b
}

// append adds a commit to the catalog of a bucket.
func appendEntries(t *testing.T, b objstore.Bucket, entries func(version uint64) []*blocks.Entry) {
	t.Helper()
	c, err := blockstore.LoadCatalog(t.Context(), b)
	require.NoError(t, err)
	seq := c.View().Version + 1
	data, err := proto.Marshal(&blocks.Commit{Seq: seq, Entries: entries(seq)})
	require.NoError(t, err)
	require.NoError(t, journal.New(b, blockstore.CatalogFolder).Append(t.Context(), seq, data))
}

func blockIDs(t *testing.T, b objstore.Bucket) (ids []string) {
	t.Helper()
	c, err := blockstore.LoadCatalog(t.Context(), b)
	require.NoError(t, err)
	for _, m := range c.View().Blocks("shop", 0, ^uint64(0)) {
		ids = append(ids, m.GetId())
	}
	slices.Sort(ids)
	return ids
}

// requireWhole requires that every block that a bucket's catalog lists can be read, and the homes
// of traces are those of another bucket.
func requireWhole(t *testing.T, b, like objstore.Bucket) {
	t.Helper()
	c, err := blockstore.LoadCatalog(t.Context(), b)
	require.NoError(t, err)
	for _, m := range c.View().Blocks("shop", 0, ^uint64(0)) {
		meta, err := blockstore.DecodeMeta(m)
		require.NoError(t, err)
		opened, err := block.Open(t.Context(), blockstore.ObjectsOf(b, "shop", m.GetId()), meta)
		require.NoError(t, err)
		_, err = opened.Verify(t.Context())
		require.NoError(t, err)
		raw, err := b.Read(t.Context(), blockstore.Folder("shop", m.GetId())+block.MetaObject, 1<<20)
		require.NoError(t, err)
		require.Equal(t, m.GetMetaJson(), raw)
	}
	want, err := blockstore.LoadCatalog(t.Context(), like)
	require.NoError(t, err)
	shared := 0
	for x := range want.View().Shared("shop").All() {
		homes := want.View().Shared("shop").HomesOf(x.ID)
		got, ok := c.View().Shared("shop").Find(x.ID)
		require.Equal(t, len(want.FindBlocks("shop", homes)) == len(homes), ok, "without the homes that are retired")
		if ok {
			require.Equal(t, x, got)
			shared++
		}
	}
	require.Equal(t, shared, c.View().Shared("shop").Len())
}

// A backup holds what the bucket holds, without the merges that are under way; it is brought up to
// date by what is new; and a restored bucket is the one that was copied.
func TestCopyAndRestore(t *testing.T) {
	from, to, again := newBucket(t), objstore.NewMemory(), objstore.NewMemory()
	ids := blockIDs(t, from)
	appendEntries(t, from, func(v uint64) []*blocks.Entry {
		return []*blocks.Entry{{JobLeased: &blocks.JobLeased{Lease: fmt.Sprint(v, ".x"), Tenant: "shop", Inputs: ids[:2]}},
			{BlocksRetired: &blocks.BlocksRetired{Tenant: "shop", Blocks: ids[2:3], AtUnixNano: 1}}}
	})
	o := Options{Verify: true, Limit: rate.NewLimiter(1e8, 1<<16)}
	r, err := Copy(t.Context(), from, to, o)
	require.NoError(t, err)
	require.Equal(t, 7, r.Blocks)
	require.Empty(t, r.Missing)
	require.Equal(t, blockIDs(t, from), blockIDs(t, to))
	c, err := blockstore.LoadCatalog(t.Context(), to)
	require.NoError(t, err)
	require.Empty(t, c.Leases())
	require.Empty(t, c.Retired())

	r, err = Copy(t.Context(), from, to, o)
	require.NoError(t, err)
	require.Zero(t, r.Copied)
	addBlocks(t, from, "ccc", 2)
	r, err = Copy(t.Context(), from, to, o)
	require.NoError(t, err)
	require.Equal(t, 4, r.Copied, "two objects a block")

	r, err = Restore(t.Context(), to, again, o)
	require.NoError(t, err)
	require.Equal(t, 9, r.Blocks)
	require.Equal(t, 9*2+2, r.Copied, "two objects a block, and the others")
	requireWhole(t, again, to)
	require.Equal(t, blockIDs(t, from), blockIDs(t, again))
	for _, name := range []string{"bucket-id", "set-aside/e-0/1-2-3.jsonl", fmt.Sprintf("overrides/%020d", 1)} {
		want, err := from.Read(t.Context(), name, 1<<20)
		require.NoError(t, err)
		got, err := again.Read(t.Context(), name, 1<<20)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err = Restore(t.Context(), to, again, o)
	require.NoError(t, err)
}

// Of a backup that was brought up to date often, only what the newest version lists is kept.
func TestPrune(t *testing.T) {
	from, to := newBucket(t), objstore.NewMemory()
	_, err := Copy(t.Context(), from, to, Options{})
	require.NoError(t, err)
	ids := blockIDs(t, from)
	appendEntries(t, from, func(uint64) []*blocks.Entry {
		return []*blocks.Entry{{BlocksRetired: &blocks.BlocksRetired{Tenant: "shop", Blocks: ids[:2]}}}
	})
	_, err = Copy(t.Context(), from, to, Options{})
	require.NoError(t, err)
	n, err := Prune(t.Context(), to)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	requireWhole(t, to, from)
	n, err = Prune(t.Context(), to)
	require.NoError(t, err)
	require.Zero(t, n)
}

// failing is a bucket whose creates fail after some.
type failing struct {
	objstore.Bucket
	left int
}

var errBroken = errors.New("broken")

func (f *failing) Create(ctx context.Context, name string, r io.Reader) (int64, error) {
	if f.left--; f.left < 0 {
		return 0, errBroken
	}
	return f.Bucket.Create(ctx, name, r)
}

// A copy that is interrupted at any object leaves the backup that was there, and is finished by the
// next run.
func TestInterrupted(t *testing.T) {
	from := newBucket(t)
	for n := range 40 {
		to := objstore.NewMemory()
		_, err := Copy(t.Context(), from, &failing{to, n}, Options{AtOnce: 1})
		if err == nil {
			require.Greater(t, n, 18)
			return
		}
		require.ErrorIs(t, err, errBroken)
		require.Empty(t, blockIDs(t, to))
		_, err = Copy(t.Context(), from, to, Options{})
		require.NoError(t, err)
		requireWhole(t, to, from)
		restored := objstore.NewMemory()
		_, err = Restore(t.Context(), to, &failing{restored, n}, Options{AtOnce: 1})
		require.ErrorIs(t, err, errBroken)
		_, err = Restore(t.Context(), to, restored, Options{})
		require.NoError(t, err)
		requireWhole(t, restored, from)
	}
	t.Fatal("it never ends")
}

// moving is a bucket that changes when a block of it is read.
type moving struct {
	objstore.Bucket
	id   string
	move func()
}

func (m *moving) ReadRange(ctx context.Context, name string, off int64, buf []byte) (int, error) {
	if m.move != nil && strings.Contains(name, m.id) {
		move := m.move
		m.move = nil
		move()
	}
	return m.Bucket.ReadRange(ctx, name, off, buf)
}

// A block that goes while it is copied is none that is missing: the copy is of a newer version.
func TestBlocksGoMeanwhile(t *testing.T) {
	from, to := newBucket(t), objstore.NewMemory()
	ids := blockIDs(t, from)
	source := &moving{Bucket: from, id: ids[3], move: func() {
		appendEntries(t, from, func(uint64) []*blocks.Entry {
			return []*blocks.Entry{{BlocksRetired: &blocks.BlocksRetired{Tenant: "shop", Blocks: ids[3:4]}}}
		})
		removeBlock(t, from, ids[3])
	}}
	r, err := Copy(t.Context(), source, to, Options{AtOnce: 1})
	require.NoError(t, err)
	require.Empty(t, r.Missing)
	require.Equal(t, 7, r.Blocks)
	requireWhole(t, to, from)
}

func removeBlock(t *testing.T, b objstore.Bucket, id string) {
	for _, name := range append(block.PartNames(), block.MetaObject) {
		require.NoError(t, b.Delete(t.Context(), blockstore.Folder("shop", id)+name))
	}
}

// What the source has lost is named, and all else is copied; a backup that has it puts it back.
func TestLostBlock(t *testing.T) {
	from, to, late := newBucket(t), objstore.NewMemory(), objstore.NewMemory()
	_, err := Copy(t.Context(), from, to, Options{})
	require.NoError(t, err)
	ids := blockIDs(t, from)
	removeBlock(t, from, ids[1])
	spans := blockstore.Folder("shop", ids[2]) + block.SpansObject
	require.NoError(t, from.Delete(t.Context(), spans))
	_, err = from.Create(t.Context(), spans, bytes.NewReader([]byte("short")))
	require.NoError(t, err)
	r, err := Copy(t.Context(), from, late, Options{})
	require.NoError(t, err)
	require.Len(t, r.Missing, 2)
	require.Equal(t, ids[1], r.Missing[0].Block)
	require.Contains(t, r.Missing[1].Reason, "another size")
	r, err = Restore(t.Context(), late, objstore.NewMemory(), Options{})
	require.NoError(t, err)
	require.Len(t, r.Missing, 2)

	require.NoError(t, from.Delete(t.Context(), spans))
	r, err = Restore(t.Context(), to, from, Options{})
	require.NoError(t, err)
	require.Equal(t, 3, r.Copied)
	requireWhole(t, from, to)
}

// A target that is no backup of the bucket stays as it is.
func TestTargets(t *testing.T) {
	from := newBucket(t)
	_, err := Copy(t.Context(), from, newBucket(t), Options{})
	require.ErrorIs(t, err, ErrForeign)
	_, err = Copy(t.Context(), from, from, Options{})
	require.ErrorIs(t, err, ErrInUse)
	_, err = Copy(t.Context(), objstore.NewMemory(), objstore.NewMemory(), Options{})
	require.ErrorIs(t, err, ErrNothing)

	old, to := objstore.NewMemory(), objstore.NewMemory()
	_, err = Copy(t.Context(), from, old, Options{})
	require.NoError(t, err)
	addBlocks(t, from, "ccc", 2)
	_, err = Copy(t.Context(), from, to, Options{})
	require.NoError(t, err)
	_, err = Copy(t.Context(), old, to, Options{})
	require.ErrorIs(t, err, ErrForked)
	_, err = Restore(t.Context(), to, newBucket(t), Options{})
	require.ErrorIs(t, err, ErrForeign)
}
