package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// ErrCorrupt means that the journal contradicts itself.
var ErrCorrupt = errors.New("catalog is corrupt")

// State is the catalog after some commit. It belongs to one goroutine; its Views do not.
type State struct {
	view        *View
	epoch       *blocks.Epoch // nil: none has begun
	pastEpochs  []string
	coverage    map[int32]*blocks.Coverage // by partition of the present epoch
	tombstones  []*blocks.Tombstone
	retired     map[string]*blocks.Retired // by block id
	lastArrival map[int32]int64            // greatest arrival in a covered record, by partition of the present epoch
	sharedOf    map[string][]trace.ID      // by block id: its traces that are shared
	blocksOf    map[sharedKey][]string     // ids of the live blocks that hold a shared trace
}

// sharedKey is a trace of a tenant.
type sharedKey struct {
	tenant string
	id     trace.ID
}

// New returns the catalog before its first commit.
func New() *State {
	return &State{
		view:        &View{Covered: map[int32]int64{}, tenants: map[string]*tenant{}},
		coverage:    map[int32]*blocks.Coverage{},
		retired:     map[string]*blocks.Retired{},
		lastArrival: map[int32]int64{},
		sharedOf:    map[string][]trace.ID{},
		blocksOf:    map[sharedKey][]string{},
	}
}

// View returns the present version.
func (s *State) View() *View { return s.view }

// Epoch returns the present epoch, nil before the first.
func (s *State) Epoch() *blocks.Epoch { return s.epoch }

// Covered returns the covered offset of a partition and the fingerprint of the record below it, nil
// if that is not known.
func (s *State) Covered(p int32) (int64, *blocks.Fingerprint) {
	c := s.coverage[p]
	return c.GetCovered(), c.GetFingerprint()
}

// Coverage returns the coverage of every partition.
func (s *State) Coverage() map[int32]*blocks.Coverage { return maps.Clone(s.coverage) }

// Retired lists the blocks that are no longer live and whose objects may still be there.
func (s *State) Retired() []*blocks.Retired {
	return slices.SortedFunc(maps.Values(s.retired), func(a, b *blocks.Retired) int {
		return cmp.Compare(a.GetBlock().GetId(), b.GetBlock().GetId())
	})
}

// Apply makes the State the one after the next commit. It returns ErrCorrupt, after which the State
// must not be used any more, if the commit is not the next one, or if one of its entries does not
// fit what came before.
func (s *State) Apply(c *blocks.Commit) error {
	if c.GetSeq() != s.view.Version+1 {
		return fmt.Errorf("apply commit %d after %d: %w", c.GetSeq(), s.view.Version, ErrCorrupt)
	}
	e := s.beginEdit()
	e.view.Version = c.GetSeq()
	for i, entry := range c.GetEntries() {
		if err := e.applyEntry(entry); err != nil {
			return fmt.Errorf("apply entry %d of commit %d: %w", i, c.GetSeq(), err)
		}
	}
	s.view = e.view
	return nil
}

// CheckCut returns why the blocks of a cut cannot be listed: one has no name, or its name is taken.
// An entry with such a block must not be written: Apply, and with it every later load, would fail.
func (s *State) CheckCut(m *blocks.PublishCut) error {
	seen := map[string]bool{}
	for _, b := range m.GetBlocks() {
		taken := seen[b.GetId()]
		if t := s.view.tenants[b.GetTenant()]; t != nil && !taken {
			_, taken = slices.BinarySearchFunc(t.blocks, b, compareBlocks)
		}
		if taken || b.GetId() == "" || b.GetTenant() == "" {
			return fmt.Errorf("block %q of tenant %q is there already or has no name", b.GetId(), b.GetTenant())
		}
		seen[b.GetId()] = true
	}
	return nil
}

// compareBlocks orders blocks by their greatest end, newest first, then by id.
func compareBlocks(a, b *blocks.BlockMeta) int {
	return cmp.Or(cmp.Compare(b.GetMaxEndUnixNano(), a.GetMaxEndUnixNano()), strings.Compare(a.GetId(), b.GetId()))
}
