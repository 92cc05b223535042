package trace

import (
	"bytes"
	"cmp"
	"slices"
)

// Fragment is one stored span of a trace with what it was sent under. All bytes are canonical.
type Fragment struct {
	Resource []byte // as Visitor.Resource gives it
	Scope    []byte // as Visitor.Scope gives it
	Group    uint32 // tells apart ResourceSpans of equal content within one home
	Span     []byte // content of a Span message
}

// Compare is the order of spans that start together under one id: by content, then resource, then
// scope.
func (f *Fragment) Compare(o *Fragment) int {
	return cmp.Or(bytes.Compare(f.Span, o.Span), bytes.Compare(f.Resource, o.Resource), bytes.Compare(f.Scope, o.Scope))
}

// item is a span within its group; start and id are read from it.
type item struct {
	start     uint64
	id        SpanID
	span      []byte
	scope     []byte
	duplicate bool // a duplicate of a span of an earlier group
	home      int  // which slice of fragments it came from, and its index there
	index     int
}

// group is the spans that were sent under one ResourceSpans, and become one again.
type group struct {
	resource []byte
	items    []item
}

// Assemble joins the parts of one trace, one slice of fragments for each home, to a TracesData
// message.
//
// Spans of equal resource, scope and canonical bytes are duplicates and kept once. (The same span
// under another resource is another span.) There is one ResourceSpans for each home, resource and
// group. A duplicate is taken out of the group that is later in the order below, and a group
// without spans is left out. Inside a group, ScopeSpans of equal content are one.
//
// Order: spans by start, span id, bytes, scope; scopes by their first span; groups by their spans
// in that order, then by resource. The result does not depend on the order of homes or of fragments
// in them. The bytes are new; fragments are not changed.
func Assemble(homes ...[]Fragment) []byte {
	groups := orderedGroups(homes)
	groups = dropDuplicates(groups)
	slices.SortFunc(groups, compareGroups)

	size := 0
	for i := range groups {
		size += len(groups[i].resource) + 16
		for j := range groups[i].items {
			size += len(groups[i].items[j].span) + 4
		}
	}
	e := Encoder{dst: make([]byte, 0, size+size/8)}
	for i := range groups {
		e.writeGroup(&groups[i])
	}
	return e.Bytes()
}

// groupsOf sorts fragments into groups, in the order in which they come.
func groupsOf(homes [][]Fragment) []group {
	type key struct {
		home     int
		group    uint32
		resource string
	}
	var groups []group
	index := map[key]int{}
	for home, fragments := range homes {
		at := -1
		for i := range fragments {
			f := &fragments[i]
			if at < 0 || f.Group != fragments[i-1].Group || !bytes.Equal(f.Resource, fragments[i-1].Resource) {
				k := key{home, f.Group, string(f.Resource)}
				var ok bool
				if at, ok = index[k]; !ok {
					at = len(groups)
					index[k] = at
					groups = append(groups, group{resource: f.Resource})
				}
			}
			start, id := startAndID(f.Span)
			groups[at].items = append(groups[at].items,
				item{start: start, id: id, span: f.Span, scope: f.Scope, home: home, index: i})
		}
	}
	return groups
}

// orderedGroups returns the groups and their items in the order of Assemble.
func orderedGroups(homes [][]Fragment) []group {
	groups := groupsOf(homes)
	for i := range groups {
		slices.SortFunc(groups[i].items, compareItems)
	}
	slices.SortFunc(groups, compareGroups)
	return groups
}

// Duplicates returns the fragments that Assemble leaves out: for each home the indices of its
// fragments, ascending.
func Duplicates(homes ...[]Fragment) [][]int {
	groups := orderedGroups(homes)
	markDuplicates(groups)
	out := make([][]int, len(homes))
	for g := range groups {
		for i := range groups[g].items {
			if it := &groups[g].items[i]; it.duplicate {
				out[it.home] = append(out[it.home], it.index)
			}
		}
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out
}

// startAndID reads the two fields of a span that it is ordered by.
func startAndID(span []byte) (start uint64, id SpanID) {
	for pos := 0; pos < len(span); {
		f, body := readField(span, pos)
		if f.end < 0 {
			break
		}
		pos = f.end
		switch {
		case f.num == 2 && f.wire == wireLen:
			copy(id[:], body)
		case f.num == 7 && f.wire == wireI64:
			return f.val, id
		case f.num > 7: // canonical: nothing more to come
			return 0, id
		}
	}
	return start, id
}

// KindOf reads the kind of a canonical span.
func KindOf(span []byte) int32 {
	for pos := 0; pos < len(span); {
		f, _ := readField(span, pos)
		if f.end < 0 || f.num > 6 { // canonical: nothing more to come
			break
		}
		if f.num == 6 && f.wire == wireVarint {
			return int32(f.val)
		}
		pos = f.end
	}
	return 0
}

func compareItems(a, b item) int {
	if c := cmp.Compare(a.start, b.start); c != 0 {
		return c
	}
	if c := bytes.Compare(a.id[:], b.id[:]); c != 0 {
		return c
	}
	if c := bytes.Compare(a.span, b.span); c != 0 {
		return c
	}
	return bytes.Compare(a.scope, b.scope)
}

func compareGroups(a, b group) int {
	if c := slices.CompareFunc(a.items, b.items, compareItems); c != 0 {
		return c
	}
	return bytes.Compare(a.resource, b.resource)
}

// dropDuplicates keeps each span in the first group, and at the first place in it, that holds it.
func dropDuplicates(groups []group) []group {
	markDuplicates(groups)
	for g := range groups {
		groups[g].items = slices.DeleteFunc(groups[g].items, func(it item) bool { return it.duplicate })
	}
	return slices.DeleteFunc(groups, func(g group) bool { return len(g.items) == 0 })
}

// markDuplicates marks all but the first of equal spans. It sorts references to them by content, so
// that equal ones lie side by side.
func markDuplicates(groups []group) {
	type ref struct{ group, item int }
	var refs []ref
	for g := range groups {
		for i := range groups[g].items {
			refs = append(refs, ref{g, i})
		}
	}
	same := func(a, b ref) int {
		x, y := &groups[a.group].items[a.item], &groups[b.group].items[b.item]
		if c := bytes.Compare(x.span, y.span); c != 0 {
			return c
		}
		if c := bytes.Compare(x.scope, y.scope); c != 0 {
			return c
		}
		return bytes.Compare(groups[a.group].resource, groups[b.group].resource)
	}
	slices.SortFunc(refs, func(a, b ref) int {
		return cmp.Or(same(a, b), cmp.Compare(a.group, b.group), cmp.Compare(a.item, b.item))
	})
	for i := 1; i < len(refs); i++ {
		if same(refs[i-1], refs[i]) == 0 {
			groups[refs[i].group].items[refs[i].item].duplicate = true
		}
	}
}

// writeGroup writes one ResourceSpans, whose scopes are in the order of their first spans.
func (e *Encoder) writeGroup(g *group) {
	ranks := map[string]int{}
	rank := make([]int, len(g.items))
	order := make([]int, len(g.items))
	for i := range g.items {
		r, ok := ranks[string(g.items[i].scope)]
		if !ok {
			r = len(ranks)
			ranks[string(g.items[i].scope)] = r
		}
		rank[i], order[i] = r, i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank[a], rank[b]) })
	_ = e.Resource(g.resource)
	for n, i := range order {
		if n == 0 || rank[i] != rank[order[n-1]] {
			_ = e.Scope(g.items[i].scope)
		}
		e.AppendEncoded(g.items[i].span)
	}
}
