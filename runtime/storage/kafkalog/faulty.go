package kafkalog

import (
	"context"
	"sync"
	"time"
)

// Op names a method of Log in a plan of faults.
type Op string

const (
	OpAppend      Op = "append"
	OpRead        Op = "read"
	OpBounds      Op = "bounds"
	OpFingerprint Op = "fingerprint"
	OpTrim        Op = "trim"
	OpClose       Op = "close"
)

// Call is one call to a faulty log.
type Call struct {
	Op        Op
	N         int // counts the calls of Op, from 1
	Partition int32
	Offset    int64 // from of a read, to of a trim, offset of a fingerprint
}

// Fault is what happens to one call. The zero Fault changes nothing.
type Fault struct {
	Hold   func(ctx context.Context) error // runs first; its error is returned, and the call has no effect
	Before error                           // returned, and the call has no effect
	After  error                           // returned although the call took effect, as if its answer was lost
}

// Plan chooses the fault of a call. It is called under a lock, in the order of the calls. A nil
// Plan has no faults.
type Plan func(Call) Fault

// Faulty is a Log whose calls fail by a plan.
type Faulty struct {
	log   Log
	mu    sync.Mutex
	plan  Plan
	count map[Op]int
}

// NewFaulty wraps log. plan may be nil and be set later.
func NewFaulty(log Log, plan Plan) *Faulty {
	return &Faulty{log: log, plan: plan, count: map[Op]int{}}
}

// SetPlan replaces the plan. The counts of calls go on.
func (f *Faulty) SetPlan(p Plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = p
}

// nextFault counts a call and returns its fault.
func (f *Faulty) nextFault(op Op, partition int32, offset int64) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count[op]++
	if f.plan == nil {
		return Fault{}
	}
	return f.plan(Call{Op: op, N: f.count[op], Partition: partition, Offset: offset})
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

func (f *Faulty) Epoch() string   { return f.log.Epoch() }
func (f *Faulty) Partitions() int { return f.log.Partitions() }
func (f *Faulty) Size() int64     { return f.log.Size() }

func (f *Faulty) Append(ctx context.Context, partition int32, recs []Record) (int64, error) {
	fault := f.nextFault(OpAppend, partition, 0)
	return callWithFault(ctx, fault, func() (int64, error) { return f.log.Append(ctx, partition, recs) })
}

func (f *Faulty) Read(ctx context.Context, partition int32, from int64, maxBytes int, wait time.Duration) (
	Batch, error) {
	fault := f.nextFault(OpRead, partition, from)
	return callWithFault(ctx, fault, func() (Batch, error) {
		return f.log.Read(ctx, partition, from, maxBytes, wait)
	})
}

func (f *Faulty) Bounds(ctx context.Context, partition int32) (start, end int64, err error) {
	b, err := callWithFault(ctx, f.nextFault(OpBounds, partition, 0), func() ([2]int64, error) {
		s, e, err := f.log.Bounds(ctx, partition)
		return [2]int64{s, e}, err
	})
	return b[0], b[1], err
}

func (f *Faulty) Fingerprint(ctx context.Context, partition int32, offset int64) (Fingerprint, error) {
	fault := f.nextFault(OpFingerprint, partition, offset)
	return callWithFault(ctx, fault, func() (Fingerprint, error) {
		return f.log.Fingerprint(ctx, partition, offset)
	})
}

func (f *Faulty) Trim(ctx context.Context, partition int32, to int64) error {
	_, err := callWithFault(ctx, f.nextFault(OpTrim, partition, to), func() (struct{}, error) {
		return struct{}{}, f.log.Trim(ctx, partition, to)
	})
	return err
}

func (f *Faulty) Close() error {
	_, err := callWithFault(context.Background(), f.nextFault(OpClose, -1, 0), func() (struct{}, error) {
		return struct{}{}, f.log.Close()
	})
	return err
}
