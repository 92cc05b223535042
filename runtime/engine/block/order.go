package block

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/long"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// traceOrderer puts the spans of one trace in order: each root with what is below it, parents
// before children. Roots, and the children of one span, are in the order of (start, span id). A
// span whose parent is not in the block is a root. Spans that are each other's ancestors hang from
// no root: they come last, from the earliest of them on.
//
// The spans of a trace, sorted, with the tree as lists of children, and the order that results:
//
//	i  span  parent  start     up  child  sibling      place
//	0  s1    -       10        -1  1      -1           0
//	1  s2    s1      11         0  4       2           1
//	2  s3    s1      12         0  -1     -1           3
//	3  s4    lost    12        -1  -1     -1           4
//	4  s5    s2      13         1  -1     -1           2
//
//	out = [0, 1, 4, 2, 3]
//
// Its memory is used again from trace to trace.
type traceOrderer struct {
	spans   []localSpan // by start and id
	up      []int32     // the parent's index in spans, -1: none here
	child   []int32     // index of the first child, -1: none
	sibling []int32     // index of the next child of the same parent, -1: none
	place   []int32     // index in out, -1: none yet
	out     []uint32
	stack   []int32
	table   []int32 // open hash table of ids: index in spans + 1; 0: empty
	mix     uint64  // secret of the hash
	numbers groupNumbers
}

// localSpan is a span of the trace that is being ordered.
type localSpan struct {
	start uint64
	id    uint64 // the eight bytes as they lie in memory
	row   uint32 // input row
}

// seedHash makes the hash of span ids secret, so that senders cannot make ids collide.
func (l *traceOrderer) seedHash(p *layout) { l.mix = maphash.String(p.seed, "span ids") | 1 }

func (l *traceOrderer) hashID(id uint64) uint64 {
	hi, lo := bits.Mul64(id^l.mix>>1, l.mix)
	return hi ^ lo
}

// orderRows puts the spans of a trace, given by their input rows, in order. It returns indices into
// l.spans, without those of duplicates; they are valid until the next call.
func (l *traceOrderer) orderRows(ctx context.Context, p *layout, rows []uint32) ([]uint32, error) {
	if len(rows) > checkEvery && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	l.loadSpans(p, rows, slices.SortFunc)
	if idTwice := l.linkParents(p); idTwice {
		kept, err := p.dropDuplicates(ctx, rows)
		if err != nil {
			return nil, err
		}
		l.loadSpans(p, kept, slices.SortStableFunc)
		l.linkParents(p)
	}
	return l.walkTree(), nil
}

// loadSpans sorts the rows by start and id into l.spans. A stable sort keeps the order of rows that
// are equal in both.
func (l *traceOrderer) loadSpans(
	p *layout, rows []uint32, sort func([]localSpan, func(a, b localSpan) int),
) {
	l.spans = l.spans[:0]
	for _, r := range rows {
		l.spans = append(l.spans, localSpan{start: uint64(p.start[r]), id: p.id[r], row: r})
	}
	sort(l.spans, func(a, b localSpan) int {
		if a.start != b.start {
			return cmp.Compare(a.start, b.start)
		}
		return cmp.Compare(bits.ReverseBytes64(a.id), bits.ReverseBytes64(b.id))
	})
}

// linkParents links every span with its parent and its siblings. It reports whether an id stands
// more than once; then the first span that has it is the parent of those that name it.
func (l *traceOrderer) linkParents(p *layout) (idTwice bool) {
	n := len(l.spans)
	size := 1 << bits.Len(uint(2*n))
	l.table = slices.Grow(l.table[:0], size)[:size]
	clear(l.table)
	mask := uint64(size - 1)
	find := func(id uint64) *int32 {
		for i := l.hashID(id); ; i++ {
			e := &l.table[i&mask]
			if *e == 0 || l.spans[*e-1].id == id {
				return e
			}
		}
	}
	for i := range l.spans {
		if e := find(l.spans[i].id); *e == 0 {
			*e = int32(i + 1)
		} else {
			idTwice = true
		}
	}
	l.up = slices.Grow(l.up[:0], n)[:n]
	l.child, l.sibling = slices.Grow(l.child[:0], n)[:n], slices.Grow(l.sibling[:0], n)[:n]
	l.place = slices.Grow(l.place[:0], n)[:n]
	for i := range l.child {
		l.child[i] = -1
	}
	for i := n - 1; i >= 0; i-- { // backwards, so that lists of children ascend
		l.up[i] = -1
		parent := p.parent[l.spans[i].row]
		if parent == 0 || parent == l.spans[i].id {
			continue
		}
		if e := *find(parent); e != 0 {
			l.up[i] = e - 1
			l.sibling[i] = l.child[e-1]
			l.child[e-1] = int32(i)
		}
	}
	return idTwice
}

// walkTree lists the spans in the order of the block: first what roots lead to, then the rest.
func (l *traceOrderer) walkTree() []uint32 {
	l.out = l.out[:0]
	for i := range l.place {
		l.place[i] = -1
	}
	for pass := range 2 {
		for i := range l.spans {
			if l.place[i] < 0 && (pass == 1 || l.up[i] < 0) {
				l.walkFrom(int32(i))
			}
		}
		if len(l.out) == len(l.spans) {
			break
		}
	}
	return l.out
}

