package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// ErrCorrupt: the journal contradicts itself.
var ErrCorrupt = errors.New("catalog is corrupt")

// State is the catalog after some commit. It belongs to one goroutine; its Views do not.
type State struct {
	view        *View
	epoch       *blocks.Epoch // nil: none has begun
	pastEpochs  []string
	coverage    map[int32]*blocks.Coverage
	tombstones  []*blocks.Tombstone
	retired     map[string]*blocks.Retired // by block id
	lastArrival map[int32]int64            // greatest arrival in a covered record, by partition of the present epoch
	sharedOf    map[string][]trace.ID      // block id -> its traces that are shared
	blocksOf    map[sharedKey][]string     // live homes of each shared trace
}

type sharedKey struct {
	tenant string
	id     trace.ID
}

// New returns the catalog before its first commit.
func New() *State {
	return &State{view: &View{Covered: map[int32]int64{}, tenants: map[string]*tenant{}}, coverage: map[int32]*blocks.Coverage{},
		retired: map[string]*blocks.Retired{}, lastArrival: map[int32]int64{}, sharedOf: map[string][]trace.ID{}, blocksOf: map[sharedKey][]string{}}
}

// View is the present version.
func (s *State) View() *View { return s.view }

// Epoch is the present epoch, nil before the first.
func (s *State) Epoch() *blocks.Epoch { return s.epoch }

// Covered returns the covered offset of a partition and the fingerprint of the record below it, nil
// when that is not known.
func (s *State) Covered(p int32) (int64, *blocks.Fingerprint) {
	c := s.coverage[p]
	return c.GetCovered(), c.GetFingerprint()
}

// Coverage returns what is known of every partition.
func (s *State) Coverage() map[int32]*blocks.Coverage { return maps.Clone(s.coverage) }

// Retired lists the blocks that are no longer live and whose objects may still be there.
func (s *State) Retired() []*blocks.Retired {
	return slices.SortedFunc(maps.Values(s.retired), func(a, b *blocks.Retired) int {
		return cmp.Compare(a.GetBlock().GetId(), b.GetBlock().GetId())
	})
}

// Apply takes the next commit. It returns ErrCorrupt, and then the State must not be used any more,
// if the commit is not the next one or one of its entries does not fit what came before.
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

// edit is a State while a commit is applied. The new view shares with the old one what has not
// changed.
type edit struct {
	*State
	view    *View
	changed map[string]*tenant
}

func (s *State) beginEdit() *edit {
	v := *s.view
	v.Covered, v.tenants = maps.Clone(v.Covered), maps.Clone(v.tenants)
	return &edit{State: s, view: &v, changed: map[string]*tenant{}}
}

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
	case m.GetBlocksRetired() != nil:
		r := m.GetBlocksRetired()
		return e.retireBlocks(r.GetTenant(), r.GetBlocks(), nil, r.GetAtUnixNano())
	case m.GetTombstone() != nil:
		e.tombstones = append(e.tombstones, m.GetTombstone())
		return nil
	}
	return fmt.Errorf("entry of an unknown kind: a newer version wrote it: %w", ErrCorrupt)
}

func (e *edit) beginEpoch(m *blocks.Epoch) error {
	if e.epoch.GetId() != m.GetId() {
		if e.epoch != nil {
			e.pastEpochs = append(e.pastEpochs, e.epoch.GetId())
		}
		clear(e.coverage)
		clear(e.lastArrival)
		clear(e.view.Covered)
	}
	e.epoch, e.view.Epoch = m, m.GetId()
	for p, start := range m.GetStarts() {
		if e.coverage[int32(p)] == nil {
			e.setCovered(int32(p), start, nil)
		}
	}
	return nil
}

func (e *edit) setCovered(p int32, offset int64, f *blocks.Fingerprint) {
	e.coverage[p] = &blocks.Coverage{Partition: p, Covered: offset, Fingerprint: f}
	e.view.Covered[p] = offset
}

