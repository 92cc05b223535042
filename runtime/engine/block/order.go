package block

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// localTrace orders the spans of one trace. Its memory is used again.
type localTrace struct {
	spans   []localSpan
	up      []int32 // the parent's index in spans, -1: none here
	child   []int32 // first child
	sibling []int32
	place   []int32 // index in the order
	out     []uint32
	stack   []int32
	table   []int32 // ids: index in spans + 1
	mix     uint64
	numbers groupNumbers
}

type localSpan struct {
	start uint64
	id    uint64 // as in memory
	row   uint32
}

func (l *localTrace) init(p *plan) { l.mix = maphash.String(p.seed, "span ids") | 1 }

func (l *localTrace) slot(id uint64) uint64 {
	hi, lo := bits.Mul64(id^l.mix>>1, l.mix)
	return hi ^ lo
}

// order returns indices into l.spans: which rows are kept, in the order of the block.
func (l *localTrace) order(ctx context.Context, p *plan, rows []uint32) ([]uint32, error) {
	if len(rows) > checkEvery && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	l.load(p, rows, slices.SortFunc)
	if l.link(p) {
		kept, err := p.unique(ctx, rows)
		if err != nil {
			return nil, err
		}
		l.load(p, kept, slices.SortStableFunc)
		l.link(p)
	}
	return l.walk(), nil
}

// load takes the rows, by start and id.
func (l *localTrace) load(p *plan, rows []uint32, sort func([]localSpan, func(a, b localSpan) int)) {
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

// link finds the parents. twice: an id stands more than once.
func (l *localTrace) link(p *plan) (twice bool) {
	n := len(l.spans)
	size := 1 << bits.Len(uint(2*n))
	l.table = slices.Grow(l.table[:0], size)[:size]
	clear(l.table)
	mask := uint64(size - 1)
	find := func(id uint64) *int32 {
		for i := l.slot(id); ; i++ {
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
			twice = true
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
	return twice
}

// walk goes down from each root; what no root leads to (spans that are each other's ancestors)
// follows, from its earliest span on.
func (l *localTrace) walk() []uint32 {
	l.out = l.out[:0]
	for i := range l.place {
		l.place[i] = -1
	}
	for pass := range 2 {
		for i := range l.spans {
			if l.place[i] < 0 && (pass == 1 || l.up[i] < 0) {
				l.descend(int32(i))
			}
		}
		if len(l.out) == len(l.spans) {
			break
		}
	}
	return l.out
}

func (l *localTrace) descend(i int32) {
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

// unique returns the rows without duplicates, which are those that trace.Assemble would leave out,
// by content.
func (p *plan) unique(ctx context.Context, rows []uint32) ([]uint32, error) {
	var homes [][]trace.Fragment
	var from [][]uint32
	sorted := slices.Sorted(slices.Values(rows))
	for n, t := range p.tables {
		i, _ := slices.BinarySearch(sorted, uint32(p.base[n]))
		j, _ := slices.BinarySearch(sorted, uint32(p.base[n+1]))
		if i == j {
			continue
		}
		local := slices.Clone(sorted[i:j])
		for k := range local {
			local[k] -= uint32(p.base[n])
		}
		fs, err := column.Fragments(ctx, t, local, nil)
		if err != nil {
			return nil, err
		}
		if len(fs) != len(local) {
			return nil, errors.New("BUG: fragments are missing")
		}
		homes, from = append(homes, fs), append(from, sorted[i:j])
	}
	type keptRow struct {
		row     uint32
		content *trace.Fragment
	}
	var kept []keptRow
	for h, again := range trace.Duplicates(homes...) {
		for i, r := range from[h] {
			if _, dup := slices.BinarySearch(again, i); !dup {
				kept = append(kept, keptRow{r, &homes[h][i]})
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

// groupNumbers numbers the ResourceSpans of one trace anew: 0 but for those of equal resource.
type groupNumbers struct {
	list  []numberedGroup
	index map[[3]uint32]uint32 // when there are many
	count map[uint32]uint32
	last  int
}

type numberedGroup struct {
	key    [3]uint32 // resource, table, group there
	number uint32
}

const fewGroups = 32

func (g *groupNumbers) reset() {
	g.list, g.last = g.list[:0], 0
	clear(g.index)
	clear(g.count)
}

func (g *groupNumbers) of(resource, table, group uint32) uint32 {
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
