package block

import (
	"fmt"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// writeChildren writes the events or the links; it returns nil if there are none.
func (w *writer) writeChildren(name string) (*parquetFile, error) {
	src := tableSource{name: name, scope: column.Event, fixed: eventColumns, counts: keyCounts{}}
	if name == LinksObject {
		src.scope, src.fixed = column.Link, linkColumns
	}
	list := make([]column.Columns, len(w.layout.tables))
	for i, t := range w.layout.tables {
		if src.scope == column.Event {
			list[i] = t.Events()
		} else {
			list[i] = t.Links()
		}
	}
	placed, err := w.placeChildren(list)
	if err != nil || len(placed.parents) == 0 {
		return nil, err
	}
	src.inputs, src.groups = placed.inputs, placed.groups
	for _, in := range src.inputs {
		if err := src.counts.countShapes(w.ctx, in.c, src.scope); err != nil {
			return nil, err
		}
	}
	t, err := w.newTable(src)
	if err != nil {
		return nil, err
	}
	err = t.eachBand(func() error { return t.writeChildBand(src.fixed, placed.parents) })
	if err != nil {
		return nil, err
	}
	w.overflows = append(w.overflows, t.shaper.overflow.listed.keys...)
	return t.file, t.file.completeColumns(w.enc)
}

// writeChildBand writes the columns of a band. parents is by slot.
func (t *tableWriter) writeChildBand(fixed []columnSpec, parents []uint32) error {
	g := &t.gatherer
	g.ints = resize(g.ints, g.slots)
	for i := range g.ints {
		g.ints[i] = int64(parents[int(g.from)+i])
	}
	if err := t.writeColumn(column.RowRef, &cells{ints: g.ints}); err != nil {
		return err
	}
	for _, s := range fixed {
		switch s.key {
		case column.RowRef, column.Shape, column.Overflow:
			continue
		}
		c, err := t.gatherColumn(s.key, s.coding, nil)
		if err == nil {
			err = t.writeColumn(s.key, c)
		}
		if err != nil {
			return err
		}
	}
	return t.writeCommon()
}

// placedChildren says which rows of the inputs become which rows of a child table.
type placedChildren struct {
	inputs  []*input
	groups  []groupLayout // those of the spans; some may be empty
	parents []uint32      // by slot: row of the span in the block
}

// placeChildren gives the rows of child tables, some of which may be nil, their slots: in the order
// of their spans, those of one span in the order sent.
func (w *writer) placeChildren(list []column.Columns) (placed placedChildren, err error) {
	p := w.layout
	var counts []uint32 // by slot of the span: its children, then the slot of its next child
	var refs [][]uint32 // by input and row: slot of the span, then of the child
	for n, c := range list {
		if c == nil {
			continue
		}
		if counts == nil {
			counts = make([]uint32, len(p.input))
		}
		slots, err := w.countChildren(c, p.slots[p.base[n]:p.base[n+1]], counts)
		if err != nil {
			return placed, err
		}
		refs = append(refs, slots)
		placed.inputs = append(placed.inputs, &input{c: c})
	}
	if counts == nil {
		return placed, nil
	}
	if err := placed.assignSlots(p.groups, counts); err != nil {
		return placed, err
	}
	for i, slots := range refs {
		for j, s := range slots {
			if s != noSlot {
				slots[j] = counts[s]
				counts[s]++
			}
		}
		placed.inputs[i] = newInput(placed.inputs[i].c, slots)
	}
	return placed, nil
}

// countChildren returns, by row of a child table, the slot of its span, and adds the rows to
// counts. spans are the slots of the table's spans.
func (w *writer) countChildren(c column.Columns, spans, counts []uint32) ([]uint32, error) {
	slots := make([]uint32, c.Rows())
	var v column.Vector
	for page := range column.Pages(c.Rows()) {
		if _, err := c.Vector(w.ctx, column.RowRef, page, &v); err != nil {
			return nil, err
		}
		if v.N != min(column.PageRows, c.Rows()-page*column.PageRows) {
			return nil, corruptColumn(column.RowRef, page)
		}
		for i, row := range v.Ints {
			if row < 0 || int(row) >= len(spans) {
				return nil, corruptColumn(column.RowRef, page)
			}
			s := spans[row]
			slots[page*column.PageRows+i] = s
			if s != noSlot {
				counts[s]++
			}
		}
	}
	return slots, nil
}

// assignSlots makes the row groups and the parents. counts, which has the number of children of
// each span, becomes the slot of its first child.
func (placed *placedChildren) assignSlots(spans []groupLayout, counts []uint32) error {
	total := 0
	for _, gr := range spans {
		for len(placed.parents)%slotAlign != 0 {
			placed.parents = append(placed.parents, 0)
		}
		first := len(placed.parents)
		for i := range gr.rows {
			n := counts[gr.slot+i]
			counts[gr.slot+i] = uint32(len(placed.parents))
			for range n {
				placed.parents = append(placed.parents, uint32(gr.row+i))
			}
		}
		rows := len(placed.parents) - first
		placed.groups = append(placed.groups, groupLayout{rows: rows, slot: first, row: total})
		total += rows
		if len(placed.parents) > maxRows {
			return fmt.Errorf("place child rows: more than %d: merge fewer tables: %w", maxRows, ErrTooLarge)
		}
	}
	if total == 0 {
		placed.parents = nil
	}
	return nil
}
