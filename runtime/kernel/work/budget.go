package work

import "sync"

// Budget is what the actors of one node hold together, in bytes, by key. It is a hint of when to
// let something go, not a reservation: nothing is refused. It is safe for concurrent use. A nil
// Budget has room for all.
type Budget struct {
	soft, hard int64

	mu      sync.Mutex
	held    map[string]bytes
	free    int64 // sums over held
	pending int64
}

// bytes of one key: those that could be let go, and those that are on their way out already.
type bytes struct{ free, pending int64 }

// NewBudget makes a Budget. Over soft bytes the fattest key has to let go; over hard bytes none
// should take more.
func NewBudget(soft, hard int64) *Budget {
	return &Budget{soft: soft, hard: hard, held: map[string]bytes{}}
}

// Set notes what a key holds: bytes that can still be let go, and bytes on their way out, which
// count against the hard limit only.
func (b *Budget) Set(key string, free, pending int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.held[key]
	b.free += free - old.free
	b.pending += pending - old.pending
	b.held[key] = bytes{free, pending}
}

// Fattest reports whether the soft limit is passed and no other key holds more than this one that
// it could let go; of several, the first by name.
func (b *Budget) Fattest(key string) bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free <= b.soft {
		return false
	}
	mine := b.held[key].free
	for k, o := range b.held {
		if o.free > mine || o.free == mine && k < key {
			return false
		}
	}
	return true
}

// Tight reports whether more than half of the hard limit is held.
func (b *Budget) Tight() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return 2*(b.free+b.pending) > b.hard
}

// Full reports whether the hard limit is passed.
func (b *Budget) Full() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free+b.pending > b.hard
}
