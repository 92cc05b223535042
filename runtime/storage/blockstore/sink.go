package blockstore

import (
	"bytes"
	"context"
	"io"

	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// sentWhole is the size up to which an object is made in memory. A larger one is sent while it is
// written.
const sentWhole = 4 << 20

// Sink creates the objects of a block in a bucket, as block.Write writes them. It belongs to one
// goroutine.
type Sink struct {
	ctx    context.Context
	bucket objstore.Bucket
	folder string
	begun  []*sentObject
}

// NewSink returns the sink of a block. Its creates end with ctx.
func NewSink(ctx context.Context, b objstore.Bucket, tenant, id string) *Sink {
	return &Sink{ctx: ctx, bucket: b, folder: Folder(tenant, id)}
}

// Create begins an object.
func (s *Sink) Create(name string) (io.WriteCloser, error) {
	o := &sentObject{sink: s, name: s.folder + name}
	s.begun = append(s.begun, o)
	return o, nil
}

// Abandon ends the creation of the objects that are being sent, and waits for it.
func (s *Sink) Abandon(cause error) {
	for _, o := range s.begun {
		if o.sent != nil {
			o.pipe.CloseWithError(cause)
			<-o.sent
		}
	}
}

// sentObject is an object that is being written.
type sentObject struct {
	sink *Sink
	name string
	head bytes.Buffer   // what was written before it was sent
	pipe *io.PipeWriter // nil: it is not being sent yet
	sent chan struct{}  // closed when it has been
	err  error          // of sending it
}

// Write adds to the object.
func (o *sentObject) Write(p []byte) (int, error) {
	if o.pipe == nil && o.head.Len()+len(p) > sentWhole {
		o.beginToSend()
	}
	if o.pipe != nil {
		return o.pipe.Write(p)
	}
	return o.head.Write(p)
}

func (o *sentObject) beginToSend() {
	r, w := io.Pipe()
	o.pipe, o.sent = w, make(chan struct{})
	go func() {
		defer close(o.sent)
		if _, o.err = o.sink.bucket.Create(o.sink.ctx, o.name, io.MultiReader(&o.head, r)); o.err != nil {
			r.CloseWithError(o.err) // a writer that goes on learns of it
		}
	}()
}

// Close makes the object durable.
func (o *sentObject) Close() error {
	if o.pipe == nil {
		_, err := o.sink.bucket.Create(o.sink.ctx, o.name, &o.head)
		return err
	}
	if err := o.pipe.Close(); err != nil {
		return err
	}
	<-o.sent
	return o.err
}
