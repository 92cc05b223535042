package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
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
		Leases:     s.Leases(),
		Routed:     s.view.Routed,
	}
	for _, id := range slices.Sorted(maps.Keys(s.merges.unmerged)) {
		out.Unmerged = append(out.Unmerged, &blocks.Unmerged{Block: id, Reason: s.merges.unmerged[id]})
	}
	for _, p := range slices.Sorted(maps.Keys(s.coverage)) {
		out.Coverage = append(out.Coverage, s.coverage[p])
	}
	for _, name := range s.view.Tenants() {
		out.Blocks = append(out.Blocks, s.view.tenants[name].blocks...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.view.tenants)) {
		if m := s.view.tenants[name].shared.message(name); m != nil {
			out.SharedTraces = append(out.SharedTraces, m)
		}
	}
	return out
}

// Restore returns the State that a Snapshot was taken of.
func Restore(m *blocks.Snapshot) (*State, error) {
	e := New().beginEdit()
	e.view.Version, e.view.Gaps, e.view.SetAside = m.GetSeq(), m.GetGaps(), m.GetSetAside()
	e.tombstones, e.pastEpochs = m.GetTombstones(), m.GetPastEpochs()
	if m.GetEpoch() != nil {
		e.epoch, e.view.Epoch = m.GetEpoch(), m.GetEpoch().GetId()
	}
	for _, c := range m.GetCoverage() {
		e.coverage[c.GetPartition()] = c
		e.view.Covered[c.GetPartition()] = c.GetCovered()
	}
	e.view.Routed = cmp.Or(m.GetRouted(), int32(len(e.coverage)))
	for _, b := range m.GetBlocks() {
		if err := e.addBlock(b); err != nil {
			return nil, fmt.Errorf("restore snapshot %d: %w", m.GetSeq(), err)
		}
		if b.GetEpoch() == e.view.Epoch {
			e.lastArrival[b.GetPartition()] = max(e.lastArrival[b.GetPartition()], b.GetMaxArrivalUnixNano())
		}
	}
	for _, r := range m.GetRetired() {
		e.retired[r.GetBlock().GetId()] = r
	}
	c := e.changeMerges()
	for _, l := range m.GetLeases() {
		c.leases[l.GetLease()] = l
		for _, id := range l.GetInputs() {
			c.leased[id] = l.GetLease()
		}
	}
	for _, u := range m.GetUnmerged() {
		c.unmerged[u.GetBlock()] = u.GetReason()
	}
	if err := e.shareTraces(slices.Concat(fromOldForm(m.GetShared()), m.GetSharedTraces()), false); err != nil {
		return nil, fmt.Errorf("restore snapshot %d: %w", m.GetSeq(), err)
	}
	return &e.State, nil
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
