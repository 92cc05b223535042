package catalog

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// edit is a State while entries are applied. It shares with the State before it what has not
// changed.
type edit struct {
	State
	changed    map[string]*tenant // tenants of the view that the old one does not share
	ownRetired bool               // retired is not the old State's
	ownMerges  bool               // merges is not the old State's
}

// beginEdit begins a new State, with a new view.
func (s *State) beginEdit() *edit {
	v := *s.view
	v.Covered, v.tenants = maps.Clone(v.Covered), maps.Clone(v.tenants)
	e := &edit{State: *s, changed: map[string]*tenant{}}
	e.view, e.coverage, e.lastArrival = &v, maps.Clone(s.coverage), maps.Clone(s.lastArrival)
	return e
}

// applyEntry applies one entry of a commit.
func (e *edit) applyEntry(m *blocks.Entry) error {
	switch {
	case m.GetEpoch() != nil:
		return e.beginEpoch(m.GetEpoch())
	case m.GetGap() != nil:
		return e.addGap(m.GetGap())
	case m.GetCutPublished() != nil:
		return e.publishCut(m.GetCutPublished())
	case m.GetBlocksReplaced() != nil:
		return e.replaceBlocks(m.GetBlocksReplaced())
	case m.GetBlocksImported() != nil:
		return e.importBlocks(m.GetBlocksImported())
	case m.GetBlocksRetired() != nil:
		r := m.GetBlocksRetired()
		return e.retireBlocks(r.GetTenant(), r.GetBlocks(), nil, r.GetAtUnixNano())
	case m.GetForgotten() != nil:
		return e.forgetBlocks(m.GetForgotten().GetBlocks())
	case m.GetJobLeased() != nil:
		return e.leaseJob(m.GetJobLeased())
	case m.GetJobClosed() != nil:
		return e.closeJob(m.GetJobClosed())
	case m.GetRouted() != nil:
		return e.routeBy(m.GetRouted())
	case m.GetTombstone() != nil:
		e.tombstones = append(slices.Clip(e.tombstones), m.GetTombstone())
		return nil
	}
	return fmt.Errorf("entry of an unknown kind: %w", ErrNewer)
}

// beginEpoch begins an epoch, or adds partitions to the present one.
func (e *edit) beginEpoch(m *blocks.Epoch) error {
	if e.epoch.GetId() != m.GetId() {
		if e.epoch != nil {
			e.pastEpochs = append(slices.Clip(e.pastEpochs), e.epoch.GetId())
		}
		clear(e.coverage)
		clear(e.lastArrival)
		clear(e.view.Covered)
		e.view.Routed = int32(len(m.GetStarts()))
	}
	e.epoch, e.view.Epoch = m, m.GetId()
	for p, start := range m.GetStarts() {
		if e.coverage[int32(p)] == nil {
			e.setCovered(int32(p), start, nil)
		}
	}
	return nil
}

// routeBy has records routed by more partitions of the present epoch.
func (e *edit) routeBy(m *blocks.Routed) error {
	if m.GetEpoch() != e.epoch.GetId() || m.GetParts() <= e.view.Routed || int(m.GetParts()) > len(e.coverage) {
		return fmt.Errorf("records of epoch %s are routed by %d partitions, in epoch %s by %d of %d: %w",
			m.GetEpoch(), m.GetParts(), e.epoch.GetId(), e.view.Routed, len(e.coverage), ErrCorrupt)
	}
	e.view.Routed = m.GetParts()
	return nil
}

// setCovered sets the covered offset of a partition and the fingerprint of the record below it.
func (e *edit) setCovered(p int32, offset int64, f *blocks.Fingerprint) {
	e.coverage[p] = &blocks.Coverage{Partition: p, Covered: offset, Fingerprint: f}
	e.view.Covered[p] = offset
}

// checkFollows returns an error unless offsets [from, to) begin at the covered offset of a
// partition.
func (e *edit) checkFollows(epoch string, p int32, from, to int64) error {
	c := e.coverage[p]
	if epoch != e.epoch.GetId() || c == nil || c.GetCovered() != from || to < from {
		return fmt.Errorf("[%d, %d) of partition %d in epoch %s does not follow %d in epoch %s: %w",
			from, to, p, epoch, c.GetCovered(), e.epoch.GetId(), ErrCorrupt)
	}
	return nil
}

