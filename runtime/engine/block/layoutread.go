package block

import (
	"context"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// orderKeys are the columns that the order of the rows depends on.
var orderKeys = []column.Key{
	column.TraceRow, column.Start, column.Duration, column.SpanID, column.ParentID,
	column.ResourceRef, column.ScopeRef, column.Group,
}

// layoutReader fills the arrays of a layout by input row, and finds the traces.
type layoutReader struct {
	*layout
	ctx     context.Context
	numbers map[trace.ID]uint32 // of traces, in the order they are found

	// Of the table that is read.
	traceNumbers []uint32 // by ordinal of the trace in the table
	resourceMemo translation
	scopeMemo    translation
	v            column.Vector
}

// inputPage is a page of a table: input rows [from, to).
type inputPage struct {
	table    column.Table
	page     int
	from, to int
}

func (r *layoutReader) readTable(n int) error {
	t := r.tables[n]
	if h, ok := t.(column.Hinter); ok {
		if err := h.Prefetch(r.ctx, orderKeys, nil); err != nil {
			return err
		}
	}
	if err := r.numberTraces(t); err != nil {
		return err
	}
	r.resourceMemo, r.scopeMemo = translation{to: r.resources}, translation{to: r.scopes}
	for page := range column.Pages(t.Rows()) {
		from := r.base[n] + page*column.PageRows
		to := min(from+column.PageRows, r.base[n+1])
		if err := r.readPage(inputPage{table: t, page: page, from: from, to: to}); err != nil {
			return err
		}
	}
	if f, ok := t.(forgetter); ok {
		f.forgetColumns(orderKeys...)
	}
	return nil
}

// numberTraces numbers the traces of a table; one that an earlier table holds has its number there.
func (r *layoutReader) numberTraces(t column.Table) error {
	r.traceNumbers = make([]uint32, t.Traces())
	for i := range r.traceNumbers {
		id, err := t.TraceID(r.ctx, i)
		if err != nil {
			return err
		}
		number, ok := r.numbers[id]
		if !ok {
			number = uint32(len(r.traces))
			r.numbers[id] = number
			r.traces = append(r.traces, traceLayout{id: id, start: math.MaxUint64, root: noSlot})
		}
		r.traceNumbers[i] = number
	}
	return nil
}

func (r *layoutReader) readPage(p inputPage) error {
	if err := r.readTraceNumbers(p); err != nil {
		return err
	}
	if err := r.readTimes(p); err != nil {
		return err
	}
	if err := r.readIDs(p); err != nil {
		return err
	}
	return r.readRefs(p)
}

// readColumn reads a column of a page into r.v. required: every row must have a value.
func (r *layoutReader) readColumn(p inputPage, k column.Key, required bool) error {
	_, err := p.table.Vector(r.ctx, k, p.page, &r.v)
	if rows := p.to - p.from; err == nil && (r.v.Rows != rows || required && r.v.N != rows) {
		err = corruptColumn(k, p.page)
	}
	return err
}

func (r *layoutReader) readTraceNumbers(p inputPage) error {
	if err := r.readColumn(p, column.TraceRow, true); err != nil {
		return err
	}
	traces := r.trace[p.from:p.to]
	for i, x := range r.v.Ints {
		if x < 0 || int(x) >= len(r.traceNumbers) {
			return corruptColumn(column.TraceRow, p.page)
		}
		traces[i] = r.traceNumbers[x]
	}
	return nil
}

// readTimes reads when spans begin, and widens the traces by the times of their spans.
func (r *layoutReader) readTimes(p inputPage) error {
	if err := r.readColumn(p, column.Start, true); err != nil {
		return err
	}
	starts, traces := r.start[p.from:p.to], r.trace[p.from:p.to]
	copy(starts, r.v.Ints)
	if err := r.readColumn(p, column.Duration, true); err != nil {
		return err
	}
	for i, d := range r.v.Ints {
		t := &r.traces[traces[i]]
		start, end := uint64(starts[i]), uint64(starts[i]+d)
		t.spans++
		t.start, t.end = min(t.start, start), max(t.end, start, end)
	}
	return nil
}

func (r *layoutReader) readIDs(p inputPage) error {
	if err := r.readColumn(p, column.SpanID, true); err != nil {
		return err
	}
	if err := copyIDs(r.id[p.from:p.to], &r.v); err != nil {
		return err
	}
	if err := r.readColumn(p, column.ParentID, false); err != nil {
		return err
	}
	return copyIDs(r.parent[p.from:p.to], &r.v)
}

// readRefs reads the numbers of ResourceSpans, resources and scopes.
func (r *layoutReader) readRefs(p inputPage) error {
	if err := r.readColumn(p, column.Group, true); err != nil {
		return err
	}
	groups := r.group[p.from:p.to]
	for i, x := range r.v.Ints {
		groups[i] = uint32(x)
	}
	if err := r.readColumn(p, column.ResourceRef, true); err != nil {
		return err
	}
	r.resourceMemo.translatePage(&r.v, r.resource[p.from:p.to])
	if err := r.readColumn(p, column.ScopeRef, true); err != nil {
		return err
	}
	r.scopeMemo.translatePage(&r.v, r.scope[p.from:p.to])
	return nil
}

// corruptColumn makes the error of a table whose columns contradict each other.
func corruptColumn(k column.Key, page int) error {
	return fmt.Errorf("read column %s %s page %d: %w", k.Scope, k.Name, page, column.ErrCorrupt)
}

// copyIDs puts the ids of a page's rows into out, which is zero.
func copyIDs(out []uint64, v *column.Vector) error {
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

// translation turns the codes of one table's dictionaries into numbers of an interner. Pages that
// share a dictionary share the work: each of its entries is looked up once.
type translation struct {
	to   *interner
	dict *string  // first entry of the dictionary that memo is about
	n    int      // entries of that dictionary
	memo []uint32 // by code: number + 1; 0: not known yet
}

// useDict makes the translation one of the codes of dict, and returns its memo.
func (t *translation) useDict(dict []string) []uint32 {
	if first := unsafe.SliceData(dict); first != t.dict || len(dict) != t.n {
		t.dict, t.n = first, len(dict)
		t.memo = slices.Grow(t.memo[:0], len(dict))[:len(dict)]
		clear(t.memo)
	}
	return t.memo
}

// numberOf returns the number of code c of the dictionary in use.
func (t *translation) numberOf(dict []string, c uint32) uint32 {
	if m := t.memo[c]; m != 0 {
		return m - 1
	}
	n := t.to.intern(dict[c], false)
	t.memo[c] = n + 1
	return n
}

// translatePage puts the numbers of a page in which every row has a value into out.
func (t *translation) translatePage(v *column.Vector, out []uint32) {
	if v.Dict == nil {
		for i, s := range v.Strings {
			out[i] = t.to.intern(s, true)
		}
		return
	}
	t.useDict(v.Dict)
	for i, c := range v.Codes {
		out[i] = t.numberOf(v.Dict, c)
	}
}
