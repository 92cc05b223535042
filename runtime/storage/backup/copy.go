package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// copier copies one bucket to another.
type copier struct {
	from, to objstore.Bucket
	options  Options
	catalog  *catalog.State // the version that is copied

	copied, equal atomic.Int64 // objects
	bytes         atomic.Int64

	mu      sync.Mutex
	done    map[string]bool    // blocks that are there, by id
	missing map[string]Missing // by block id
}

func newCopier(from, to objstore.Bucket, o Options) *copier {
	if o.AtOnce <= 0 {
		o.AtOnce = 4
	}
	return &copier{from: from, to: to, options: o, done: map[string]bool{}, missing: map[string]Missing{}}
}

// copyBlocks copies the blocks that the target does not have yet.
func (c *copier) copyBlocks(ctx context.Context, list []*blocks.BlockMeta) error {
	have := map[string]int64{}
	err := c.to.List(ctx, "", func(o objstore.Info) error {
		have[o.Name] = o.Size
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the target: %w", err)
	}
	total := c.bytes.Load()
	for _, m := range list {
		if have[blockstore.Folder(m.GetTenant(), m.GetId())+block.MetaObject] == 0 {
			total += m.GetBytes()
		}
	}
	clear(c.missing)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.options.AtOnce)
	for _, m := range list {
		if c.isDone(m) {
			continue
		}
		g.Go(func() error {
			err := c.copyBlock(ctx, m, have)
			c.tellProgress(total)
			return err
		})
	}
	return g.Wait()
}

func (c *copier) isDone(m *blocks.BlockMeta) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done[m.GetId()]
}

func (c *copier) tellProgress(total int64) {
	if c.options.Progress != nil {
		c.options.Progress(c.bytes.Load(), total)
	}
}

// lost is the error of what the source has lost, or has otherwise than its catalog says.
type lost struct{ reason string }

func (l *lost) Error() string { return l.reason }

// copyBlock copies the objects of one block, the meta last, so that whatever has a meta is whole.
func (c *copier) copyBlock(ctx context.Context, m *blocks.BlockMeta, have map[string]int64) error {
	err := c.copyObjects(ctx, m, have)
	var gone *lost
	isLost := errors.As(err, &gone)
	c.mu.Lock()
	defer c.mu.Unlock()
	if isLost {
		c.missing[m.GetId()] = Missing{m.GetTenant(), m.GetId(), gone.reason}
		return nil
	}
	c.done[m.GetId()] = err == nil
	if err != nil {
		return fmt.Errorf("copy block %s of tenant %s: %w", m.GetId(), m.GetTenant(), err)
	}
	return nil
}

func (c *copier) copyObjects(ctx context.Context, m *blocks.BlockMeta, have map[string]int64) error {
	meta, err := blockstore.DecodeMeta(m)
	if err != nil {
		return &lost{err.Error()}
	}
	folder, fresh := blockstore.Folder(m.GetTenant(), m.GetId()), false
	for _, name := range slices.Sorted(maps.Keys(meta.Objects)) {
		size, ok := have[folder+name]
		switch want := meta.Objects[name]; {
		case ok && size == want:
			c.equal.Add(1)
			continue
		case ok:
			return fmt.Errorf("the target has %d bytes of %s, and it had %d: remove the object %s and run this again",
				size, name, want, folder+name)
		default:
			if err := c.copyObject(ctx, folder+name, want); err != nil {
				return err
			}
			fresh = true
		}
	}
	if _, ok := have[folder+block.MetaObject]; ok {
		c.equal.Add(1)
	} else if err := c.createObject(ctx, folder+block.MetaObject, m.GetMetaJson()); err != nil {
		return err
	}
	if !fresh || !c.options.Verify {
		return nil
	}
	return c.verifyBlock(ctx, m, meta)
}

// createObject writes what the catalog itself holds of a block.
func (c *copier) createObject(ctx context.Context, name string, data []byte) error {
	if _, err := c.to.Create(ctx, name, bytes.NewReader(data)); err != nil && !errors.Is(err, objstore.ErrExists) {
		return err
	}
	c.copied.Add(1)
	c.bytes.Add(int64(len(data)))
	return nil
}

// verifyBlock reads all that was copied of a block.
func (c *copier) verifyBlock(ctx context.Context, m *blocks.BlockMeta, meta *block.Meta) error {
	b, err := block.Open(ctx, blockstore.ObjectsOf(c.to, m.GetTenant(), m.GetId()), meta)
	if err == nil {
		_, err = b.Verify(ctx)
	}
	if errors.Is(err, block.ErrCorrupt) {
		return &lost{err.Error()}
	}
	return err
}

// copyObject copies one object, which must have a size.
func (c *copier) copyObject(ctx context.Context, name string, size int64) error {
	r := &objectReader{copier: c, ctx: ctx, name: name, size: size}
	n, err := c.to.Create(ctx, name, r)
	switch {
	case errors.Is(err, objstore.ErrExists): // another copy is under way
		c.equal.Add(1)
		return nil
	case errors.Is(r.err, objstore.ErrNotFound):
		return &lost{name + " is gone"}
	case r.err != nil:
		return r.err
	case err != nil:
		return err
	case n != size:
		return fmt.Errorf("%d of %d bytes of %s were written", n, size, name)
	}
	c.copied.Add(1)
	return nil
}

// readSize is how many bytes of an object are read at a time.
const readSize = 4 << 20

// objectReader reads an object of the source from its beginning to its end.
type objectReader struct {
	*copier
	ctx  context.Context
	name string
	size int64
	off  int64 // of what was read
	buf  []byte
	rest []byte // of buf
	err  error
}

func (r *objectReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 && r.err == nil {
		r.err = r.readMore()
	}
	if len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// readMore reads the next piece; nothing at the end. An object of another size is not what its
// catalog lists.
func (r *objectReader) readMore() error {
	want := min(readSize, r.size-r.off)
	if want == 0 {
		want = 1 // whether it has more
	}
	if l := r.options.Limit; l != nil {
		for left := int(want); left > 0; {
			n := min(left, l.Burst())
			if err := l.WaitN(r.ctx, n); err != nil {
				return err
			}
			left -= n
		}
	}
	if r.buf == nil {
		r.buf = make([]byte, min(readSize, max(r.size, 1)))
	}
	n, err := r.from.ReadRange(r.ctx, r.name, r.off, r.buf[:want])
	switch {
	case err != nil:
		return err
	case r.off == r.size && n == 0:
		return nil
	case r.off == r.size || int64(n) < want:
		return &lost{fmt.Sprintf("%s has another size than the %d bytes of the catalog", r.name, r.size)}
	}
	r.off += int64(n)
	r.rest = r.buf[:n]
	r.bytes.Add(int64(n))
	return nil
}
