package block

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Rows are planned once, for the whole block: traces by start and then id, the spans of a trace
// parents before children, siblings by start and then id. What a row is called in the block is its
// slot: every row group begins at a multiple of 64, so that bitmaps of its pages are whole words.

const (
	noSlot       = math.MaxUint32 // of rows that are left out
	slotAlign    = 64
	maxRows      = math.MaxUint32 - 1<<20 // of all inputs: slots are 32 bits, and padding needs some
	rowGroupRows = 128 << 10
	groupRefs    = 32 << 20 // bytes of distinct resources and scopes in a row group, past which it ends with the trace
)

// group is a row group of the block.
type group struct {
	rows   int
	slot   int // of its first row
	row    int // rows before it
	trace  int // its first trace
	traces int
}

// plannedTrace is a trace of the block.
type plannedTrace struct {
	id         trace.ID
	start, end uint64 // unix ns
	spans      int
	root       uint32 // slot of the last span without parent; noSlot: none
	first      uint32 // in plan.rows, while planning
}

// plan says which input rows become which rows of the block.
type plan struct {
	tables []column.Table
	base   []int // number of the first row of each table, and of the end
	seed   maphash.Seed

	// By input row.
	trace    []uint32
	start    []int64
	id       []uint64
	parent   []uint64 // 0: none
	resource []uint32 // number in resources
	scope    []uint32
	group    []uint32
	slots    []uint32

	// By slot.
	input    []uint32 // input row
	distance []int32  // to the parent's row; 0: not in the block
	groupNo  []uint32

	resources, scopes *interner
	traces            []plannedTrace
	groups            []group
	rows              int

	local     localTrace
	lastTable int
	refs      int         // bytes of distinct resources and scopes in the open row group
	seen      [2][]uint32 // by resource, by scope: row group + 1 that counted it last
}

// makePlan reads what rows are ordered by.
func makePlan(ctx context.Context, tables []column.Table, limit int) (*plan, error) {
	// tidy: the seed spreads hash tables, so that nobody can send names that collide; no byte of a
	// block depends on it
	p := &plan{tables: tables, seed: maphash.MakeSeed()}
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
	p.trace, p.start, p.id, p.parent = make([]uint32, total), make([]int64, total), make([]uint64, total), make([]uint64, total)
	p.resource, p.scope, p.group = make([]uint32, total), make([]uint32, total), make([]uint32, total)
	if err := p.read(ctx); err != nil {
		return nil, err
	}
	if err := p.arrange(ctx, cmp.Or(max(limit, 0), rowGroupRows)); err != nil {
		return nil, err
	}
	p.trace, p.group = nil, nil
	return p, nil
}

// plannedKeys are the columns that rows are ordered by.
var plannedKeys = []column.Key{column.TraceRow, column.Start, column.Duration, column.SpanID, column.ParentID, column.ResourceRef, column.ScopeRef,
	column.Group}

// read fills the arrays by input row and finds the traces.
func (p *plan) read(ctx context.Context) error {
	numbers := map[trace.ID]uint32{}
	var v column.Vector
	for n, t := range p.tables {
		if h, ok := t.(column.Hinter); ok {
			if err := h.Prefetch(ctx, plannedKeys, nil); err != nil {
				return err
			}
		}
		number := make([]uint32, t.Traces())
		for i := range number {
			id, err := t.TraceID(ctx, i)
			if err != nil {
				return err
			}
			g, ok := numbers[id]
			if !ok {
				g = uint32(len(p.traces))
				numbers[id] = g
				p.traces = append(p.traces, plannedTrace{id: id, start: math.MaxUint64, root: noSlot})
			}
			number[i] = g
		}
		resources, scopes := translation{to: p.resources}, translation{to: p.scopes}
		for page := range column.Pages(t.Rows()) {
			at := p.base[n] + page*column.PageRows
			rows := min(column.PageRows, t.Rows()-page*column.PageRows)
			get := func(k column.Key, all bool) error {
				_, err := t.Vector(ctx, k, page, &v)
				if err == nil && (v.Rows != rows || all && v.N != rows) {
					err = contradiction(k, page)
				}
				return err
			}
			if err := get(column.TraceRow, true); err != nil {
				return err
			}
			traces := p.trace[at : at+rows]
			for i, x := range v.Ints {
				if x < 0 || int(x) >= len(number) {
					return contradiction(column.TraceRow, page)
				}
				traces[i] = number[x]
			}
			if err := get(column.Start, true); err != nil {
				return err
			}
			starts := p.start[at : at+rows]
			copy(starts, v.Ints)
			if err := get(column.Duration, true); err != nil {
				return err
			}
			for i, d := range v.Ints {
				x := &p.traces[traces[i]]
				x.spans++
				x.start, x.end = min(x.start, uint64(starts[i])), max(x.end, uint64(starts[i]), uint64(starts[i]+d))
			}
			if err := get(column.SpanID, true); err != nil {
				return err
			}
			if err := readIDs(p.id[at:at+rows], &v); err != nil {
				return err
			}
			if err := get(column.ParentID, false); err != nil {
				return err
			}
			if err := readIDs(p.parent[at:at+rows], &v); err != nil {
				return err
			}
			if err := get(column.Group, true); err != nil {
				return err
			}
			groups := p.group[at : at+rows]
			for i, x := range v.Ints {
				groups[i] = uint32(x)
			}
			if err := get(column.ResourceRef, true); err != nil {
				return err
			}
			resources.codes(&v, p.resource[at:at+rows])
			if err := get(column.ScopeRef, true); err != nil {
				return err
			}
			scopes.codes(&v, p.scope[at:at+rows])
		}
		if f, ok := t.(forgetter); ok {
			f.forget(plannedKeys...)
		}
	}
	return nil
}

