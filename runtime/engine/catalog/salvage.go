package catalog

import (
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// Salvage takes out of what can be read of a damaged journal all that the blocks themselves do not
// tell: gaps, records that were set aside, epochs that are over, what was retired or erased.
// snapshot may be nil; commits may lack some, and those that cannot be decoded are left out. The
// blocks, what they share, and the coverage are to be found anew.
func Salvage(snapshot []byte, commits [][]byte) *blocks.Snapshot {
	out := &blocks.Snapshot{}
	if proto.Unmarshal(snapshot, out) != nil {
		out = &blocks.Snapshot{}
	}
	past := map[string]bool{}
	for _, e := range out.GetPastEpochs() {
		past[e] = true
	}
	over := func(e *blocks.Epoch) {
		if id := e.GetId(); id != "" && !past[id] {
			past[id] = true
			out.PastEpochs = append(out.PastEpochs, id)
		}
	}
	over(out.GetEpoch())
	metas := map[string]*blocks.BlockMeta{}
	for _, b := range out.GetBlocks() {
		metas[b.GetId()] = b
	}
	retire := func(tenant string, ids, by []string, at int64) {
		for _, id := range ids {
			b := metas[id]
			if b == nil {
				b = &blocks.BlockMeta{Id: id, Tenant: tenant}
			}
			out.Retired = append(out.Retired, &blocks.Retired{Block: b, AtUnixNano: at, ReplacedBy: by})
		}
	}
	for _, raw := range commits {
		var c blocks.Commit
		if proto.Unmarshal(raw, &c) != nil || c.GetSeq() <= out.GetSeq() {
			continue
		}
		for _, e := range c.GetEntries() {
			over(e.GetEpoch())
			for _, b := range e.GetCutPublished().GetBlocks() {
				metas[b.GetId()] = b
			}
			out.SetAside = append(out.SetAside, e.GetCutPublished().GetSetAside()...)
			if g := e.GetGap(); g != nil {
				out.Gaps = append(out.Gaps, g)
			}
			if t := e.GetTombstone(); t != nil {
				out.Tombstones = append(out.Tombstones, t)
			}
			if r := e.GetBlocksRetired(); r != nil {
				retire(r.GetTenant(), r.GetBlocks(), nil, r.GetAtUnixNano())
			}
			if r := e.GetBlocksReplaced(); r != nil {
				var by []string
				for _, b := range r.GetOutputs() {
					metas[b.GetId()] = b
					by = append(by, b.GetId())
				}
				retire(r.GetTenant(), r.GetInputs(), by, r.GetAtUnixNano())
			}
		}
	}
	out.Seq, out.Epoch, out.Blocks, out.Shared, out.Coverage = 0, nil, nil, nil, nil
	return out
}