// addGap adds a gap. It covers its offsets, unless it is from before the epoch began.
func (e *edit) addGap(m *blocks.Gap) error {
	c := e.coverage[m.GetPartition()]
	if m.GetEpoch() == e.epoch.GetId() && c != nil && m.GetTo() <= c.GetCovered() { // from before the epoch
		e.view.Gaps = append(slices.Clip(e.view.Gaps), m)
		return nil
	}
	if err := e.checkFollows(m.GetEpoch(), m.GetPartition(), m.GetFrom(), m.GetTo()); err != nil {
		return err
	}
	e.setCovered(m.GetPartition(), m.GetTo(), nil)
	e.view.Gaps = append(slices.Clip(e.view.Gaps), m)
	return nil
}

// publishCut adds the blocks of a cut, and covers its offsets.
func (e *edit) publishCut(m *blocks.PublishCut) error {
	if err := e.checkFollows(m.GetEpoch(), m.GetPartition(), m.GetFrom(), m.GetTo()); err != nil {
		return err
	}
	for _, b := range m.GetBlocks() {
		if err := e.addBlock(b); err != nil {
			return err
		}
		e.lastArrival[m.GetPartition()] = max(e.lastArrival[m.GetPartition()], b.GetMaxArrivalUnixNano())
	}
	e.noteSetAside(m.GetSetAside())
	for _, a := range m.GetSetAside() {
		e.lastArrival[m.GetPartition()] = max(e.lastArrival[m.GetPartition()], a.GetMaxArrivalUnixNano())
	}
	if err := e.shareTraces(slices.Concat(fromOldForm(m.GetShared()), m.GetSharedTraces()), true); err != nil {
		return err
	}
	e.setCovered(m.GetPartition(), m.GetTo(), m.GetFingerprint())
	return nil
}

// setAsideSpan is how much time one entry of set-aside records may be about, in ns. So a sender of
// nothing else makes no more than a few entries a day.
const setAsideSpan = int64(time.Hour)

// noteSetAside adds records that are in no block. Records that follow those of the same tenant and
// partition within setAsideSpan are added to their entry.
func (e *edit) noteSetAside(more []*blocks.SetAside) {
	if len(more) == 0 {
		return
	}
	type origin struct {
		epoch     string
		partition int32
		tenant    string
	}
	originOf := func(m *blocks.SetAside) origin {
		return origin{m.GetEpoch(), m.GetPartition(), m.GetTenant()}
	}
	list, last := slices.Clone(e.view.SetAside), map[origin]int{} // last: index of the last entry
	for i, m := range list {
		last[originOf(m)] = i
	}
	for _, m := range more {
		if i, ok := last[originOf(m)]; ok {
			if joined := joinSetAside(list[i], m); joined != nil {
				list[i] = joined
				continue
			}
		}
		last[originOf(m)] = len(list)
		list = append(list, m)
	}
	e.view.SetAside = list
}

// joinSetAside returns one entry for the records of two of the same origin; nil if that would be
// about too much time, or if b does not come after a.
func joinSetAside(a, b *blocks.SetAside) *blocks.SetAside {
	from := min(a.GetMinArrivalUnixNano(), b.GetMinArrivalUnixNano())
	to := max(a.GetMaxArrivalUnixNano(), b.GetMaxArrivalUnixNano())
	if to-from > setAsideSpan || a.GetTo() > b.GetFrom() {
		return nil
	}
	return &blocks.SetAside{
		Epoch:              a.GetEpoch(),
		Partition:          a.GetPartition(),
		Tenant:             a.GetTenant(),
		From:               a.GetFrom(),
		To:                 b.GetTo(),
		Records:            a.GetRecords() + b.GetRecords(),
		MinArrivalUnixNano: from,
		MaxArrivalUnixNano: to,
		Reason:             a.GetReason(),
	}
}