// walkFrom lists a span and all spans below it that are not listed yet.
func (l *traceOrderer) walkFrom(i int32) {
	l.stack = append(l.stack[:0], i)
	for len(l.stack) > 0 {
		i := l.stack[len(l.stack)-1]
		l.stack = l.stack[:len(l.stack)-1]
		if l.place[i] >= 0 {
			continue
		}
		l.place[i] = int32(len(l.out))
		l.out = append(l.out, uint32(i))
		at := len(l.stack)
		for c := l.child[i]; c >= 0; c = l.sibling[c] {
			l.stack = append(l.stack, c)
		}
		slices.Reverse(l.stack[at:])
	}
}

// dropDuplicates returns the rows of a trace without those that trace.Assemble would leave out, in
// the order of their content.
func (p *layout) dropDuplicates(ctx context.Context, rows []uint32) ([]uint32, error) {
	if len(rows) > p.longTrace {
		return p.dropOfLong(ctx, rows)
	}
	var parts [][]trace.Fragment // by table that has rows of the trace
	var partRows [][]uint32
	err := p.eachTableOf(rows, func(n int, sorted, local []uint32) error {
		fs, err := column.Fragments(ctx, p.tables[n], local, nil)
		if err != nil {
			return err
		}
		if len(fs) != len(local) {
			return errors.New("BUG: fragments are missing")
		}
		parts, partRows = append(parts, fs), append(partRows, sorted)
		return nil
	})
	if err != nil {
		return nil, err
	}
	type keptRow struct {
		row     uint32
		content *trace.Fragment
	}
	var kept []keptRow
	for n, again := range trace.Duplicates(parts...) {
		for i, r := range partRows[n] {
			if _, dup := slices.BinarySearch(again, i); !dup {
				kept = append(kept, keptRow{r, &parts[n][i]})
			}
		}
	}
	slices.SortFunc(kept, func(a, b keptRow) int { return a.content.Compare(b.content) })
	out := make([]uint32, len(kept))
	for i, k := range kept {
		out[i] = k.row
	}
	return out, nil
}

// eachTableOf calls f for each table that has some of the input rows: with those in ascending
// order, and with their numbers in the table.
func (p *layout) eachTableOf(rows []uint32, f func(n int, sorted, local []uint32) error) error {
	sorted := slices.Sorted(slices.Values(rows))
	for n := range p.tables {
		i, _ := slices.BinarySearch(sorted, uint32(p.base[n]))
		j, _ := slices.BinarySearch(sorted, uint32(p.base[n+1]))
		if i == j {
			continue
		}
		local := slices.Clone(sorted[i:j])
		for k := range local {
			local[k] -= uint32(p.base[n])
		}
		if err := f(n, sorted[i:j], local); err != nil {
			return err
		}
	}
	return nil
}

// longTrace is layout.longTrace, except in tests.
const longTrace = 1 << 16

// contentsAtOnce is how many spans of a long trace are compared at a time.
const contentsAtOnce = 1 << 13

// dropOfLong is dropDuplicates for a trace that is too large to be held whole.
func (p *layout) dropOfLong(ctx context.Context, rows []uint32) ([]uint32, error) {
	var x long.Index
	err := p.eachTableOf(rows, func(n int, _, local []uint32) error {
		k, err := long.ReadKeys(ctx, p.tables[n], local)
		if err == nil {
			x.Add(uint32(n), k)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for n, ambiguous := range x.Ambiguous() {
		for part := range slices.Chunk(ambiguous, contentsAtOnce) {
			fs, err := column.Fragments(ctx, p.tables[n], part, nil)
			if err != nil {
				return nil, err
			}
			contents := make([]long.Content, len(fs))
			for i := range fs {
				contents[i] = long.ContentOf(fs[i].Span)
			}
			x.AddContents(n, part, contents)
		}
	}
	if err := x.Arrange(ctx); err != nil {
		return nil, err
	}
	out := make([]uint32, 0, x.Spans())
	for table, row := range x.EachByStart() {
		out = append(out, uint32(p.base[table])+row)
	}
	return out, nil
}

// groupNumbers numbers the ResourceSpans of one trace anew. Each has the number 0, unless several
// of them have an equal resource: those are 0, 1, and so on.
type groupNumbers struct {
	list  []numberedGroup
	index map[[3]uint32]uint32 // number by key, once there are more than fewGroups
	count map[uint32]uint32    // by resource, with index
	last  int                  // index in list of what was asked for last
}

// numberedGroup is one ResourceSpans of the trace.
type numberedGroup struct {
	key    [3]uint32 // resource, table, group in the table
	number uint32
}

// fewGroups is the number of ResourceSpans up to which the list is searched from its beginning.
const fewGroups = 32

func (g *groupNumbers) reset() {
	g.list, g.last = g.list[:0], 0
	clear(g.index)
	clear(g.count)
}

// numberOf returns the number of the ResourceSpans of a row.
func (g *groupNumbers) numberOf(resource, table, group uint32) uint32 {
	key := [3]uint32{resource, table, group}
	if g.last < len(g.list) && g.list[g.last].key == key {
		return g.list[g.last].number
	}
	number := uint32(0)
	if len(g.list) <= fewGroups {
		for i := range g.list {
			if e := &g.list[i]; e.key == key {
				g.last = i
				return e.number
			} else if e.key[0] == resource {
				number++
			}
		}
	} else {
		if len(g.index) == 0 {
			if g.index == nil {
				g.index, g.count = map[[3]uint32]uint32{}, map[uint32]uint32{}
			}
			for _, e := range g.list {
				g.index[e.key] = e.number
				g.count[e.key[0]]++
			}
		}
		if n, ok := g.index[key]; ok {
			return n
		}
		number = g.count[resource]
		g.count[resource]++
		g.index[key] = number
	}
	g.last = len(g.list)
	g.list = append(g.list, numberedGroup{key, number})
	return number
}
