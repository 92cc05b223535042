package catalog

import (
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// The homes of a trace are the blocks that hold spans of it. A set of homes may be too large, never
// too small. A retired block stays a home until it is forgotten, so that the sets of a version hold
// those of the versions before it: a query may be planned on an older version than the one by which
// its scans leave out shared traces.

// shareTraces notes traces that lie in several blocks and, if whoever says so may have known an
// older version, in those that have replaced them. Errors: ErrCorrupt.
func (e *edit) shareTraces(list []*blocks.SharedTraces, withSuccessors bool) error {
	for _, m := range list {
		t := e.changeTenant(m.GetTenant())
		c := newChange(t.shared)
		for _, g := range m.GetGroups() {
			homes, traces, err := decodeGroup(m, g)
			if err != nil {
				return err
			}
			if withSuccessors {
				homes = e.withSuccessors(homes)
			}
			e.joinHomes(c, homes, traces)
		}
		if err := t.apply(c); err != nil {
			return err
		}
	}
	return nil
}

// apply makes a change of the shared traces.
func (t *tenant) apply(c *change) error {
	shared, ok := c.shared()
	if !ok {
		return fmt.Errorf("a shared trace is listed twice: %w", ErrCorrupt)
	}
	t.shared = shared
	return nil
}

// joinHomes adds homes to those that the traces have already.
func (e *edit) joinHomes(c *change, homes []string, traces []Extent) {
	type joined struct {
		*homeSet
		compared bool // homes has all live ones of the old set: none was passed over
	}
	alone := &homeSet{homes}
	known := map[*homeSet]joined{}
	for _, x := range traces {
		at, ok := c.below.findShared(x.ID)
		if !ok {
			c.put(x, alone)
			continue
		}
		old := c.below.groupOf(at)
		j, ok := known[old.homeSet]
		if !ok {
			j = joined{&homeSet{slices.Clone(homes)}, true}
			for _, id := range old.homes {
				if !slices.Contains(homes, id) {
					j.homes = append(j.homes, id)
					j.compared = j.compared && e.retired[id] != nil
				}
			}
			known[old.homeSet] = j
		}
		x = x.Join(c.below.layers[at.layer].traces[at.trace])
		x.Disjoint = x.Disjoint && j.compared
		c.put(x, j.homeSet)
	}
}

// withSuccessors appends to blocks those that have replaced them, as far as that is known.
func (s *State) withSuccessors(homes []string) []string {
	for i := 0; i < len(homes); i++ {
		for _, id := range s.retired[homes[i]].GetReplacedBy() {
			if !slices.Contains(homes, id) {
				homes = append(homes, id)
			}
		}
	}
	return homes
}

// changeHomes replaces the homes of all shared traces that have one of the blocks.
func (t *tenant) changeHomes(ids []string, replace func(homes []string) []string) error {
	c := newChange(t.shared)
	known := map[*homeSet]*homeSet{}
	t.shared.eachGroupOf(ids, func(l *shownLayer, g *homeGroup) {
		set := known[g.homeSet]
		if set == nil {
			set = &homeSet{replace(g.homes)}
			known[g.homeSet] = set
		}
		for i := g.from; i < g.to; i++ {
			if !l.isHidden(i) {
				c.put(l.traces[i], set)
			}
		}
	})
	return t.apply(c)
}

// passHomes gives every shared trace of the inputs of a merge its outputs as homes, whatever
// whoever merged them knew of it: the trace may be shared only since.
func (t *tenant) passHomes(inputs, outputs []string) error {
	return t.changeHomes(inputs, func(homes []string) []string {
		out := slices.Clone(homes)
		for _, id := range outputs {
			if !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
		return out
	})
}

// forgetHomes takes blocks out of the homes. A trace that is left with one is no longer shared.
func (t *tenant) forgetHomes(ids []string) error {
	return t.changeHomes(ids, func(homes []string) []string {
		return slices.DeleteFunc(slices.Clone(homes), func(id string) bool { return slices.Contains(ids, id) })
	})
}

// eachGroupOf calls f once for each group of shared traces that has one of the blocks as a home.
func (s *SharedTraces) eachGroupOf(blocks []string, f func(*shownLayer, *homeGroup)) {
	if s == nil {
		return
	}
	for n := range s.layers {
		l := &s.layers[n]
		var groups []uint32
		for _, id := range blocks {
			groups = append(groups, l.blocks[id].groups...)
		}
		slices.Sort(groups)
		for _, i := range slices.Compact(groups) {
			if g := &l.groups[i]; g.isShared() {
				f(l, g)
			}
		}
	}
}
