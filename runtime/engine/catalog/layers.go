package catalog

import (
	"cmp"
	"maps"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

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
	last  int // in list: of the trace that was added last
}

type groupKey struct {
	*homeSet
	disjoint bool
}

type listedGroup struct {
	groupKey
	traces []Extent
}

// groupOf returns where the group is in the list.
func (l *groupList) groupOf(k groupKey) int {
	i, ok := l.index[k]
	if !ok {
		if l.index == nil {
			l.index = map[groupKey]int{}
		}
		i = len(l.list)
		l.index[k] = i
		l.list = append(l.list, listedGroup{groupKey: k})
	}
	return i
}

func (l *groupList) add(x Extent, homes *homeSet) {
	if k := (groupKey{homes, x.Disjoint}); len(l.list) == 0 || l.list[l.last].groupKey != k {
		l.last = l.groupOf(k)
	}
	g := &l.list[l.last]
	g.traces = append(g.traces, x)
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
