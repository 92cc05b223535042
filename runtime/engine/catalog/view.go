// Package catalog is the state machine of the catalog: which blocks there are, which records of the
// log they cover, and which traces lie in more than one of them.
//
// A State is the catalog after some commit; Apply makes it the one after the next commit. A commit
// is a list of entries, of which each is one thing that happened: a cut was published, blocks were
// replaced, a gap was found. Of a State, readers take Views: a View is one version of the catalog,
// it never changes, and queries are planned on it.
//
// At its start a node loads the State from a snapshot and the commits after it (Load), and compares
// it with the log (Reconcile). A journal that is damaged is made anew from what can be read of it
// (Salvage) and from the blocks themselves (ChooseListed, SharedFinder). Orphans tells which blocks
// of a bucket no version will ever list.
//
// The package is pure; the backend-scheduler keeps the journal.
package catalog

import (
	"maps"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// View is one version of the catalog, to plan queries on. It never changes.
type View struct {
	Version  uint64 // seq of the last commit in it
	Epoch    string
	Covered  map[int32]int64 // by partition: the covered offset
	Gaps     []*blocks.Gap
	SetAside []*blocks.SetAside // records that are covered and in no block

	tenants map[string]*tenant
}

// tenant is what a View knows of one tenant. It is copied when it changes.
type tenant struct {
	blocks []*blocks.BlockMeta // by greatest end, newest first, then id
	shared map[trace.ID]Extent // traces that have several blocks
	prints map[string]Prints   // by block id
}

// Prints are checksums of sets of traces of one block: equal prints mean equal sets, and 0 is the
// empty set.
type Prints struct {
	Shared    uint64 // the traces that have several blocks
	Repeating uint64 // those of Shared that are not known to be disjoint
}

// Extent is the time from the earliest start to the latest end of a trace's spans, as far as is
// known.
type Extent struct {
	ID         trace.ID
	Start, End uint64 // unix ns
	// Disjoint reports that no span is in two of the homes of a shared trace. A trace that is not
	// known to be disjoint is repeating: its homes may hold a span twice.
	Disjoint bool
}

// Join widens e by o. The result is disjoint if both are.
func (e Extent) Join(o Extent) Extent {
	return Extent{ID: e.ID, Start: min(e.Start, o.Start), End: max(e.End, o.End), Disjoint: e.Disjoint && o.Disjoint}
}

// prints returns the trace's part in the prints of its blocks.
func (e Extent) prints() Prints {
	h := xxhash.Sum64(e.ID[:])
	if e.Disjoint {
		return Prints{Shared: h}
	}
	return Prints{Shared: h, Repeating: h}
}

// add adds o to the prints.
func (p Prints) add(o Prints) Prints {
	return Prints{Shared: p.Shared + o.Shared, Repeating: p.Repeating + o.Repeating}
}

// without takes o out of the prints.
func (p Prints) without(o Prints) Prints {
	return Prints{Shared: p.Shared - o.Shared, Repeating: p.Repeating - o.Repeating}
}

// Tenants lists the tenants that have blocks, sorted.
func (v *View) Tenants() []string { return slices.Sorted(maps.Keys(v.tenants)) }

// Blocks returns the tenant's blocks that hold spans in [start, end), newest first.
func (v *View) Blocks(name string, start, end uint64) []*blocks.BlockMeta {
	t := v.tenants[name]
	if t == nil {
		return nil
	}
	var out []*blocks.BlockMeta
	for _, m := range t.blocks {
		if overlapsRange(m, start, end) {
			out = append(out, m)
		}
	}
	return out
}

// overlapsRange reports whether a block may hold spans in [start, end).
func overlapsRange(m *blocks.BlockMeta, start, end uint64) bool {
	if len(m.GetIntervals()) == 0 {
		return m.GetMinStartUnixNano() < end && m.GetMaxEndUnixNano() >= start
	}
	for _, i := range m.GetIntervals() {
		if i.GetStartUnixNano() < end && i.GetEndUnixNano() >= start {
			return true
		}
	}
	return false
}

// Shared returns the extents of the tenant's traces that have several blocks. The caller must not
// change it.
func (v *View) Shared(name string) map[trace.ID]Extent {
	if t := v.tenants[name]; t != nil {
		return t.shared
	}
	return nil
}

// PrintsOf returns the prints of a block.
func (v *View) PrintsOf(name, block string) Prints {
	if t := v.tenants[name]; t != nil {
		return t.prints[block]
	}
	return Prints{}
}

// Count returns the number of live blocks.
func (v *View) Count() (n int) {
	for _, t := range v.tenants {
		n += len(t.blocks)
	}
	return n
}