func (e *edit) checkFollows(epoch string, p int32, from, to int64) error {
	c := e.coverage[p]
	if epoch != e.epoch.GetId() || c == nil || c.GetCovered() != from || to < from {
		return fmt.Errorf("[%d, %d) of partition %d in epoch %s does not follow %d in epoch %s: %w", from, to, p, epoch, c.GetCovered(),
			e.epoch.GetId(), ErrCorrupt)
	}
	return nil
}

func (e *edit) addGap(m *blocks.Gap) error {
	// from before the epoch began
	if c := e.coverage[m.GetPartition()]; m.GetEpoch() == e.epoch.GetId() && c != nil && m.GetTo() <= c.GetCovered() {
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
	e.shareTraces(m.GetShared())
	e.setCovered(m.GetPartition(), m.GetTo(), m.GetFingerprint())
	return nil
}

// setAsideSpan is how much time one entry of set-aside records may be about: so a sender of nothing
// else makes no more than a few entries a day.
const setAsideSpan = int64(time.Hour)

// noteSetAside notes records that are in no block. Those that follow what is known of the tenant and
// partition within an hour become a part of that.
func (e *edit) noteSetAside(more []*blocks.SetAside) {
	if len(more) == 0 {
		return
	}
	type origin struct {
		epoch     string
		partition int32
		tenant    string
	}
	of := func(m *blocks.SetAside) origin { return origin{m.GetEpoch(), m.GetPartition(), m.GetTenant()} }
	list, last := slices.Clone(e.view.SetAside), map[origin]int{}
	for i, m := range list {
		last[of(m)] = i
	}
	for _, m := range more {
		if i, ok := last[of(m)]; ok {
			old := list[i]
			from, to := min(old.GetMinArrivalUnixNano(), m.GetMinArrivalUnixNano()), max(old.GetMaxArrivalUnixNano(), m.GetMaxArrivalUnixNano())
			if to-from <= setAsideSpan && old.GetTo() <= m.GetFrom() {
				list[i] = &blocks.SetAside{Epoch: old.GetEpoch(), Partition: old.GetPartition(), Tenant: old.GetTenant(), From: old.GetFrom(), To: m.GetTo(),
					Records: old.GetRecords() + m.GetRecords(), MinArrivalUnixNano: from, MaxArrivalUnixNano: to, Reason: old.GetReason()}
				continue
			}
		}
		last[of(m)] = len(list)
		list = append(list, m)
	}
	e.view.SetAside = list
}

// changeTenant returns the tenant for change.
func (e *edit) changeTenant(name string) *tenant {
	if t := e.changed[name]; t != nil {
		return t
	}
	t := &tenant{shared: map[trace.ID]Extent{}, prints: map[string]uint64{}}
	if old := e.view.tenants[name]; old != nil {
		t = &tenant{blocks: slices.Clone(old.blocks), shared: maps.Clone(old.shared), prints: maps.Clone(old.prints)}
	}
	e.changed[name], e.view.tenants[name] = t, t
	return t
}

// CheckCut says why the blocks of a cut cannot be listed: one has no name, or its name is taken. An
// entry with such a block must not be written: Apply, and with it every later load, would fail.
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

func compareBlocks(a, b *blocks.BlockMeta) int {
	return cmp.Or(cmp.Compare(b.GetMaxEndUnixNano(), a.GetMaxEndUnixNano()), strings.Compare(a.GetId(), b.GetId()))
}

func (e *edit) addBlock(b *blocks.BlockMeta) error {
	t := e.changeTenant(b.GetTenant())
	i, found := slices.BinarySearchFunc(t.blocks, b, compareBlocks)
	if found || b.GetId() == "" || b.GetTenant() == "" {
		return fmt.Errorf("block %q of tenant %q is there already or has no name: %w", b.GetId(), b.GetTenant(), ErrCorrupt)
	}
	t.blocks = slices.Insert(t.blocks, i, b)
	return nil
}

func (e *edit) shareTraces(list []*blocks.SharedTrace) {
	for _, m := range list {
		if len(m.GetTraceId()) != len(trace.ID{}) {
			continue
		}
		x := Extent{ID: trace.ID(m.GetTraceId()), Start: m.GetStartUnixNano(), End: m.GetEndUnixNano()}
		t := e.changeTenant(m.GetTenant())
		old, was := t.shared[x.ID]
		if was {
			x = x.Join(old)
		}
		t.shared[x.ID] = x
		k := sharedKey{m.GetTenant(), x.ID}
		if !was { // it has one home of before, if any
			for _, h := range e.blocksOf[k] {
				t.prints[h] += x.hashID()
			}
		}
		for _, h := range m.GetHomes() {
			if !slices.Contains(e.blocksOf[k], h) {
				e.sharedOf[h] = append(e.sharedOf[h], x.ID)
				e.blocksOf[k] = append(e.blocksOf[k], h)
				t.prints[h] += x.hashID()
			}
		}
	}
}

func (e *edit) replaceBlocks(m *blocks.BlocksReplaced) error {
	by := make([]string, len(m.GetOutputs()))
	for i, b := range m.GetOutputs() {
		by[i] = b.GetId()
		if b.GetTenant() != m.GetTenant() {
			return fmt.Errorf("block %s of tenant %s replaces blocks of tenant %s: %w", b.GetId(), b.GetTenant(), m.GetTenant(), ErrCorrupt)
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
	e.shareTraces(m.GetShared())
	return nil
}

func (e *edit) retireBlocks(name string, ids, by []string, at int64) error {
	t := e.changeTenant(name)
	for _, id := range ids {
		i := slices.IndexFunc(t.blocks, func(b *blocks.BlockMeta) bool { return b.GetId() == id })
		if i < 0 {
			return fmt.Errorf("block %s of tenant %s is not there: %w", id, name, ErrCorrupt)
		}
		e.retired[id] = &blocks.Retired{Block: t.blocks[i], AtUnixNano: at, ReplacedBy: by}
		t.blocks = slices.Delete(t.blocks, i, i+1)
		for _, x := range e.sharedOf[id] {
			k := sharedKey{name, x}
			left := slices.DeleteFunc(slices.Clone(e.blocksOf[k]), func(h string) bool { return h == id })
			e.blocksOf[k] = left
			if len(left) == 0 {
				delete(e.blocksOf, k)
			}
			if shared, ok := t.shared[x]; ok && len(left) <= 1 { // what one block is left with is no longer shared
				delete(t.shared, x)
				for _, h := range left {
					t.prints[h] -= shared.hashID()
				}
			}
		}
		delete(e.sharedOf, id)
		delete(t.prints, id)
	}
	if len(t.blocks) == 0 {
		delete(e.view.tenants, name)
		delete(e.changed, name)
	}
	return nil
}

// Snapshot is all of the catalog.
func (s *State) Snapshot() *blocks.Snapshot {
	out := &blocks.Snapshot{Seq: s.view.Version, Epoch: s.epoch, PastEpochs: s.pastEpochs, Gaps: s.view.Gaps, SetAside: s.view.SetAside, Tombstones: s.tombstones, Retired: s.Retired()}
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
		for _, x := range slices.SortedFunc(maps.Values(t.shared), func(a, b Extent) int { return slices.Compare(a.ID[:], b.ID[:]) }) {
			out.Shared = append(out.Shared, &blocks.SharedTrace{Tenant: name, TraceId: slices.Clone(x.ID[:]), StartUnixNano: x.Start, EndUnixNano: x.End,
				Homes: homes[x.ID]})
		}
	}
	return out
}

// Restore makes the State that a Snapshot is of.
func Restore(m *blocks.Snapshot) (*State, error) {
	s := New()
	e := s.beginEdit()
	e.view.Version, e.view.Gaps, s.tombstones, s.pastEpochs = m.GetSeq(), m.GetGaps(), m.GetTombstones(), m.GetPastEpochs()
	e.view.SetAside = m.GetSetAside()
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

// Load makes the State of a snapshot, nil for none, and the commits after it, all encoded.
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
