package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Call is one call to a faulty bucket.
type Call struct {
	Op   Op
	N    int    // counts the calls of Op, from 1
	Name string // the prefix of a list
}

// Fault is what happens to one call. The zero Fault changes nothing.
type Fault struct {
	Hold   func(ctx context.Context) error // runs first; its error is returned, and the call has no effect
	Before error                           // returned, and the call has no effect
	After  error                           // returned although the call took effect, as if its answer was lost
	// With more than 0, a create keeps only so many bytes and fails, as in a store that breaks its
	// promise, and a read returns at most so many.
	Torn int
}

// Plan chooses the fault of a call. It is called under a lock, in the order of the calls. A nil
// Plan has no faults.
type Plan func(Call) Fault

// ErrTorn is the error of a create that was torn.
var ErrTorn = errors.New("connection lost")

// Faulty is a Bucket whose calls fail by a plan.
type Faulty struct {
	bucket Bucket
	mu     sync.Mutex
	plan   Plan
	count  map[Op]int
}

// NewFaulty wraps b. plan may be nil and be set later.
func NewFaulty(b Bucket, plan Plan) *Faulty {
	return &Faulty{bucket: b, plan: plan, count: map[Op]int{}}
}

// SetPlan replaces the plan. The counts of calls go on.
func (f *Faulty) SetPlan(p Plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = p
}

// nextFault counts a call and returns its fault.
func (f *Faulty) nextFault(op Op, name string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count[op]++
	if f.plan == nil {
		return Fault{}
	}
	return f.plan(Call{Op: op, N: f.count[op], Name: name})
}

// callWithFault makes a call with its fault.
func callWithFault[T any](ctx context.Context, f Fault, call func() (T, error)) (T, error) {
	var zero T
	if f.Hold != nil {
		if err := f.Hold(ctx); err != nil {
			return zero, err
		}
	}
	if f.Before != nil {
		return zero, f.Before
	}
	v, err := call()
	if err == nil && f.After != nil {
		return zero, f.After
	}
	return v, err
}

func (f *Faulty) Create(ctx context.Context, name string, r io.Reader) (int64, error) {
	fault := f.nextFault(OpCreate, name)
	return callWithFault(ctx, fault, func() (int64, error) {
		if fault.Torn <= 0 {
			return f.bucket.Create(ctx, name, r)
		}
		n, err := f.bucket.Create(ctx, name, io.LimitReader(r, int64(fault.Torn)))
		if err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("create object %s: %d bytes sent: %w", name, n, ErrTorn)
	})
}

func (f *Faulty) Read(ctx context.Context, name string, maxBytes int64) ([]byte, error) {
	fault := f.nextFault(OpRead, name)
	return callWithFault(ctx, fault, func() ([]byte, error) {
		b, err := f.bucket.Read(ctx, name, maxBytes)
		if fault.Torn > 0 {
			b = bytes.Clone(b[:min(len(b), fault.Torn)])
		}
		return b, err
	})
}

func (f *Faulty) ReadRange(ctx context.Context, name string, off int64, buf []byte) (int, error) {
	fault := f.nextFault(OpReadRange, name)
	return callWithFault(ctx, fault, func() (int, error) {
		if fault.Torn > 0 {
			buf = buf[:min(len(buf), fault.Torn)]
		}
		return f.bucket.ReadRange(ctx, name, off, buf)
	})
}

func (f *Faulty) List(ctx context.Context, prefix string, g func(Info) error) error {
	_, err := callWithFault(ctx, f.nextFault(OpList, prefix), func() (struct{}, error) {
		return struct{}{}, f.bucket.List(ctx, prefix, g)
	})
	return err
}

func (f *Faulty) Delete(ctx context.Context, name string) error {
	_, err := callWithFault(ctx, f.nextFault(OpDelete, name), func() (struct{}, error) {
		return struct{}{}, f.bucket.Delete(ctx, name)
	})
	return err
}

// Settle settles the object in the bucket behind.
func (f *Faulty) Settle(ctx context.Context, name string) error { return Settle(ctx, f.bucket, name) }
