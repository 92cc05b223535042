package jobs

import (
	"encoding/binary"
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
	ends  Range                       // the range of all extents of extra
	// onlyRepeating: the disjoint traces of base and extra are not in the set.
	onlyRepeating bool
}

// NewShared joins the published extents with the live-stores' lists, for a query that is spanwise
// or not.
func NewShared(spanwise bool, base *catalog.SharedTraces, live ...[]catalog.Extent) *Shared {
	s := &Shared{base: base, extra: map[trace.ID]catalog.Extent{}, onlyRepeating: spanwise}
	s.ends.Start = ^uint64(0)
	for _, l := range live {
		for _, e := range l {
			if old, ok := s.extra[e.ID]; ok {
				e = e.Join(old)
			} else if old, ok := base.Find(e.ID); ok {
				e = e.Join(old)
			}
			s.extra[e.ID] = e
			s.ends.Start, s.ends.End = min(s.ends.Start, e.Start), max(s.ends.End, e.End)
		}
	}
	return s
}

// Has reports whether the trace has several homes.
func (s *Shared) Has(id trace.ID) bool {
	if s == nil {
		return false
	}
	e, ok := s.extra[id]
	if !ok {
		e, ok = s.base.Find(id)
	}
	return ok && s.covers(e)
}

// covers reports whether a shared trace is one of the set.
func (s *Shared) covers(e catalog.Extent) bool { return !s.onlyRepeating || !e.Disjoint }

// Earliest returns where the extent of a trace of s begins. The spans that a query sees of it start
// no earlier.
func (s *Shared) Earliest(id trace.ID) uint64 { return s.Extent(id).Start }

// Live reports whether the trace, one of s, may have a part in a live-store.
func (s *Shared) Live(id trace.ID) bool {
	_, ok := s.extra[id]
	return ok
}

// Extent returns what is known of the time of a trace of s. For a trace without a live part that is
// all of its time.
func (s *Shared) Extent(id trace.ID) catalog.Extent {
	if e, ok := s.extra[id]; ok {
		return e
	}
	e, _ := s.base.Find(id)
	return e
}

// EachStraddling calls f for every trace that meets the range without lying inside it. latest
// bounds its start: no query that sees the range and the window on both sides of it sees the trace
// start later.
func (s *Shared) EachStraddling(r Range, window time.Duration, f func(id trace.ID, latest uint64)) {
	for id, e := range s.extra {
		if r.Straddles(e) {
			f(id, r.LatestStart(e, window))
		}
	}
	for e := range s.base.All() {
		if r.Straddles(e) {
			if _, ok := s.extra[e.ID]; !ok {
				f(e.ID, r.LatestStart(e, window))
			}
		}
	}
}

// PrintFor returns a hash of the live part of s that a block may hold, 0 where there is none.
// Together with the catalog's print of the block's published traces it stands for the traces that a
// scan of the block leaves out, and where these start.
func (s *Shared) PrintFor(m *blocks.BlockMeta) (sum uint64) {
	if s == nil || len(s.extra) == 0 || m.GetMaxEndUnixNano() < s.ends.Start || m.GetMinStartUnixNano() > s.ends.End {
		return 0
	}
	for id, e := range s.extra {
		if !s.covers(e) || m.GetMaxEndUnixNano() < e.Start || m.GetMinStartUnixNano() > e.End || !MayHold(m, id) {
			continue
		}
		var b [len(id) + 9]byte
		copy(b[:], id[:])
		b[len(id)] = 1 // apart from the catalog's print of the same trace
		if !s.onlyRepeating {
			binary.BigEndian.PutUint64(b[len(id)+1:], e.Start) // a bound for searches
		}
		sum += xxhash.Sum64(b[:])
	}
	return sum
}

// asSet returns s as the evaluation takes it, which is nil where s is empty.
func (s *Shared) asSet() eval.Set {
	if s == nil || len(s.extra) == 0 && s.base.Len() == 0 {
		return nil
	}
	return s
}
