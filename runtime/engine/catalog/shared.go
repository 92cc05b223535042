package catalog

import (
	"encoding/binary"
	"iter"
	"sort"

	"github.com/cespare/xxhash/v2"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Prints are checksums of sets of traces of one block: equal prints mean equal sets, and 0 is the
// empty set.
type Prints struct {
	Shared    uint64 // the traces that have several homes, with the starts of their extents
	Repeating uint64 // those of Shared that are not known to be disjoint
}

// add adds o to the prints.
func (p Prints) add(o Prints) Prints {
	return Prints{Shared: p.Shared + o.Shared, Repeating: p.Repeating + o.Repeating}
}

// without takes o out of the prints.
func (p Prints) without(o Prints) Prints {
	return Prints{Shared: p.Shared - o.Shared, Repeating: p.Repeating - o.Repeating}
}

// Extent is the time from the earliest start to the latest end of a trace's spans, as far as is
// known.
type Extent struct {
	ID         trace.ID
	Start, End uint64 // unix ns
	// Disjoint reports that no span is in two of the homes of a shared trace. A trace that is not
	// known to be disjoint is repeating: its homes may hold a span twice.
	Disjoint bool
}

// Join widens e by o. The result is disjoint if both are.
func (e Extent) Join(o Extent) Extent {
	return Extent{ID: e.ID, Start: min(e.Start, o.Start), End: max(e.End, o.End), Disjoint: e.Disjoint && o.Disjoint}
}

// prints returns the trace's part in the prints of its blocks.
func (e Extent) prints() Prints {
	var b [len(e.ID) + 8]byte
	copy(b[:], e.ID[:])
	binary.BigEndian.PutUint64(b[len(e.ID):], e.Start)
	p := Prints{Shared: xxhash.Sum64(b[:])}
	if !e.Disjoint {
		p.Repeating = xxhash.Sum64(e.ID[:])
	}
	return p
}

// SharedTraces are the traces of a tenant that have several homes, in one version of the catalog.
// They never change. nil is the empty set.
//
// They lie in layers. Each entry of the catalog that is about them adds a layer on top, which says
// all that is known of the traces that it names; what lower layers say of those is hidden. A layer
// is merged with the one below unless that has twice as many traces, so layers are few, and an
// entry costs in proportion to what it says.
type SharedTraces struct {
	layers []shownLayer // the newest last
	count  int
}

// shownLayer is a layer and which of its traces newer layers name.
type shownLayer struct {
	*layer
	hidden []uint64 // a bit for each trace; nil: none
}

func (l *shownLayer) isHidden(i int) bool { return l.hidden != nil && l.hidden[i>>6]>>(i&63)&1 != 0 }

// layer is what one or several entries of the catalog say of traces. It never changes.
type layer struct {
	traces []Extent    // those of one group lie together
	groups []homeGroup // in the order of their traces; those that are no longer shared are the last
	shared int         // how many of traces are still shared
	index  map[trace.ID]uint32
	blocks map[string]homeBlock // by block id
}

// homeGroup are traces with the same homes: traces [from, to) of its layer.
type homeGroup struct {
	*homeSet
	disjoint bool
	from, to int
}

// homeSet is the ids of the blocks that are the homes of some traces. Traces with fewer than two
// are no longer shared.
type homeSet struct{ homes []string }

// homeBlock is what a layer knows of one block.
type homeBlock struct {
	groups []uint32 // those it is a home of
	prints Prints   // what the layer adds to those of lower layers
}

// place says where a trace lies.
type place struct{ layer, trace int }

// find returns where the newest layer that names a trace has it.
func (s *SharedTraces) find(id trace.ID) (at place, ok bool) {
	if s == nil {
		return place{}, false
	}
	for n := len(s.layers) - 1; n >= 0; n-- {
		if i, ok := s.layers[n].index[id]; ok {
			return place{n, int(i)}, true
		}
	}
	return place{}, false
}

// findShared is find of a trace that is still shared.
func (s *SharedTraces) findShared(id trace.ID) (at place, ok bool) {
	at, ok = s.find(id)
	return at, ok && at.trace < s.layers[at.layer].shared
}

// groupOf returns the group of the trace at a place.
func (s *SharedTraces) groupOf(at place) *homeGroup {
	groups := s.layers[at.layer].groups
	return &groups[sort.Search(len(groups)-1, func(i int) bool { return groups[i].to > at.trace })]
}

// Len returns the number of the traces.
func (s *SharedTraces) Len() int {
	if s == nil {
		return 0
	}
	return s.count
}

// Find returns the extent of a trace that has several homes.
func (s *SharedTraces) Find(id trace.ID) (Extent, bool) {
	at, ok := s.findShared(id)
	if !ok {
		return Extent{}, false
	}
	return s.layers[at.layer].traces[at.trace], true
}

// HomesOf returns the ids of the blocks that hold spans of a trace, nil if it is not shared. The
// caller must not change it.
func (s *SharedTraces) HomesOf(id trace.ID) []string {
	at, ok := s.findShared(id)
	if !ok {
		return nil
	}
	return s.groupOf(at).homes
}

// All returns the traces, in no order.
func (s *SharedTraces) All() iter.Seq[Extent] {
	return s.list(func(l *shownLayer, f func(*homeGroup)) { l.eachGroup(f) })
}

// Repeating returns the traces that are not known to be disjoint, in no order.
func (s *SharedTraces) Repeating() iter.Seq[Extent] {
	return s.list(func(l *shownLayer, f func(*homeGroup)) {
		l.eachGroup(func(g *homeGroup) {
			if !g.disjoint {
				f(g)
			}
		})
	})
}

// OfBlock returns those of the traces that a block is a home of, in no order. It costs in
// proportion to their number.
func (s *SharedTraces) OfBlock(block string) iter.Seq[Extent] {
	return s.list(func(l *shownLayer, f func(*homeGroup)) { l.eachGroupOf(block, f) })
}

// RepeatingOf returns those of OfBlock that are not known to be disjoint.
func (s *SharedTraces) RepeatingOf(block string) iter.Seq[Extent] {
	return s.list(func(l *shownLayer, f func(*homeGroup)) {
		l.eachGroupOf(block, func(g *homeGroup) {
			if !g.disjoint {
				f(g)
			}
		})
	})
}

// printsOf returns the prints of a block.
func (s *SharedTraces) printsOf(block string) (p Prints) {
	if s == nil {
		return p
	}
	for i := range s.layers {
		p = p.add(s.layers[i].blocks[block].prints)
	}
	return p
}

// list returns the traces of the groups that choose names of each layer.
func (s *SharedTraces) list(choose func(*shownLayer, func(*homeGroup))) iter.Seq[Extent] {
	return func(yield func(Extent) bool) {
		if s == nil {
			return
		}
		goOn := true
		for n := range s.layers {
			l := &s.layers[n]
			choose(l, func(g *homeGroup) {
				for i := g.from; goOn && i < g.to; i++ {
					if !l.isHidden(i) {
						goOn = yield(l.traces[i])
					}
				}
			})
		}
	}
}

// eachGroup calls f for the groups of traces that are shared.
func (l *layer) eachGroup(f func(*homeGroup)) {
	for i := range l.groups {
		if g := &l.groups[i]; g.isShared() {
			f(g)
		}
	}
}

// eachGroupOf calls f for the groups of shared traces that a block is a home of.
func (l *layer) eachGroupOf(block string, f func(*homeGroup)) {
	for _, i := range l.blocks[block].groups {
		if g := &l.groups[i]; g.isShared() {
			f(g)
		}
	}
}

func (h *homeSet) isShared() bool { return len(h.homes) > 1 }
