package catalog

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// Salvage takes out of what can be read of a damaged journal all that the blocks themselves do not
// tell: gaps, records that were set aside, epochs that are over, and what was retired or erased.
// snapshot may be nil; commits may be missing, and those that cannot be decoded are left out. The
// blocks, the traces that they share, and the coverage must then be found anew.
func Salvage(snapshot []byte, commits [][]byte) *blocks.Snapshot {
	s := &salvage{out: &blocks.Snapshot{}, past: map[string]bool{}, metas: map[string]*blocks.BlockMeta{}}
	if proto.Unmarshal(snapshot, s.out) != nil {
		s.out = &blocks.Snapshot{}
	}
	for _, e := range s.out.GetPastEpochs() {
		s.past[e] = true
	}
	s.endEpoch(s.out.GetEpoch())
	for _, b := range s.out.GetBlocks() {
		s.metas[b.GetId()] = b
	}
	for _, raw := range commits {
		var c blocks.Commit
		if proto.Unmarshal(raw, &c) != nil || c.GetSeq() <= s.out.GetSeq() {
			continue
		}
		for _, e := range c.GetEntries() {
			s.addEntry(e)
		}
	}
	s.out.Seq, s.out.Epoch = 0, nil
	s.out.Blocks, s.out.Shared, s.out.SharedTraces, s.out.Coverage = nil, nil, nil, nil
	s.out.Leases, s.out.Unmerged, s.out.Routed = nil, nil, 0
	return s.out
}

// salvage is a snapshot while Salvage makes it.
type salvage struct {
	out   *blocks.Snapshot
	past  map[string]bool              // epochs in out.PastEpochs
	metas map[string]*blocks.BlockMeta // by block id: those seen so far
}

// addEntry takes what is to be kept of an entry.
func (s *salvage) addEntry(e *blocks.Entry) {
	s.endEpoch(e.GetEpoch())
	for _, b := range e.GetCutPublished().GetBlocks() {
		s.metas[b.GetId()] = b
	}
	for _, b := range e.GetBlocksImported().GetBlocks() {
		s.metas[b.GetId()] = b
	}
	s.out.SetAside = append(s.out.SetAside, e.GetCutPublished().GetSetAside()...)
	if g := e.GetGap(); g != nil {
		s.out.Gaps = append(s.out.Gaps, g)
	}
	if t := e.GetTombstone(); t != nil {
		s.out.Tombstones = append(s.out.Tombstones, t)
	}
	if r := e.GetBlocksRetired(); r != nil {
		s.retireBlocks(r.GetTenant(), r.GetBlocks(), nil, r.GetAtUnixNano())
	}
	if forgotten := e.GetForgotten().GetBlocks(); len(forgotten) > 0 {
		s.out.Retired = slices.DeleteFunc(s.out.Retired, func(r *blocks.Retired) bool {
			return slices.Contains(forgotten, r.GetBlock().GetId())
		})
	}
	if r := e.GetBlocksReplaced(); r != nil {
		var by []string
		for _, b := range r.GetOutputs() {
			s.metas[b.GetId()] = b
			by = append(by, b.GetId())
		}
		s.retireBlocks(r.GetTenant(), r.GetInputs(), by, r.GetAtUnixNano())
	}
}

// endEpoch notes that an epoch is over. Of those in the journal each is: the catalog that is made
// anew begins one of its own.
func (s *salvage) endEpoch(e *blocks.Epoch) {
	if id := e.GetId(); id != "" && !s.past[id] {
		s.past[id] = true
		s.out.PastEpochs = append(s.out.PastEpochs, id)
	}
}

// retireBlocks notes that blocks were retired, because of others if by names some.
func (s *salvage) retireBlocks(tenant string, ids, by []string, at int64) {
	for _, id := range ids {
		b := s.metas[id]
		if b == nil {
			b = &blocks.BlockMeta{Id: id, Tenant: tenant}
		}
		s.out.Retired = append(s.out.Retired, &blocks.Retired{Block: b, AtUnixNano: at, ReplacedBy: by})
	}
}
