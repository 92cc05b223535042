package jobs

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Shared is the set of traces that have several homes, fixed for one query. Scans leave them out
// and name them as candidates. nil is the empty set. It does not change once it is made.
//
// Of a spanwise query it has only the repeating ones: of the others each span is in one home, where
// it is counted as the spans of any other trace are.
//
// Its published part belongs to the version of the catalog that the query is planned on, which
// every node has; only the live part is the query's own.
type Shared struct {
	base  *catalog.SharedTraces       // published
	extra map[trace.ID]catalog.Extent // live, joined with base
	// routed are the traces of extra by the partition that they are routed to at present, the
	// latest ends first: so a block finds those that it may hold without a look at all of them.
	routed [][]catalog.Extent
	// onlyRepeating: the disjoint traces of base are not in the set.
	onlyRepeating bool
}

// SharedOptions say what a Shared is for.
type SharedOptions struct {
	Tenant     string
	Partitions int  // that new records are routed by
	Spanwise   bool // the query is
}

// NewShared joins the published extents with the live-stores' lists.
func NewShared(o SharedOptions, base *catalog.SharedTraces, live ...[]catalog.Extent) *Shared {
	s := &Shared{base: base, extra: map[trace.ID]catalog.Extent{}, onlyRepeating: o.Spanwise}
	for _, e := range slices.Concat(live...) {
		if old, ok := s.extra[e.ID]; ok {
			e = e.Join(old)
		} else if old, ok := base.Find(e.ID); ok {
			e = e.Join(old)
		}
		if s.covers(e) {
			s.extra[e.ID] = e
		}
	}
	s.routed = make([][]catalog.Extent, max(o.Partitions, 1))
	for id, e := range s.extra {
		p := trace.Partition(o.Tenant, id, o.Partitions)
		s.routed[p] = append(s.routed[p], e)
	}
	for _, list := range s.routed {
		slices.SortFunc(list, func(a, b catalog.Extent) int { return cmp.Compare(b.End, a.End) })
	}
	return s
}

// covers reports whether a shared trace is one of the set.
func (s *Shared) covers(e catalog.Extent) bool { return !s.onlyRepeating || !e.Disjoint }

// find returns the extent of a trace of s.
func (s *Shared) find(id trace.ID) (catalog.Extent, bool) {
	if s == nil {
		return catalog.Extent{}, false
	}
	if e, ok := s.extra[id]; ok {
		return e, true
	}
	e, ok := s.base.Find(id)
	return e, ok && s.covers(e)
}

// Has reports whether the trace has several homes.
func (s *Shared) Has(id trace.ID) bool {
	_, ok := s.find(id)
	return ok
}

// Live reports whether a candidate may have a part in a live-store. One that s does not have may: a
// home has named it that knows more than the version of the catalog that the query is planned on.
func (s *Shared) Live(id trace.ID) bool {
	if _, ok := s.extra[id]; ok {
		return true
	}
	return !s.Has(id)
}

// Extent returns what is known of the time of a candidate. For a trace without a live part that is
// all of its time. Of a trace that s does not have nothing is known: it is of all time.
func (s *Shared) Extent(id trace.ID) catalog.Extent {
	if e, ok := s.find(id); ok {
		return e
	}
	return catalog.Extent{ID: id, End: math.MaxUint64}
}

// EachStraddling calls f for every trace that meets the range without lying inside it. latest
// bounds its start: no query that sees the range and the window on both sides of it sees the trace
// start later. published is false where no block of the tenant reaches beyond the range, so that
// only traces with live parts can.
func (s *Shared) EachStraddling(r Range, window time.Duration, published bool, f func(id trace.ID, latest uint64)) {
	for id, e := range s.extra {
		if r.Straddles(e) {
			f(id, r.LatestStart(e, window))
		}
	}
	if !published {
		return
	}
	for e := range s.base.All() {
		if !r.Straddles(e) || !s.covers(e) {
			continue
		}
		if _, ok := s.extra[e.ID]; !ok {
			f(e.ID, r.LatestStart(e, window))
		}
	}
}

