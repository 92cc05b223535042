// Package objstore keeps named objects. An object is created once, whole and durable, and never
// overwritten.
//
// Bucket has one real form, Local, and two for tests: Memory and Faulty. One acceptance suite
// (TestBucket) judges all. A store on the network is one more form: it needs a conditional put,
// ranged gets, and a list in the order of names, which the large ones all have.
package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Info describes an object.
type Info struct {
	Name string
	Size int64
}

// Bucket is a store of immutable objects. It is safe for concurrent use.
//
// Names are paths with slashes; CheckName says which are valid, and every method refuses others
// with ErrName. No name is the folder of another. Objects that an ended process had not finished
// are not there.
type Bucket interface {
	// Create makes the object durable under its name, or returns ErrExists and leaves the one that
	// is there. Of several calls with one name exactly one succeeds. After any other error the
	// object may or may not be there, but never a part of it.
	Create(ctx context.Context, name string, r io.Reader) (size int64, err error)
	// Read returns the whole object, or ErrTooLarge where it has more than max bytes.
	Read(ctx context.Context, name string, max int64) ([]byte, error)
	// ReadRange fills buf from off on and returns how many bytes there were; fewer than len(buf)
	// only at the object's end.
	ReadRange(ctx context.Context, name string, off int64, buf []byte) (n int, err error)
	// List calls f for each object whose name begins with prefix, in the order of names; f's error
	// ends it. Objects that come or go meanwhile may be in it or not.
	List(ctx context.Context, prefix string, f func(Info) error) error
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, name string) error
}

var (
	ErrNotFound = errors.New("object not found")
	ErrExists   = errors.New("object exists")
	ErrTooLarge = errors.New("object is too large")
	ErrName     = errors.New("invalid object name")
	ErrFull     = errors.New("bucket is full") // later creates succeed once there is space
	ErrOverlaid = errors.New("bucket overwrites objects")
)

// Longest name and longest part between slashes, in bytes: what the common stores and file systems
// take.
const (
	maxName = 1024
	maxPart = 255
)

// CheckName reports why a name is not valid: it is empty or too long, has a part that is empty, "."
// or "..", or that begins with "+" (a bucket's own files), a backslash or a control character, or
// is no UTF-8.
func CheckName(name string) error {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		return fmt.Errorf("%w: %q is empty, longer than %d bytes or no UTF-8", ErrName, name, maxName)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." || part[0] == '+' || len(part) > maxPart {
			return fmt.Errorf("%w: %q has the part %q", ErrName, name, part)
		}
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f || c == '\\' {
			return fmt.Errorf("%w: %q has the character %q", ErrName, name, c)
		}
	}
	return nil
}

// Settle makes an object durable that was found although its Create may not have been acknowledged,
// where the bucket has objects of that kind. Who relies on what another process may have been
// writing when it ended settles it first.
func Settle(ctx context.Context, b Bucket, name string) error {
	if s, ok := b.(interface {
		Settle(ctx context.Context, name string) error
	}); ok {
		return s.Settle(ctx, name)
	}
	return nil
}

// Probe reports ErrOverlaid for a bucket that does not keep the first of two objects with one name:
// the catalog would lose entries there. id makes the name its own.
func Probe(ctx context.Context, b Bucket, id string) error {
	name := "probe-" + id
	defer b.Delete(context.WithoutCancel(ctx), name) // what stays of a failed probe harms nobody
	if _, err := b.Create(ctx, name, strings.NewReader("first")); err != nil {
		return fmt.Errorf("probe the bucket: %w", err)
	}
	_, second := b.Create(ctx, name, strings.NewReader("second"))
	got, err := b.Read(ctx, name, maxName)
	switch {
	case err != nil:
		return fmt.Errorf("probe the bucket: %w", err)
	case !errors.Is(second, ErrExists) || !bytes.Equal(got, []byte("first")):
		return fmt.Errorf("probe the bucket: a second object of one name gave %v and left %q: %w; choose a store with conditional puts", second, got, ErrOverlaid)
	}
	return nil
}

// copyTo is io.Copy that ends with ctx.
func copyTo(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	return io.Copy(w, readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	}))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
