package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// ErrCorrupt means that the journal contradicts itself.
var ErrCorrupt = errors.New("catalog is corrupt")

// ErrNewer means that a newer version of the program has written what this one does not understand.
// The catalog is not damaged: a program of that version reads it.
var ErrNewer = errors.New("a newer version of troupe has written the catalog")

// State is the catalog after some commit. It belongs to one goroutine; its Views do not.
type State struct {
	view        *View
	epoch       *blocks.Epoch // nil: none has begun
	pastEpochs  []string
	coverage    map[int32]*blocks.Coverage // by partition of the present epoch
	tombstones  []*blocks.Tombstone
	retired     map[string]*blocks.Retired // by block id
	merges      *merges
	lastArrival map[int32]int64 // greatest arrival in a covered record, by partition of the present epoch
}

// New returns the catalog before its first commit.
func New() *State {
	return &State{
		view:        &View{Covered: map[int32]int64{}, tenants: map[string]*tenant{}},
		coverage:    map[int32]*blocks.Coverage{},
		retired:     map[string]*blocks.Retired{},
		merges:      newMerges(),
		lastArrival: map[int32]int64{},
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

// Apply makes the State the one after the next commit. It returns ErrCorrupt, and changes nothing,
// if the commit is not the next one, or if one of its entries does not fit what came before.
func (s *State) Apply(c *blocks.Commit) error {
	if c.GetSeq() != s.view.Version+1 {
		return fmt.Errorf("apply commit %d after %d: %w", c.GetSeq(), s.view.Version, ErrCorrupt)
	}
	next, err := s.With(c.GetSeq(), c.GetEntries()...)
	if err != nil {
		return fmt.Errorf("apply commit %d: %w", c.GetSeq(), err)
	}
	*s = *next
	return nil
}

// With returns the State after some entries, as a version. s stays as it is; both share what the
// entries do not change. It returns ErrCorrupt if one of them does not fit what came before.
func (s *State) With(version uint64, entries ...*blocks.Entry) (*State, error) {
	e := s.beginEdit()
	e.view.Version = version
	for i, entry := range entries {
		if err := e.applyEntry(entry); err != nil {
			return nil, fmt.Errorf("apply entry %d: %w", i, err)
		}
	}
	return &e.State, nil
}

// CheckHomes returns an error if a cut names a home of its shared traces that the catalog does not
// know, or one that was replaced by such a block: then nobody can tell where these traces lie.
func (s *State) CheckHomes(m *blocks.PublishCut) error {
	for _, list := range m.GetSharedTraces() {
		unknown := map[string]bool{}
		for _, id := range s.withSuccessors(slices.Clone(list.GetBlocks())) {
			if s.retired[id] == nil {
				unknown[id] = true
			}
		}
		for _, b := range m.GetBlocks() {
			delete(unknown, b.GetId())
		}
		if t := s.view.tenants[list.GetTenant()]; t != nil {
			for _, b := range t.blocks {
				delete(unknown, b.GetId())
			}
		}
		for id := range unknown {
			return fmt.Errorf("the catalog does not know block %s, where traces of it lie", id)
		}
	}
	return nil
}

// compareBlocks orders blocks by their greatest end, newest first, then by id.
func compareBlocks(a, b *blocks.BlockMeta) int {
	return cmp.Or(cmp.Compare(b.GetMaxEndUnixNano(), a.GetMaxEndUnixNano()), strings.Compare(a.GetId(), b.GetId()))
}
