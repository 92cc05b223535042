package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// Records that came by no log of the bucket belong to an import epoch, one for each source. It is
// never the present epoch, and nothing is covered in it: which of its records were imported is told
// by the ranges of the blocks.

// importPrefix begins the names of import epochs.
const importPrefix = "import."

// ImportEpoch returns the epoch of the records of a source, which has a name of its own for ever.
func ImportEpoch(source string) string { return importPrefix + source }

// IsImport reports whether an epoch is one of an import.
func IsImport(epoch string) bool { return strings.HasPrefix(epoch, importPrefix) }

// Imported returns what a tenant's blocks hold of import epochs: ranges by epoch, ascending. Blocks
// that are retired and not forgotten count too.
func (s *State) Imported(name string) map[string][]*blocks.LogRange {
	out := map[string][]*blocks.LogRange{}
	add := func(m *blocks.BlockMeta) {
		for _, r := range RangesOf(m) {
			if IsImport(r.GetEpoch()) {
				out[r.GetEpoch()] = append(out[r.GetEpoch()], r)
			}
		}
	}
	if t := s.view.tenants[name]; t != nil {
		for _, m := range t.blocks {
			add(m)
		}
	}
	for _, r := range s.retired {
		if r.GetBlock().GetTenant() == name {
			add(r.GetBlock())
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b *blocks.LogRange) int {
			return cmp.Or(cmp.Compare(a.GetFrom(), b.GetFrom()), cmp.Compare(a.GetTo(), b.GetTo()))
		})
	}
	return out
}

// importBlocks adds blocks of import epochs.
func (e *edit) importBlocks(m *blocks.BlocksImported) error {
	known := e.Imported(m.GetTenant())
	for _, b := range m.GetBlocks() {
		if b.GetTenant() != m.GetTenant() {
			return fmt.Errorf("block %s of tenant %s is imported for tenant %s: %w",
				b.GetId(), b.GetTenant(), m.GetTenant(), ErrCorrupt)
		}
		for _, r := range RangesOf(b) {
			if !IsImport(r.GetEpoch()) {
				return fmt.Errorf("block %s is imported and of epoch %s: %w", b.GetId(), r.GetEpoch(), ErrCorrupt)
			}
			if at := FirstOverlap(known[r.GetEpoch()], r); at != nil {
				return fmt.Errorf("block %s: [%d, %d) of epoch %s was imported before: %w",
					b.GetId(), at.GetFrom(), at.GetTo(), r.GetEpoch(), ErrCorrupt)
			}
			known[r.GetEpoch()] = append(known[r.GetEpoch()], r)
		}
		if err := e.addBlock(b); err != nil {
			return err
		}
	}
	if m.GetSharedTraces() == nil {
		return nil
	}
	return e.shareTraces([]*blocks.SharedTraces{m.GetSharedTraces()}, true)
}

// FirstOverlap returns the first of some ranges of an epoch that has offsets in common with r, nil
// if none has.
func FirstOverlap(list []*blocks.LogRange, r *blocks.LogRange) *blocks.LogRange {
	for _, o := range list {
		if o.GetPartition() == r.GetPartition() && o.GetFrom() < r.GetTo() && r.GetFrom() < o.GetTo() {
			return o
		}
	}
	return nil
}
