package block

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Before the first value is written, every row of the tables gets its place in the block.
//
// Input rows are numbered through: those of the first table, then those of the second, and so on.
// The order of the block is: traces by their start, then by id; the spans of a trace as a tree,
// parents before children, siblings by start, then by id (order.go). Of equal spans one is kept.
//
// The place of a row is its slot. Slots are the rows of the block, except that every row group
// begins at a multiple of 64, so that a bitmap of a page consists of whole words. The slots in
// between are padding.
//
// Two tables with five rows, of which B has a span that A has too:
//
//	input row  table  trace  start  span  parent      slot  input row  trace  span  distance
//	0          A      t2     20     s4    -           0     2          t1     s1    0
//	1          A      t1     11     s2    s1          1     1          t1     s2    1
//	2          A      t1     10     s1    -           2     3          t1     s3    1
//	3          B      t1     12     s3    s2          3     0          t2     s4    0
//	4          B      t1     11     s2    s1
//
//	slots = [3, 1, 0, 2, noSlot]      input = [2, 1, 3, 0]
//
// Invariants: input[slots[r]] == r for every row r that is kept; a trace lies in one row group; the
// slots of a trace are contiguous; distance leads from a span back to its parent in the same trace.

const (
	noSlot       = math.MaxUint32 // of rows that are left out
	slotAlign    = 64
	maxRows      = math.MaxUint32 - 1<<20 // of all inputs: slots are 32 bits, and padding needs some
	rowGroupRows = 128 << 10              // of a row group, unless the caller says otherwise
	// groupRefs is how many bytes of distinct resources and scopes a row group may have: it ends
	// with the trace that passes them.
	groupRefs = 32 << 20
)

// groupLayout is a row group of the block.
type groupLayout struct {
	rows   int
	slot   int // of its first row
	row    int // rows before it
	trace  int // its first trace
	traces int
}

// traceLayout is a trace of the block.
type traceLayout struct {
	id         trace.ID
	start, end uint64 // unix ns
	spans      int
	root       uint32 // slot of the last span without parent; noSlot: none
	first      uint32 // where its input rows begin in rowsByTrace
}

// inputRows is what the order of the rows depends on, by input row.
type inputRows struct {
	trace    []uint32 // number in layout.traces while they are in the order they were found
	start    []int64
	id       []uint64
	parent   []uint64 // 0: none
	resource []uint32 // number in layout.resources
	scope    []uint32
	group    []uint32 // of the ResourceSpans, as in the table
	slots    []uint32
}

// blockRows is what becomes of the rows, by slot.
type blockRows struct {
	input       []uint32 // input row; 0 in the padding
	distance    []int32  // to the parent's row; 0: not in the block
	groupNumber []uint32 // tells apart the ResourceSpans of a trace that are equal
}

// layout says which input rows become which rows of the block.
type layout struct {
	tables []column.Table
	base   []int // number of the first input row of each table, and of the end
	seed   maphash.Seed
	// longTrace is from how many spans on a trace is not held whole while duplicates are looked
	// for.
	longTrace int

	inputRows
	blockRows

	resources, scopes *interner
	traces            []traceLayout
	groups            []groupLayout
	rows              int // without padding
}

// layOut gives the rows of the tables their places. A row group has at most limit rows, 0 meaning
// rowGroupRows, unless it is one trace. It returns ErrTooLarge, or the errors of the tables.
func layOut(ctx context.Context, tables []column.Table, limit int) (*layout, error) {
	// tidy: the seed spreads hash tables, so that nobody can send names that collide; no byte of a
	// block depends on it
	p := &layout{tables: tables, seed: maphash.MakeSeed(), longTrace: longTrace}
	p.resources, p.scopes = newInterner(p.seed), newInterner(p.seed)
	total := 0
	for _, t := range tables {
		p.base = append(p.base, total)
		total += t.Rows()
		if total > maxRows {
			return nil, fmt.Errorf("plan block of more than %d rows: merge fewer tables: %w", maxRows, ErrTooLarge)
		}
	}
	p.base = append(p.base, total)
	p.inputRows = inputRows{
		trace:    make([]uint32, total),
		start:    make([]int64, total),
		id:       make([]uint64, total),
		parent:   make([]uint64, total),
		resource: make([]uint32, total),
		scope:    make([]uint32, total),
		group:    make([]uint32, total),
	}
	r := &layoutReader{layout: p, ctx: ctx, numbers: map[trace.ID]uint32{}}
	for n := range tables {
		if err := r.readTable(n); err != nil {
			return nil, err
		}
	}
	if err := p.assignSlots(ctx, cmp.Or(max(limit, 0), rowGroupRows)); err != nil {
		return nil, err
	}
	p.trace, p.group = nil, nil
	return p, nil
}

