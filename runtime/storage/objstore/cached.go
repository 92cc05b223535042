package objstore

import (
	"context"
	"fmt"
	"strconv"

	"github.com/troupe-tracing/troupe/runtime/storage/cache"
)

const (
	// chunkBytes is the unit in which Cached reads and keeps objects. A smaller read from a store
	// on the network takes as long.
	chunkBytes = 256 << 10

	// maxRun is how many chunks are read with one request.
	maxRun = 32
)

// Cached is a bucket on the network with chunks of its objects in memory. Objects never change, so
// what is kept stays right. Only ReadRange is served from memory: whatever is read whole is read
// once.
type Cached struct {
	Bucket
	chunks *cache.LRU[[]byte] // by object and number. A chunk that is not full is its object's last.
}

// NewCached keeps up to budget bytes of the objects of a bucket.
func NewCached(b Bucket, budget int64) *Cached {
	return &Cached{Bucket: b, chunks: cache.New[[]byte](budget)}
}

// Used returns the bytes of the chunks that are kept.
func (c *Cached) Used() int64 { return c.chunks.Used() }

// ReadRange reads a part of an object, as Bucket says.
func (c *Cached) ReadRange(ctx context.Context, name string, off int64, buf []byte) (int, error) {
	if err := checkCall(ctx, "read", name); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("read object %s: offset %d is negative", name, off)
	}
	n := 0
	for n < len(buf) {
		number := (off + int64(n)) / chunkBytes
		chunk, err := c.findChunk(ctx, name, number, (off+int64(len(buf))-1)/chunkBytes)
		if err != nil {
			return 0, err
		}
		start := off + int64(n) - number*chunkBytes
		if start >= int64(len(chunk)) {
			break // the object ends here
		}
		n += copy(buf[n:], chunk[start:])
	}
	return n, nil
}

// findChunk returns a chunk of an object. If it is missing, it is read together with those after it
// that are missing too, up to the number last.
func (c *Cached) findChunk(ctx context.Context, name string, number, last int64) ([]byte, error) {
	return c.chunks.Get(ctx, chunkName(name, number), func(ctx context.Context) ([]byte, int64, error) {
		end := number + 1
		for end <= last && end-number < maxRun {
			if _, ok := c.chunks.Peek(chunkName(name, end)); ok {
				break
			}
			end++
		}
		run := make([]byte, (end-number)*chunkBytes)
		n, err := c.Bucket.ReadRange(ctx, name, number*chunkBytes, run)
		if err != nil {
			return nil, 0, err
		}
		for i := number + 1; i < end; i++ {
			c.chunks.Put(chunkName(name, i), cutChunk(run[:n], i-number), chunkBytes)
		}
		return cutChunk(run[:n], 0), chunkBytes, nil
	})
}

// cutChunk returns a copy of the i-th chunk of a run, so that each can be forgotten on its own.
func cutChunk(run []byte, i int64) []byte {
	from := min(i*chunkBytes, int64(len(run)))
	to := min(from+chunkBytes, int64(len(run)))
	return append(make([]byte, 0, to-from), run[from:to]...)
}

func chunkName(name string, number int64) string {
	return name + "\x00" + strconv.FormatInt(number, 10)
}

// Settle settles the object in the bucket behind.
func (c *Cached) Settle(ctx context.Context, name string) error { return Settle(ctx, c.Bucket, name) }
