package long

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Arrange puts the spans in order and leaves out duplicates: the first of equal spans stays.
func (x *Index) Arrange(ctx context.Context) error {
	slices.SortFunc(x.contents, func(a, b spanContent) int { return cmp.Compare(a.ref, b.ref) })
	x.gatherGroups()
	byStart := func(a, b item) int {
		switch {
		case a.start < b.start:
			return -1
		case a.start > b.start:
			return 1
		}
		return x.compareItems(a, b)
	}
	for g := range x.groups {
		if g%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		slices.SortFunc(x.items[x.groups[g].from:x.groups[g].to], byStart)
	}
	x.order = make([]uint32, len(x.groups))
	for g := range x.order {
		x.order[g] = uint32(g)
	}
	slices.SortFunc(x.order, x.compareGroups)
	if x.dropDuplicates() {
		x.order = slices.DeleteFunc(x.order, func(g uint32) bool { return x.groups[g].from == x.groups[g].to })
		slices.SortFunc(x.order, x.compareGroups)
	}
	for _, g := range x.order {
		o := &x.groups[g]
		o.start, o.id = x.items[o.from].start, x.items[o.from].id
		x.spans += int(o.to - o.from)
		x.gatherScopes(x.items[o.from:o.to])
	}
	x.relink()
	x.adding = adding{}
	return ctx.Err()
}

// gatherGroups moves the items of each group together, without memory beside them.
func (x *Index) gatherGroups() {
	for i := range x.items {
		x.groups[x.places[x.items[i].place].group].to++
	}
	at := uint32(0)
	for g := range x.groups {
		n := x.groups[g].to
		x.groups[g].from, x.groups[g].to = at, at // to is where the next item of the group goes
		at += n
	}
	for g := range x.groups {
		end := uint32(len(x.items))
		if g+1 < len(x.groups) {
			end = x.groups[g+1].from
		}
		for x.groups[g].to < end {
			i := x.groups[g].to
			h := x.places[x.items[i].place].group
			if h != uint32(g) {
				x.items[i], x.items[x.groups[h].to] = x.items[x.groups[h].to], x.items[i]
			}
			x.groups[h].to++
		}
	}
}

// gatherScopes moves the items of a group together that have one scope. Scopes are in the order of
// their first spans.
func (x *Index) gatherScopes(items []item) {
	first := x.places[items[0].place].scope
	if !slices.ContainsFunc(items, func(it item) bool { return x.places[it.place].scope != first }) {
		return
	}
	ranks := map[uint32]int{}
	for i := range items {
		s := x.places[items[i].place].scope
		if _, ok := ranks[s]; !ok {
			ranks[s] = len(ranks)
		}
	}
	slices.SortStableFunc(items, func(a, b item) int {
		return cmp.Compare(ranks[x.places[a.place].scope], ranks[x.places[b.place].scope])
	})
}

// dropDuplicates leaves out all but the first of equal spans. It reports whether there were any.
func (x *Index) dropDuplicates() bool {
	if len(x.contents) == 0 {
		return false
	}
	type copyOf struct {
		content  *Content
		rank     int // of its group
		item     uint32
		resource *Digest
		scope    uint32
	}
	var list []copyOf
	for rank, g := range x.order {
		o := &x.groups[g]
		for i := o.from; i < o.to; i++ {
			if c := x.contentOf(&x.items[i]); c != nil {
				list = append(list, copyOf{c, rank, i, &o.resource, x.places[x.items[i].place].scope})
			}
		}
	}
	same := func(a, b copyOf) int {
		return cmp.Or(
			bytes.Compare(a.content.Digest[:], b.content.Digest[:]),
			cmp.Compare(a.scope, b.scope),
			bytes.Compare(a.resource[:], b.resource[:]))
	}
	slices.SortFunc(list, func(a, b copyOf) int {
		return cmp.Or(same(a, b), cmp.Compare(a.rank, b.rank), cmp.Compare(a.item, b.item))
	})
	const gone = ^uint32(0)
	dropped := map[uint32]bool{} // groups that lose spans
	for i := 1; i < len(list); i++ {
		if same(list[i-1], list[i]) == 0 {
			x.items[list[i].item].place = gone
			dropped[x.order[list[i].rank]] = true
		}
	}
	for g := range dropped {
		o := &x.groups[g]
		kept := slices.DeleteFunc(x.items[o.from:o.to:o.to], func(it item) bool { return it.place == gone })
		o.to = o.from + uint32(len(kept))
	}
	return len(dropped) > 0
}

// relinks are the new ids of server spans that share theirs with a client.
type relinks struct {
	servers map[trace.SpanID]trace.SpanID // the shared id -> the first server's new one
	fresh   map[ref]trace.SpanID
}

// relink finds the pairs of clients and servers that share an id, as trace.Relink does.
func (x *Index) relink() {
	if len(x.contents) == 0 {
		return
	}
	clients := map[trace.SpanID]bool{}
	x.eachKind(func(it *item, kind int32) {
		if kind == trace.KindClient {
			clients[it.id] = true
		}
	})
	var servers []*item
	x.eachKind(func(it *item, kind int32) {
		if kind == trace.KindServer && clients[it.id] {
			servers = append(servers, it)
		}
	})
	if len(servers) == 0 {
		return
	}
	next := trace.FreeSpanIDs(x.eachID)
	x.relinks = relinks{servers: map[trace.SpanID]trace.SpanID{}, fresh: map[ref]trace.SpanID{}}
	for _, it := range servers {
		id := next()
		if _, ok := x.relinks.servers[it.id]; !ok {
			x.relinks.servers[it.id] = id
		}
		x.relinks.fresh[refOf(x.places[it.place].table, it.row)] = id
	}
}

// eachKind calls f for the spans whose content is known, in their order.
func (x *Index) eachKind(f func(it *item, kind int32)) {
	for _, g := range x.order {
		for i := x.groups[g].from; i < x.groups[g].to; i++ {
			if c := x.contentOf(&x.items[i]); c != nil {
				f(&x.items[i], c.Kind)
			}
		}
	}
}

// eachID yields the ids of all spans.
func (x *Index) eachID(yield func(trace.SpanID) bool) {
	for _, g := range x.order {
		for i := x.groups[g].from; i < x.groups[g].to; i++ {
			if !yield(x.items[i].id) {
				return
			}
		}
	}
}
