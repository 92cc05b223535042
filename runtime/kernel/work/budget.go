package work

import "sync"

// Budget counts the bytes that the actors of one node hold together, by key. It is a hint of when
// to let something go, not a reservation: it refuses nothing. It is safe for concurrent use. A nil
// Budget has room for everything.
type Budget struct {
	soft, hard int64

	mu      sync.Mutex
	held    map[string]heldBytes
	free    int64 // sum over held
	pending int64 // sum over held
}

// heldBytes are the bytes of one key: those that could be let go, and those that are on their way
// out already.
type heldBytes struct{ free, pending int64 }

// NewBudget makes a Budget. Over soft bytes the fattest key should let something go; over hard
// bytes no key should take more.
func NewBudget(soft, hard int64) *Budget {
	return &Budget{soft: soft, hard: hard, held: map[string]heldBytes{}}
}

// SetHeld replaces the count of a key: free bytes can still be let go, and pending bytes are on
// their way out and count against the hard limit only.
func (b *Budget) SetHeld(key string, free, pending int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.held[key]
	b.free += free - old.free
	b.pending += pending - old.pending
	b.held[key] = heldBytes{free, pending}
}

// IsFattest reports whether the soft limit is passed and the key has the most bytes to let go. Of
// several keys with as many it is the first by name.
func (b *Budget) IsFattest(key string) bool {
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

// IsTight reports whether more than three quarters of the hard limit are held.
func (b *Budget) IsTight() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return 4*(b.free+b.pending) > 3*b.hard
}

// IsFull reports whether the hard limit is passed.
func (b *Budget) IsFull() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free+b.pending > b.hard
}