// assignSlots gives the rows their slots, trace by trace.
func (p *layout) assignSlots(ctx context.Context, limit int) error {
	rows := p.rowsByTrace()
	slices.SortFunc(p.traces, func(a, b traceLayout) int {
		return cmp.Or(cmp.Compare(a.start, b.start), bytes.Compare(a.id[:], b.id[:]))
	})
	total := len(p.trace)
	p.slots = make([]uint32, total)
	for i := range p.slots {
		p.slots[i] = noSlot
	}
	p.input = make([]uint32, 0, total+total/64)
	p.distance, p.groupNumber = make([]int32, 0, cap(p.input)), make([]uint32, 0, cap(p.input))
	a := newSlotAssigner(p)
	for i := range p.traces {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		t := &p.traces[i]
		order, err := a.orderer.orderRows(ctx, p, rows[t.first:t.first+uint32(t.spans)])
		if err != nil {
			return err
		}
		t.spans = len(order)
		a.placeTrace(i, order, limit)
	}
	if len(p.input) > maxRows {
		return fmt.Errorf("plan block of more than %d rows: merge fewer tables: %w", maxRows, ErrTooLarge)
	}
	return nil
}

// rowsByTrace returns the input rows ordered by their traces, by a counting sort, and notes in the
// traces where their rows begin.
func (p *layout) rowsByTrace() []uint32 {
	rows := make([]uint32, len(p.trace))
	sum := uint32(0)
	for i := range p.traces {
		p.traces[i].first = sum
		sum += uint32(p.traces[i].spans)
	}
	next := make([]uint32, len(p.traces))
	for r, t := range p.trace {
		rows[p.traces[t].first+next[t]] = uint32(r)
		next[t]++
	}
	return rows
}

// slotAssigner gives one trace after the other the next slots.
type slotAssigner struct {
	*layout
	orderer   traceOrderer
	lastTable int
	refs      int         // bytes of distinct resources and scopes in the open row group
	seen      [2][]uint32 // by resource, by scope: row group + 1 that counted it last
}

func newSlotAssigner(p *layout) *slotAssigner {
	a := &slotAssigner{layout: p}
	a.orderer.seedHash(p)
	a.seen = [2][]uint32{make([]uint32, len(p.resources.list)), make([]uint32, len(p.scopes.list))}
	return a
}

// placeTrace puts a trace into the open row group, or into a new one. order is what orderRows
// returned.
func (a *slotAssigner) placeTrace(number int, order []uint32, limit int) {
	g := len(a.groups) - 1
	if g < 0 || a.groups[g].rows > 0 && (a.groups[g].rows+len(order) > limit || a.refs > groupRefs) {
		a.beginGroup(number)
		g++
	}
	a.placeRows(&a.traces[number], order)
	a.groups[g].rows += len(order)
	a.groups[g].traces++
	a.layout.rows += len(order)
}

// beginGroup begins a row group with a trace.
func (a *slotAssigner) beginGroup(trace int) {
	for len(a.input)%slotAlign != 0 {
		a.input, a.distance = append(a.input, 0), append(a.distance, 0)
		a.groupNumber = append(a.groupNumber, 0)
	}
	a.groups = append(a.groups, groupLayout{slot: len(a.input), row: a.layout.rows, trace: trace})
	a.refs = 0
}

// placeRows gives the rows of a trace the next slots.
func (a *slotAssigner) placeRows(t *traceLayout, order []uint32) {
	l := &a.orderer
	first := len(a.input)
	no := uint32(len(a.groups))
	l.numbers.reset()
	for i, o := range order {
		row := l.spans[o].row
		slot := uint32(first + i)
		a.slots[row] = slot
		a.input = append(a.input, row)
		l.place[o] = int32(i)
		if a.parent[row] == 0 {
			t.root = slot
		}
		if r, s := a.resource[row], a.scope[row]; a.seen[0][r] != no || a.seen[1][s] != no {
			a.countRefs(r, s, no)
		}
		number := l.numbers.numberOf(a.resource[row], a.tableOf(row), a.group[row])
		a.groupNumber = append(a.groupNumber, number)
	}
	for i, o := range order {
		d := int32(0)
		if up := l.up[o]; up >= 0 {
			d = int32(i) - l.place[up]
		}
		a.distance = append(a.distance, d)
	}
}

// countRefs counts a resource and a scope that are new in row group number no-1.
func (a *slotAssigner) countRefs(resource, scope, no uint32) {
	if a.seen[0][resource] != no {
		a.seen[0][resource] = no
		a.refs += len(a.resources.list[resource])
	}
	if a.seen[1][scope] != no {
		a.seen[1][scope] = no
		a.refs += len(a.scopes.list[scope])
	}
}

// tableOf returns the number of the table that a row is from.
func (a *slotAssigner) tableOf(row uint32) uint32 {
	if i := a.lastTable; int(row) < a.base[i] || int(row) >= a.base[i+1] {
		at, found := slices.BinarySearch(a.base, int(row))
		if !found {
			at--
		}
		for a.base[at+1] == a.base[at] { // a table without rows
			at++
		}
		a.lastTable = at
	}
	return uint32(a.lastTable)
}