func contradiction(k column.Key, page int) error {
	return fmt.Errorf("read column %s %s page %d: %w", k.Scope, k.Name, page, column.ErrCorrupt)
}

// readIDs puts the ids of a page's rows into out, which is zero.
func readIDs(out []uint64, v *column.Vector) error {
	row := 0
	for i := range v.N {
		if v.Present != nil {
			if row = v.Present.Next(row); row < 0 {
				return errBytes
			}
		}
		s := v.Text(i)
		if len(s) != 8 {
			return fmt.Errorf("read ids: one of %d bytes: %w", len(s), column.ErrCorrupt)
		}
		out[row] = *(*uint64)(unsafe.Pointer(unsafe.StringData(s)))
		row++
	}
	return nil
}

// translation turns one table's dictionary codes into numbers of an interner.
type translation struct {
	to   *interner
	dict *string // which dictionary known is about
	n    int
	memo []uint32 // code -> number + 1
}

// use makes the translation one for dict.
func (t *translation) use(dict []string) []uint32 {
	if first := unsafe.SliceData(dict); first != t.dict || len(dict) != t.n {
		t.dict, t.n = first, len(dict)
		t.memo = slices.Grow(t.memo[:0], len(dict))[:len(dict)]
		clear(t.memo)
	}
	return t.memo
}

// number returns the number of code c of the dictionary in use.
func (t *translation) number(dict []string, c uint32) uint32 {
	if m := t.memo[c]; m != 0 {
		return m - 1
	}
	n := t.to.code(dict[c], false)
	t.memo[c] = n + 1
	return n
}

// codes puts the numbers of a page without gaps into out.
func (t *translation) codes(v *column.Vector, out []uint32) {
	if v.Dict == nil {
		for i, s := range v.Strings {
			out[i] = t.to.code(s, true)
		}
		return
	}
	t.use(v.Dict)
	for i, c := range v.Codes {
		out[i] = t.number(v.Dict, c)
	}
}

// arrange gives the rows their slots.
func (p *plan) arrange(ctx context.Context, limit int) error {
	total := len(p.trace)
	// Rows by trace: a counting sort.
	rows := make([]uint32, total)
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
	slices.SortFunc(p.traces, func(a, b plannedTrace) int {
		return cmp.Or(cmp.Compare(a.start, b.start), bytes.Compare(a.id[:], b.id[:]))
	})
	p.slots = make([]uint32, total)
	for i := range p.slots {
		p.slots[i] = noSlot
	}
	p.input = make([]uint32, 0, total+total/64)
	p.distance, p.groupNo = make([]int32, 0, cap(p.input)), make([]uint32, 0, cap(p.input))
	p.local.init(p)
	p.seen = [2][]uint32{make([]uint32, len(p.resources.list)), make([]uint32, len(p.scopes.list))}
	for i := range p.traces {
		if i&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		t := &p.traces[i]
		order, err := p.local.order(ctx, p, rows[t.first:t.first+uint32(t.spans)])
		if err != nil {
			return err
		}
		t.spans = len(order)
		g := len(p.groups) - 1
		if g < 0 || p.groups[g].rows > 0 && (p.groups[g].rows+len(order) > limit || p.refs > groupRefs) {
			for len(p.input)%slotAlign != 0 {
				p.input, p.distance, p.groupNo = append(p.input, 0), append(p.distance, 0), append(p.groupNo, 0)
			}
			p.groups = append(p.groups, group{slot: len(p.input), row: p.rows, trace: i})
			p.refs = 0
			g++
		}
		p.place(t, order)
		p.groups[g].rows += len(order)
		p.groups[g].traces++
		p.rows += len(order)
	}
	if len(p.input) > maxRows {
		return fmt.Errorf("plan block of more than %d rows: merge fewer tables: %w", maxRows, ErrTooLarge)
	}
	p.local = localTrace{}
	return nil
}

// place gives the rows of a trace the next slots.
func (p *plan) place(t *plannedTrace, order []uint32) {
	l := &p.local
	first := len(p.input)
	no := uint32(len(p.groups))
	l.numbers.reset()
	for i, o := range order {
		row := l.spans[o].row
		slot := uint32(first + i)
		p.slots[row] = slot
		p.input = append(p.input, row)
		l.place[o] = int32(i)
		if p.parent[row] == 0 {
			t.root = slot
		}
		if r, s := p.resource[row], p.scope[row]; p.seen[0][r] != no || p.seen[1][s] != no {
			p.countRefs(r, s, no)
		}
		p.groupNo = append(p.groupNo, l.numbers.of(p.resource[row], p.tableOf(row), p.group[row]))
	}
	for i, o := range order {
		d := int32(0)
		if up := l.up[o]; up >= 0 {
			d = int32(i) - l.place[up]
		}
		p.distance = append(p.distance, d)
	}
}

// countRefs counts a resource and a scope that are new in row group number no-1.
func (p *plan) countRefs(resource, scope, no uint32) {
	if p.seen[0][resource] != no {
		p.seen[0][resource] = no
		p.refs += len(p.resources.list[resource])
	}
	if p.seen[1][scope] != no {
		p.seen[1][scope] = no
		p.refs += len(p.scopes.list[scope])
	}
}

// tableOf returns the number of the table a row is from.
func (p *plan) tableOf(row uint32) uint32 {
	if i := p.lastTable; int(row) < p.base[i] || int(row) >= p.base[i+1] {
		at, found := slices.BinarySearch(p.base, int(row))
		if !found {
			at--
		}
		for p.base[at+1] == p.base[at] { // a table without rows
			at++
		}
		p.lastTable = at
	}
	return uint32(p.lastTable)
}
