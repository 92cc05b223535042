package catalog

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// SharedList collects traces of a tenant that have several homes, to be written. A trace may be
// added once. The zero list is empty.
type SharedList struct {
	groups groupList
	sets   map[string]*homeSet // by ids of the homes
	last   *homeSet            // of the trace that was added last
}

// Add adds a trace with the ids of the blocks that hold spans of it.
func (l *SharedList) Add(x Extent, homes []string) {
	if l.last == nil || !slices.Equal(l.last.homes, homes) {
		l.last = l.setOf(homes)
	}
	l.groups.add(x, l.last)
}

func (l *SharedList) setOf(homes []string) *homeSet {
	name := strings.Join(homes, " ")
	set := l.sets[name]
	if set == nil {
		if l.sets == nil {
			l.sets = map[string]*homeSet{}
		}
		set = &homeSet{slices.Clone(homes)}
		l.sets[name] = set
	}
	return set
}

// Message returns the list as it is written, nil if it is empty. Its order does not depend on the
// order in which the traces were added.
func (l *SharedList) Message(tenant string) *blocks.SharedTraces {
	return encodeShared(tenant, &l.groups)
}

// message returns the traces as they are written, nil for none.
func (s *SharedTraces) message(tenant string) *blocks.SharedTraces {
	if s == nil {
		return nil
	}
	var l groupList
	for n := range s.layers {
		shown := &s.layers[n]
		shown.eachGroup(func(g *homeGroup) {
			for i := g.from; i < g.to; i++ {
				if !shown.isHidden(i) {
					l.add(shown.traces[i], g.homeSet)
				}
			}
		})
	}
	return encodeShared(tenant, &l)
}

// encodeShared returns traces as they are written, nil for none.
func encodeShared(tenant string, l *groupList) *blocks.SharedTraces {
	if len(l.list) == 0 {
		return nil
	}
	for _, g := range l.list {
		slices.SortFunc(g.traces, func(a, b Extent) int {
			return cmp.Or(cmp.Compare(a.Start, b.Start), bytes.Compare(a.ID[:], b.ID[:]))
		})
	}
	groups := slices.Clone(l.list)
	slices.SortFunc(groups, func(a, b listedGroup) int {
		return cmp.Or(slices.Compare(a.homes, b.homes), bytes.Compare(a.traces[0].ID[:], b.traces[0].ID[:]))
	})
	out := &blocks.SharedTraces{Tenant: tenant}
	numbers := map[string]uint32{} // places in out.Blocks
	for _, g := range groups {
		m := &blocks.HomeGroup{
			Disjoint: g.disjoint,
			TraceIds: make([]byte, 0, len(g.traces)*len(trace.ID{})),
			Starts:   make([]int64, len(g.traces)),
			Lengths:  make([]int64, len(g.traces)),
		}
		for _, id := range g.homes {
			n, ok := numbers[id]
			if !ok {
				n = uint32(len(out.Blocks))
				numbers[id] = n
				out.Blocks = append(out.Blocks, id)
			}
			m.Homes = append(m.Homes, n)
		}
		last := uint64(0)
		for i, x := range g.traces {
			m.TraceIds = append(m.TraceIds, x.ID[:]...)
			m.Starts[i], m.Lengths[i] = int64(x.Start-last), int64(x.End-x.Start)
			last = x.Start
		}
		out.Groups = append(out.Groups, m)
	}
	return out
}

// decodeGroup returns the homes and the traces of a group of a message.
// Errors: ErrCorrupt.
func decodeGroup(m *blocks.SharedTraces, g *blocks.HomeGroup) (homes []string, traces []Extent, err error) {
	const size = len(trace.ID{})
	ids, starts, lengths := g.GetTraceIds(), g.GetStarts(), g.GetLengths()
	if len(ids)%size != 0 || len(starts) != len(ids)/size || len(lengths) != len(starts) {
		return nil, nil, fmt.Errorf("shared traces: %d bytes of ids, %d starts, %d lengths: %w",
			len(ids), len(starts), len(lengths), ErrCorrupt)
	}
	for _, n := range g.GetHomes() {
		if int64(n) >= int64(len(m.GetBlocks())) {
			return nil, nil, fmt.Errorf("shared traces: home %d of %d: %w", n, len(m.GetBlocks()), ErrCorrupt)
		}
		if id := m.GetBlocks()[n]; !slices.Contains(homes, id) {
			homes = append(homes, id)
		}
	}
	traces = make([]Extent, len(starts))
	last := uint64(0)
	for i := range traces {
		last += uint64(starts[i])
		traces[i] = Extent{
			ID:       trace.ID(ids[i*size:]),
			Start:    last,
			End:      last + uint64(lengths[i]),
			Disjoint: g.GetDisjoint(),
		}
	}
	return homes, traces, nil
}

// fromOldForm returns shared traces as they are written now.
func fromOldForm(old []*blocks.SharedTrace) (out []*blocks.SharedTraces) {
	var tenants []string
	lists := map[string]*SharedList{}
	for _, m := range old {
		if len(m.GetTraceId()) != len(trace.ID{}) {
			continue
		}
		l := lists[m.GetTenant()]
		if l == nil {
			l = &SharedList{}
			lists[m.GetTenant()] = l
			tenants = append(tenants, m.GetTenant())
		}
		l.Add(Extent{
			ID:       trace.ID(m.GetTraceId()),
			Start:    m.GetStartUnixNano(),
			End:      m.GetEndUnixNano(),
			Disjoint: m.GetDisjoint(),
		}, m.GetHomes())
	}
	for _, name := range tenants {
		out = append(out, lists[name].Message(name))
	}
	return out
}
