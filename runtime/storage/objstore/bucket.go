// Package objstore keeps named objects. An object is created once, whole and durable, and never
// overwritten.
//
// The interface Bucket has two real forms: Local, a folder, and Remote, a store on the network. A
// Store is what Remote needs of a vendor's SDK: a conditional create, ranged reads, and a list in
// the order of names. Cached keeps pieces of a Remote's objects in memory. Memory and Faulty are
// for tests. One acceptance suite (TestBucket) holds for all of them.
package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Info describes an object.
type Info struct {
	Name string
	Size int64
}

// Bucket is a store of immutable objects. It is safe for concurrent use.
//
// Names are paths with slashes. CheckName tells which are valid, and every method refuses the
// others with ErrName. No name is the folder of another. Objects that a process had not finished
// when it ended do not exist.
type Bucket interface {
	// Create makes the object durable under its name. If there is an object of this name already,
	// it stays, and Create returns ErrExists. Of several calls with one name exactly one succeeds.
	// After any other error the object may or may not exist, but never a part of it.
	Create(ctx context.Context, name string, r io.Reader) (size int64, err error)
	// Read returns the whole object, or ErrTooLarge if it has more than maxBytes.
	Read(ctx context.Context, name string, maxBytes int64) ([]byte, error)
	// ReadRange fills buf with the object's bytes from off on. It returns how many there were,
	// which are fewer than len(buf) only at the object's end.
	ReadRange(ctx context.Context, name string, off int64, buf []byte) (n int, err error)
	// List calls f for each object whose name begins with prefix, in the order of names. An error
	// of f ends it and is returned. Objects that come or go meanwhile may be listed or not.
	List(ctx context.Context, prefix string, f func(Info) error) error
	// Delete removes an object. It returns no error if there is none.
	Delete(ctx context.Context, name string) error
}

// Op names a method of Bucket, in metrics and in plans of faults.
type Op string

const (
	OpCreate    Op = "create"
	OpRead      Op = "read"
	OpReadRange Op = "read-range"
	OpList      Op = "list"
	OpDelete    Op = "delete"
)

// The errors of a bucket.
var (
	ErrNotFound = errors.New("object not found")
	ErrExists   = errors.New("object exists")
	ErrTooLarge = errors.New("object is too large")
	ErrName     = errors.New("invalid object name")
	ErrFull     = errors.New("bucket is full") // later creates succeed once there is space
	ErrOverlaid = errors.New("bucket overwrites objects")
)

// The longest name, and the longest part between slashes, in bytes: the common stores and file
// systems accept no more.
const (
	maxName = 1024
	maxPart = 255
)

// CheckName returns an ErrName for a name that is not valid. A valid name is UTF-8, not empty and
// not too long. It has no backslash or control character, and no part that is empty, "." or "..",
// or begins with "+", as a bucket's own files do.
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

// Settle makes an object durable that was found, although its Create may not have been
// acknowledged, if the bucket can have such objects. Call it before relying on an object that
// another process may have been writing when it ended.
func Settle(ctx context.Context, b Bucket, name string) error {
	if s, ok := b.(interface {
		Settle(ctx context.Context, name string) error
	}); ok {
		return s.Settle(ctx, name)
	}
	return nil
}

// probers is how many creates of one name the probe sends at once.
const probers = 8

// Probe returns ErrOverlaid for a bucket in which not exactly one of several creates with one name
// succeeds, because the catalog would lose entries there. The creates are sent at once: a store
// that looks first and writes then is found out, too. id makes the name of the probe unique.
func Probe(ctx context.Context, b Bucket, id string) error {
	name := "probe-" + id
	defer b.Delete(context.WithoutCancel(ctx), name) // a probe that stays here does no harm
	var errs [probers]error
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() { _, errs[i] = b.Create(ctx, name, strings.NewReader(contentOfProbe(i))) })
	}
	wait.Wait()
	won, winner := 0, ""
	for i, err := range errs {
		switch {
		case err == nil:
			won, winner = won+1, contentOfProbe(i)
		case !errors.Is(err, ErrExists):
			return fmt.Errorf("probe the bucket: %w", err)
		}
	}
	got, err := b.Read(ctx, name, maxName)
	switch {
	case err != nil:
		return fmt.Errorf("probe the bucket: %w", err)
	case won != 1 || string(got) != winner:
		return fmt.Errorf("probe the bucket: of %d objects of one name it took %d, and %q is left: %w; "+
			"choose a store with conditional puts", probers, won, got, ErrOverlaid)
	}
	return nil
}

func contentOfProbe(n int) string { return "prober " + strconv.Itoa(n) }

// copyTo is an io.Copy that ends with ctx.
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
