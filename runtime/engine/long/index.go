package long

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Index is the keys of a long trace. First all keys are added, then it is arranged; from then on it
// does not change. The zero Index is empty.
type Index struct {
	items  []item
	places []place
	groups []group
	order  []uint32 // groups that have spans, in their order
	spans  int      // without duplicates

	adding    adding // until the index is arranged
	scopeList []Digest
	contents  []spanContent // of the spans whose id stands more than once, by table and row
	relinks   relinks
}

// item is the key of a span.
type item struct {
	start uint64
	id    trace.SpanID
	row   uint32
	place uint32
}

// place is where spans were sent, and which table they lie in now.
type place struct{ table, group, scope uint32 }

// adding numbers what the keys of several tables, and several keys of one table, have in common.
type adding struct {
	resources, scopes map[Digest]uint32
	groups            map[groupKey]uint32
	places            map[uint64]uint32 // by group and scope
}

type groupKey struct{ table, resource, number uint32 }

// group is the spans that were sent under one ResourceSpans: items[from:to].
type group struct {
	resource Digest
	from, to uint32
	start    uint64 // of its first span
	id       trace.SpanID
}

// ref names a row of a table.
type ref uint64

func refOf(table, row uint32) ref { return ref(table)<<32 | ref(row) }

type spanContent struct {
	ref
	Content
}

// Bytes returns about how much memory the index takes.
func (x *Index) Bytes() int64 {
	const itemBytes, placeBytes, groupBytes, contentBytes = 24, 12 + 32, 48 + 64, 32 // with their maps
	return int64(len(x.items))*itemBytes + int64(len(x.places))*placeBytes +
		int64(len(x.groups))*groupBytes + int64(len(x.contents))*contentBytes
}

// Spans returns how many spans the trace has. Once the index is arranged duplicates do not count.
func (x *Index) Spans() int {
	if x.order == nil {
		return len(x.items)
	}
	return x.spans
}

// Add adds keys of a table, which the caller numbers. No row may come twice.
func (x *Index) Add(table uint32, k *Keys) {
	if x.adding.groups == nil {
		x.adding = adding{
			resources: map[Digest]uint32{},
			scopes:    map[Digest]uint32{},
			groups:    map[groupKey]uint32{},
			places:    map[uint64]uint32{},
		}
	}
	resources := make([]uint32, len(k.Resources))
	for i, d := range k.Resources {
		resources[i] = numberOf(x.adding.resources, d)
	}
	scopes := make([]uint32, len(k.Scopes))
	for i, d := range k.Scopes {
		if scopes[i] = numberOf(x.adding.scopes, d); int(scopes[i]) == len(x.scopeList) {
			x.scopeList = append(x.scopeList, d)
		}
	}
	places := make([]uint32, len(k.Sent))
	for i, s := range k.Sent {
		g := numberOf(x.adding.groups, groupKey{table, resources[s.Resource], s.Group})
		if int(g) == len(x.groups) {
			x.groups = append(x.groups, group{resource: k.Resources[s.Resource]})
		}
		places[i] = numberOf(x.adding.places, uint64(g)<<32|uint64(scopes[s.Scope]))
		if int(places[i]) == len(x.places) {
			x.places = append(x.places, place{table, g, scopes[s.Scope]})
		}
	}
	x.items = slices.Grow(x.items, len(k.Rows))
	for i, row := range k.Rows {
		x.items = append(x.items, item{start: k.Starts[i], id: k.IDs[i], row: row, place: places[k.Places[i]]})
	}
}

// numberOf returns the number of a key, which is the next one where the key is new.
func numberOf[K comparable](numbers map[K]uint32, key K) uint32 {
	n, ok := numbers[key]
	if !ok {
		n = uint32(len(numbers))
		numbers[key] = n
	}
	return n
}

// Ambiguous returns the spans whose id stands more than once, as ascending rows by table. Their
// contents must be added before the index is arranged.
func (x *Index) Ambiguous() map[uint32][]uint32 {
	// Two passes over a set of bits find nearly only those. What they find too much is left out by
	// sorting.
	size := 1 << bits.Len(uint(max(len(x.items), 64)*16-1))
	once, twice := make([]uint64, size/64), make([]uint64, size/64)
	bitOf := func(id trace.SpanID) (word, bit uint64) {
		h := idNumber(id) * 0x9e3779b97f4a7c15
		h = (h ^ h>>32) * 0x9e3779b97f4a7c15 >> (64 - bits.Len(uint(size-1)))
		return h / 64, 1 << (h % 64)
	}
	for i := range x.items {
		word, bit := bitOf(x.items[i].id)
		twice[word] |= once[word] & bit
		once[word] |= bit
	}
	var found []uint32
	for i := range x.items {
		if word, bit := bitOf(x.items[i].id); twice[word]&bit != 0 {
			found = append(found, uint32(i))
		}
	}
	slices.SortFunc(found, func(a, b uint32) int {
		return cmp.Compare(idNumber(x.items[a].id), idNumber(x.items[b].id))
	})
	out := map[uint32][]uint32{}
	for i, n := range found {
		same := i > 0 && x.items[found[i-1]].id == x.items[n].id ||
			i+1 < len(found) && x.items[found[i+1]].id == x.items[n].id
		if same {
			it := &x.items[n]
			table := x.places[it.place].table
			out[table] = append(out[table], it.row)
		}
	}
	for _, rows := range out {
		slices.Sort(rows)
	}
	return out
}

// idNumber is an id as a number: small ids are small numbers.
func idNumber(id trace.SpanID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// AddContents adds the contents of rows of a table.
func (x *Index) AddContents(table uint32, rows []uint32, contents []Content) {
	for i, c := range contents {
		x.contents = append(x.contents, spanContent{refOf(table, rows[i]), c})
	}
}

// contentOf returns what is known of a span; nil: its id stands once.
func (x *Index) contentOf(it *item) *Content {
	if len(x.contents) == 0 {
		return nil
	}
	want := refOf(x.places[it.place].table, it.row)
	i, ok := slices.BinarySearchFunc(x.contents, want, func(c spanContent, r ref) int { return cmp.Compare(c.ref, r) })
	if !ok {
		return nil
	}
	return &x.contents[i].Content
}

// compareItems orders spans by start, id, content and scope.
func (x *Index) compareItems(a, b item) int {
	if a.start != b.start {
		return cmp.Compare(a.start, b.start)
	}
	if c := bytes.Compare(a.id[:], b.id[:]); c != 0 {
		return c
	}
	p, q := x.contentOf(&a), x.contentOf(&b)
	if p != nil && q != nil {
		if c := bytes.Compare(p.Digest[:], q.Digest[:]); c != 0 {
			return c
		}
	}
	return x.compareScopes(x.places[a.place].scope, x.places[b.place].scope)
}

func (x *Index) compareScopes(a, b uint32) int {
	if a == b {
		return 0
	}
	return bytes.Compare(x.scopeList[a][:], x.scopeList[b][:])
}

func (x *Index) compareGroups(a, b uint32) int {
	g, h := &x.groups[a], &x.groups[b]
	if c := slices.CompareFunc(x.items[g.from:g.to], x.items[h.from:h.to], x.compareItems); c != 0 {
		return c
	}
	return bytes.Compare(g.resource[:], h.resource[:])
}
