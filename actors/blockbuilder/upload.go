package blockbuilder

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// upload is the sink of a block. Each object is made in memory, which the size of the cut bounds,
// and is created in the bucket as a whole when it is closed.
type upload struct {
	ctx    context.Context
	bucket objstore.Bucket
	folder string
	clock  clock.Clock
	waited *storageTime
	err    error // of the bucket
}

// Create begins an object of the block.
func (u *upload) Create(name string) (io.WriteCloser, error) {
	return &object{upload: u, name: name}, nil
}

func (u *upload) createObject(name string, r io.Reader) error {
	defer u.waited.startWait(u.clock)()
	_, err := u.bucket.Create(u.ctx, u.folder+name, r)
	if err != nil {
		u.err = err
	}
	return err
}

type object struct {
	*upload
	name string
	bytes.Buffer
}

// Close makes the object durable.
func (o *object) Close() error { return o.createObject(o.name, &o.Buffer) }

// storageTime sums up how long one writer has waited for storage.
type storageTime struct{ sum time.Duration }

// startWait returns a function that ends the wait.
func (w *storageTime) startWait(c clock.Clock) (end func()) {
	began := c.Now()
	return func() { w.sum += c.Now().Sub(began) }
}
