// Package objstore keeps named objects. An object is created once, whole and durable, and never overwritten.
package objstore

import (
	"context"
	"errors"
	"io"
)

// Info describes an object.
type Info struct {
	Name string
	Size int64
}

// Bucket is a store of immutable objects. Names are paths with slashes. It is safe for concurrent use.
type Bucket interface {
	// Create makes the object durable under its name, or returns ErrExists and leaves the one that is there.
	Create(ctx context.Context, name string, r io.Reader) (size int64, err error)
	// Read returns the whole object, which must not be larger than max bytes.
	Read(ctx context.Context, name string, max int64) ([]byte, error)
	// ReadRange fills buf from off on and returns how many bytes there were; fewer than len(buf) only at the object's end.
	ReadRange(ctx context.Context, name string, off int64, buf []byte) (n int, err error)
	// List calls f for each object whose name begins with prefix, in the order of names; f's error ends it.
	List(ctx context.Context, prefix string, f func(Info) error) error
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, name string) error
}

var (
	ErrNotFound = errors.New("object not found")
	ErrExists   = errors.New("object exists")
	ErrTooLarge = errors.New("object is too large")
)
