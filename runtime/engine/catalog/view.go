// Package catalog is the state machine of the catalog: which blocks there are, which records of the
// log they cover, and which traces lie in more than one of them.
//
// A State is the catalog after some commit; Apply makes it the one after the next commit. A commit
// is a list of entries, of which each is one thing that happened: a cut was published, blocks were
// replaced, a gap was found. With returns the State after some entries and leaves the old one as it
// is. Of a State, readers take Views: a View is one version of the catalog, it never changes, and
// queries are planned on it. SharedTraces (shared.go) are its traces with several homes; homes.go
// says how homes come and go, and layers.go how they are kept.
//
// At its start a node loads the State from a snapshot and the commits after it (Load), and compares
// it with the log (Reconcile). A journal that is damaged is made anew from what can be read of it
// (Salvage) and from the blocks themselves (ChooseListed, SharedFinder). Orphans tells which blocks
// of a bucket no version will ever list.
//
// The package is pure; the backend-scheduler keeps the journal.
package catalog

import (
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// View is one version of the catalog, to plan queries on. It never changes.
type View struct {
	Version  uint64 // seq of the last commit in it
	Epoch    string
	Covered  map[int32]int64 // by partition: the covered offset
	Routed   int32           // by how many partitions of the epoch records are routed
	Gaps     []*blocks.Gap
	SetAside []*blocks.SetAside // records that are covered and in no block

	tenants map[string]*tenant
}

// tenant is what a View knows of one tenant. It is copied when it changes.
type tenant struct {
	blocks []*blocks.BlockMeta // by greatest end, newest first, then id
	shared *SharedTraces
}

// Tenants lists the tenants that have blocks, sorted.
func (v *View) Tenants() (names []string) {
	for name, t := range v.tenants {
		if len(t.blocks) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Blocks returns the tenant's blocks that hold spans in [start, end), newest first.
func (v *View) Blocks(name string, start, end uint64) []*blocks.BlockMeta {
	t := v.tenants[name]
	if t == nil {
		return nil
	}
	// Those that end before the range are the last ones of the list.
	before, _ := slices.BinarySearchFunc(t.blocks, start, func(m *blocks.BlockMeta, start uint64) int {
		if m.GetMaxEndUnixNano() >= start {
			return -1
		}
		return 1
	})
	var out []*blocks.BlockMeta
	for _, m := range t.blocks[:before] {
		if overlapsRange(m, start, end) {
			out = append(out, m)
		}
	}
	return out
}

// All returns all of the tenant's blocks, newest first. The caller must not change the list.
func (v *View) All(name string) []*blocks.BlockMeta {
	if t := v.tenants[name]; t != nil {
		return t.blocks
	}
	return nil
}

// indexOf returns the index of a live block, -1 if there is none of this id. t may be nil.
func (t *tenant) indexOf(id string) int {
	if t == nil {
		return -1
	}
	return slices.IndexFunc(t.blocks, func(b *blocks.BlockMeta) bool { return b.GetId() == id })
}

// overlapsRange reports whether a block may hold spans in [start, end).
func overlapsRange(m *blocks.BlockMeta, start, end uint64) bool {
	if m.GetMinStartUnixNano() >= end || m.GetMaxEndUnixNano() < start {
		return false
	}
	if len(m.GetIntervals()) == 0 {
		return true
	}
	for _, i := range m.GetIntervals() {
		if i.GetStartUnixNano() < end && i.GetEndUnixNano() >= start {
			return true
		}
	}
	return false
}

// Shared returns the tenant's traces that have several homes.
func (v *View) Shared(name string) *SharedTraces {
	if t := v.tenants[name]; t != nil {
		return t.shared
	}
	return nil
}

// PrintsOf returns the prints of a block.
func (v *View) PrintsOf(name, block string) Prints { return v.Shared(name).printsOf(block) }

// Count returns the number of live blocks.
func (v *View) Count() (n int) {
	for _, t := range v.tenants {
		n += len(t.blocks)
	}
	return n
}
