package objstore

import (
	"context"
	"fmt"
)

// Folder is a bucket seen below a prefix; its names omit the prefix. The source of a block
// (block.Source) is a Folder.
type Folder struct {
	bucket Bucket
	prefix string
}

// Sub returns the folder of the objects below prefix, which ends in a slash.
func Sub(b Bucket, prefix string) Folder { return Folder{bucket: b, prefix: prefix} }

// ReadRange fills buf from the object at off; an object that ends before is an error.
func (f Folder) ReadRange(ctx context.Context, name string, off int64, buf []byte) error {
	n, err := f.bucket.ReadRange(ctx, f.prefix+name, off, buf)
	if err == nil && n < len(buf) {
		err = fmt.Errorf("read %s at %d: %d of %d bytes", f.prefix+name, off, n, len(buf))
	}
	return err
}
