package catalog

import (
	"cmp"
	"encoding/binary"
	"iter"
	"maps"
	"slices"
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

// change is what one entry of the catalog says of traces. It becomes a layer.
type change struct {
	below  *SharedTraces
	groups groupList
	hides  []place
	count  int                   // how many more traces are shared than below
	moved  map[*homeGroup]Prints // of the traces that leave a group of a lower layer
}

// newChange returns a change of some shared traces.
func newChange(below *SharedTraces) *change {
	return &change{below: below, moved: map[*homeGroup]Prints{}}
}

// put says what is known of a trace from now on. Each trace may be put once.
func (c *change) put(x Extent, homes *homeSet) {
	if at, ok := c.below.find(x.ID); ok {
		c.hides = append(c.hides, at)
		if g := c.below.groupOf(at); g.isShared() {
			c.count--
			c.moved[g] = c.moved[g].add(c.below.layers[at.layer].traces[at.trace].prints())
		}
	}
	if homes.isShared() {
		c.count++
	}
	c.groups.add(x, homes)
}

// shared returns the shared traces after the change. ok=false: a trace was put twice.
func (c *change) shared() (out *SharedTraces, ok bool) {
	if len(c.groups.list) == 0 {
		return c.below, true
	}
	top, ok := c.groups.layer()
	if !ok {
		return nil, false
	}
	for i := range top.groups {
		g := &top.groups[i]
		if !g.isShared() {
			continue
		}
		sum := Prints{}
		for _, x := range top.traces[g.from:g.to] {
			sum = sum.add(x.prints())
		}
		top.addPrints(g.homes, sum)
	}
	for g, sum := range c.moved {
		top.addPrints(g.homes, Prints{}.without(sum))
	}
	out = &SharedTraces{count: c.below.Len() + c.count}
	if c.below != nil {
		out.layers = slices.Clone(c.below.layers)
	}
	out.hide(c.hides)
	out.layers = append(out.layers, shownLayer{layer: top})
	out.mergeTop()
	return out, true
}

// hide notes that the traces at these places are named by a newer layer.
func (s *SharedTraces) hide(list []place) {
	copied := make([]bool, len(s.layers))
	for _, at := range list {
		l := &s.layers[at.layer]
		if !copied[at.layer] {
			hidden := make([]uint64, (len(l.traces)+63)/64)
			copy(hidden, l.hidden)
			l.hidden, copied[at.layer] = hidden, true
		}
		l.hidden[at.trace>>6] |= 1 << (at.trace & 63)
	}
}

// mergeTop merges the newest layers as long as the one below has less than twice as many traces.
func (s *SharedTraces) mergeTop() {
	for n := len(s.layers); n > 1 && len(s.layers[n-2].traces) < 2*len(s.layers[n-1].traces); n-- {
		merged := mergeLayers(&s.layers[n-2], &s.layers[n-1], n == 2)
		s.layers = append(s.layers[:n-2], shownLayer{layer: merged})
	}
	if last := len(s.layers) - 1; last == 0 && len(s.layers[0].traces) == 0 {
		s.layers = nil
	}
}

// mergeLayers returns two layers as one. That a trace is no longer shared need not be said where
// nothing is below.
func mergeLayers(below, top *shownLayer, nothingBelow bool) *layer {
	var groups groupList
	for _, l := range []*shownLayer{below, top} {
		for i := range l.groups {
			g := &l.groups[i]
			if nothingBelow && !g.isShared() {
				continue
			}
			for t := g.from; t < g.to; t++ {
				if !l.isHidden(t) {
					groups.add(l.traces[t], g.homeSet)
				}
			}
		}
	}
	out, ok := groups.layer()
	if !ok {
		panic("BUG: a trace is in two layers and hidden in none")
	}
	for _, l := range []*shownLayer{below, top} {
		for id, b := range l.blocks {
			out.addPrints([]string{id}, b.prints)
		}
	}
	maps.DeleteFunc(out.blocks, func(_ string, b homeBlock) bool { return len(b.groups) == 0 && b.prints == Prints{} })
	return out
}

// addPrints adds to the prints of blocks.
func (l *layer) addPrints(blocks []string, p Prints) {
	for _, id := range blocks {
		b := l.blocks[id]
		b.prints = b.prints.add(p)
		l.blocks[id] = b
	}
}

// groupList collects traces by their homes.
type groupList struct {
	list  []listedGroup
	index map[groupKey]int
}

type groupKey struct {
	*homeSet
	disjoint bool
}

type listedGroup struct {
	groupKey
	traces []Extent
}

func (l *groupList) add(x Extent, homes *homeSet) {
	k := groupKey{homes, x.Disjoint}
	i, ok := l.index[k]
	if !ok {
		if l.index == nil {
			l.index = map[groupKey]int{}
		}
		i = len(l.list)
		l.index[k] = i
		l.list = append(l.list, listedGroup{groupKey: k})
	}
	l.list[i].traces = append(l.list[i].traces, x)
}

// layer returns the traces as a layer without prints. ok=false: a trace is among them twice.
func (l *groupList) layer() (out *layer, ok bool) {
	size := 0
	for i := range l.list {
		size += len(l.list[i].traces)
	}
	slices.SortStableFunc(l.list, func(a, b listedGroup) int {
		return cmp.Compare(min(len(b.homes), 2), min(len(a.homes), 2)) // those that are shared first
	})
	out = &layer{
		traces: make([]Extent, 0, size),
		groups: make([]homeGroup, 0, len(l.list)),
		index:  make(map[trace.ID]uint32, size),
		blocks: map[string]homeBlock{},
	}
	for i, g := range l.list {
		from := len(out.traces)
		out.traces = append(out.traces, g.traces...)
		for n, x := range g.traces {
			out.index[x.ID] = uint32(from + n)
		}
		out.groups = append(out.groups, homeGroup{g.homeSet, g.disjoint, from, len(out.traces)})
		for _, id := range g.homes {
			b := out.blocks[id]
			b.groups = append(b.groups, uint32(i))
			out.blocks[id] = b
		}
		if g.isShared() {
			out.shared = len(out.traces)
		}
	}
	return out, len(out.index) == size
}