// PrintFor returns a hash of the live part of s that a block may hold, 0 where there is none.
// Together with the catalog's print of the block's published traces it stands for the traces that a
// scan of the block leaves out, and where these start.
func (s *Shared) PrintFor(m *blocks.BlockMeta) (sum uint64) {
	s.eachLive(m, func(e catalog.Extent) {
		var b [len(e.ID) + 9]byte
		copy(b[:], e.ID[:])
		b[len(e.ID)] = 1 // apart from the catalog's print of the same trace
		if !s.onlyRepeating {
			binary.BigEndian.PutUint64(b[len(e.ID)+1:], e.Start) // a bound for searches
		}
		sum += xxhash.Sum64(b[:])
	})
	return sum
}

// eachLive calls f for the traces with live parts that a block may hold.
func (s *Shared) eachLive(m *blocks.BlockMeta, f func(catalog.Extent)) {
	if s == nil {
		return
	}
	lists := s.routed
	routed := m.GetPartition() >= 0 && len(m.GetParts()) == 1 && int(m.GetParts()[0]) == len(lists)
	if routed {
		lists = lists[m.GetPartition():][:1]
	}
	for _, list := range lists {
		for _, e := range list {
			if e.End < m.GetMinStartUnixNano() {
				break
			}
			if e.Start <= m.GetMaxEndUnixNano() && (routed || MayHold(m, e.ID)) {
				f(e)
			}
		}
	}
}

// LeftOut are the shared traces that scans of one home leave out: all of those that it may hold. It
// is used by one goroutine.
type LeftOut struct {
	find   func(trace.ID) (catalog.Extent, bool)
	list   func(f func(catalog.Extent)) // lists them; some may come twice
	ids    []trace.ID                   // once they were asked for
	listed bool
}

// LeftOutOf returns what scans of a block leave out.
func (s *Shared) LeftOutOf(m *blocks.BlockMeta) *LeftOut {
	if s == nil {
		return nil
	}
	return &LeftOut{find: s.find, list: func(f func(catalog.Extent)) {
		s.eachLive(m, f)
		of := s.base.OfBlock
		if s.onlyRepeating {
			of = s.base.RepeatingOf
		}
		for e := range of(m.GetId()) {
			f(e)
		}
	}}
}

// LeftOutLive returns what scans of live parts leave out: what live-stores have named, and own,
// which is what the scanned one knows to be left out. Of own nothing is known but that. The other
// traces of s count where they are live: no live span of them is in another home.
func (s *Shared) LeftOutLive(own []trace.ID) *LeftOut {
	if s == nil {
		return nil
	}
	further := map[trace.ID]catalog.Extent{} // the traces of own that no live-store has named
	for _, id := range own {
		if _, ok := s.extra[id]; !ok {
			further[id] = catalog.Extent{ID: id, End: math.MaxUint64}
		}
	}
	if len(s.extra)+len(further) == 0 {
		return nil
	}
	return &LeftOut{
		find: func(id trace.ID) (catalog.Extent, bool) {
			e, ok := s.extra[id]
			if !ok {
				e, ok = further[id]
			}
			return e, ok
		},
		list: func(f func(catalog.Extent)) {
			for _, traces := range []map[trace.ID]catalog.Extent{s.extra, further} {
				for _, e := range traces {
					f(e)
				}
			}
		},
	}
}

// Has implements eval.Set.
func (l *LeftOut) Has(id trace.ID) bool {
	_, ok := l.find(id)
	return ok
}

// Earliest implements eval.Set.
func (l *LeftOut) Earliest(id trace.ID) uint64 {
	e, _ := l.find(id)
	return e.Start
}

// IDs implements eval.Set.
func (l *LeftOut) IDs() []trace.ID {
	if !l.listed {
		l.list(func(e catalog.Extent) { l.ids = append(l.ids, e.ID) })
		l.listed = true
	}
	return l.ids
}

// asSet returns l as the evaluation takes it.
func (l *LeftOut) asSet() eval.Set {
	if l == nil {
		return nil
	}
	return l
}
