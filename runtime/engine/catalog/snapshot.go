package catalog

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Snapshot returns all of the catalog.
func (s *State) Snapshot() *blocks.Snapshot {
	out := &blocks.Snapshot{
		Seq:        s.view.Version,
		Epoch:      s.epoch,
		PastEpochs: s.pastEpochs,
		Gaps:       s.view.Gaps,
		SetAside:   s.view.SetAside,
		Tombstones: s.tombstones,
		Retired:    s.Retired(),
	}
	for _, p := range slices.Sorted(maps.Keys(s.coverage)) {
		out.Coverage = append(out.Coverage, s.coverage[p])
	}
	for _, name := range s.view.Tenants() {
		t := s.view.tenants[name]
		out.Blocks = append(out.Blocks, t.blocks...)
		homes := map[trace.ID][]string{}
		for _, b := range t.blocks {
			for _, x := range s.sharedOf[b.GetId()] {
				homes[x] = append(homes[x], b.GetId())
			}
		}
		byID := func(a, b Extent) int { return slices.Compare(a.ID[:], b.ID[:]) }
		for _, x := range slices.SortedFunc(maps.Values(t.shared), byID) {
			out.Shared = append(out.Shared, &blocks.SharedTrace{
				Tenant:        name,
				TraceId:       slices.Clone(x.ID[:]),
				StartUnixNano: x.Start,
				EndUnixNano:   x.End,
				Homes:         homes[x.ID],
				Disjoint:      x.Disjoint,
			})
		}
	}
	return out
}

// Restore returns the State that a Snapshot was taken of.
func Restore(m *blocks.Snapshot) (*State, error) {
	s := New()
	e := s.beginEdit()
	e.view.Version, e.view.Gaps, e.view.SetAside = m.GetSeq(), m.GetGaps(), m.GetSetAside()
	s.tombstones, s.pastEpochs = m.GetTombstones(), m.GetPastEpochs()
	if m.GetEpoch() != nil {
		s.epoch, e.view.Epoch = m.GetEpoch(), m.GetEpoch().GetId()
	}
	for _, c := range m.GetCoverage() {
		s.coverage[c.GetPartition()] = c
		e.view.Covered[c.GetPartition()] = c.GetCovered()
	}
	for _, b := range m.GetBlocks() {
		if err := e.addBlock(b); err != nil {
			return nil, fmt.Errorf("restore snapshot %d: %w", m.GetSeq(), err)
		}
		if b.GetEpoch() == e.view.Epoch {
			s.lastArrival[b.GetPartition()] = max(s.lastArrival[b.GetPartition()], b.GetMaxArrivalUnixNano())
		}
	}
	for _, r := range m.GetRetired() {
		s.retired[r.GetBlock().GetId()] = r
	}
	e.shareTraces(m.GetShared())
	s.view = e.view
	return s, nil
}

// Load returns the State of a snapshot, nil for none, and the commits after it, all of them
// encoded.
// Errors: ErrCorrupt.
func Load(snapshot []byte, commits [][]byte) (*State, error) {
	s := New()
	if snapshot != nil {
		var m blocks.Snapshot
		if err := proto.Unmarshal(snapshot, &m); err != nil {
			return nil, fmt.Errorf("decode snapshot: %w: %w", ErrCorrupt, err)
		}
		var err error
		if s, err = Restore(&m); err != nil {
			return nil, err
		}
	}
	for _, b := range commits {
		var c blocks.Commit
		if err := proto.Unmarshal(b, &c); err != nil {
			return nil, fmt.Errorf("decode commit %d: %w: %w", s.view.Version+1, ErrCorrupt, err)
		}
		if err := s.Apply(&c); err != nil {
			return nil, err
		}
	}
	return s, nil
}