// changeTenant returns a tenant of the new view, which the caller may change.
func (e *edit) changeTenant(name string) *tenant {
	if t := e.changed[name]; t != nil {
		return t
	}
	t := &tenant{}
	if old := e.view.tenants[name]; old != nil {
		t = &tenant{blocks: slices.Clone(old.blocks), shared: old.shared}
	}
	e.changed[name], e.view.tenants[name] = t, t
	return t
}

// addBlock makes a block live.
func (e *edit) addBlock(b *blocks.BlockMeta) error {
	t := e.changeTenant(b.GetTenant())
	i, found := slices.BinarySearchFunc(t.blocks, b, compareBlocks)
	if found || b.GetId() == "" || b.GetTenant() == "" {
		return fmt.Errorf("block %q of tenant %q is there already or has no name: %w",
			b.GetId(), b.GetTenant(), ErrCorrupt)
	}
	t.blocks = slices.Insert(t.blocks, i, b)
	return nil
}

// replaceBlocks retires blocks, and makes those live that were merged out of them.
func (e *edit) replaceBlocks(m *blocks.BlocksReplaced) error {
	if m.GetLease() != "" {
		if err := e.checkLease(m); err != nil {
			return err
		}
		e.endLease(e.merges.leases[m.GetLease()])
	}
	by := make([]string, len(m.GetOutputs()))
	for i, b := range m.GetOutputs() {
		by[i] = b.GetId()
		if b.GetTenant() != m.GetTenant() {
			return fmt.Errorf("block %s of tenant %s replaces blocks of tenant %s: %w",
				b.GetId(), b.GetTenant(), m.GetTenant(), ErrCorrupt)
		}
	}
	if err := e.retireBlocks(m.GetTenant(), m.GetInputs(), by, m.GetAtUnixNano()); err != nil {
		return err
	}
	for _, b := range m.GetOutputs() {
		if err := e.addBlock(b); err != nil {
			return err
		}
	}
	if t := e.view.tenants[m.GetTenant()]; t != nil {
		if err := e.changeTenant(m.GetTenant()).passHomes(m.GetInputs(), by); err != nil {
			return err
		}
	}
	return e.shareTraces(fromOldForm(m.GetShared()), true)
}

// retireBlocks retires blocks of a tenant, because of others if by names some.
func (e *edit) retireBlocks(name string, ids, by []string, at int64) error {
	t := e.changeTenant(name)
	for _, id := range ids {
		i := t.indexOf(id)
		if i < 0 {
			return fmt.Errorf("block %s of tenant %s is not there: %w", id, name, ErrCorrupt)
		}
		e.changeRetired()[id] = &blocks.Retired{Block: t.blocks[i], AtUnixNano: at, ReplacedBy: by}
		t.blocks = slices.Delete(t.blocks, i, i+1)
		e.dropFromMerges(id)
	}
	e.dropEmpty(name)
	return nil
}

// forgetBlocks forgets blocks that are retired.
func (e *edit) forgetBlocks(ids []string) error {
	byTenant := map[string][]string{}
	for _, id := range ids {
		r := e.retired[id]
		if r == nil {
			return fmt.Errorf("block %s is not retired: %w", id, ErrCorrupt)
		}
		delete(e.changeRetired(), id)
		byTenant[r.GetBlock().GetTenant()] = append(byTenant[r.GetBlock().GetTenant()], id)
	}
	for name, ids := range byTenant {
		if e.view.tenants[name] == nil {
			continue
		}
		if err := e.changeTenant(name).forgetHomes(ids); err != nil {
			return err
		}
		e.dropEmpty(name)
	}
	return nil
}

// changeRetired returns the retired blocks, which the caller may change.
func (e *edit) changeRetired() map[string]*blocks.Retired {
	if !e.ownRetired {
		e.ownRetired = true
		e.retired = maps.Clone(e.retired)
	}
	return e.retired
}

// dropEmpty drops a tenant of which nothing is left.
func (e *edit) dropEmpty(name string) {
	if t := e.view.tenants[name]; len(t.blocks) == 0 && t.shared.Len() == 0 {
		delete(e.view.tenants, name)
		delete(e.changed, name)
	}
}
