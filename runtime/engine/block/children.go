package block

import (
	"fmt"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// writeChildren writes the events or the links; nil if there are none.
func (w *writer) writeChildren(name string) (*parquetFile, error) {
	p := w.layout
	scope, fixed := column.Event, eventColumns
	if name == LinksObject {
		scope, fixed = column.Link, linkColumns
	}
	list := make([]column.Columns, len(p.tables))
	for i, t := range p.tables {
		if scope == column.Event {
			list[i] = t.Events()
		} else {
			list[i] = t.Links()
		}
	}
	inputs, groups, parents, err := w.placeChildren(list)
	if err != nil || len(parents) == 0 {
		return nil, err
	}
	counts := keyCounts{}
	for _, in := range inputs {
		if err := counts.countShapes(w.ctx, in.c, scope); err != nil {
			return nil, err
		}
	}
	t, err := w.newTable(name, scope, fixed, inputs, groups, counts)
	if err != nil {
		return nil, err
	}
	err = t.eachBand(func() error {
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
	})
	if err != nil {
		return nil, err
	}
	w.overflows = append(w.overflows, t.shaper.overflow.listed.keys...)
	return t.file, t.file.completeColumns(w.enc)
}

// placeChildren gives child rows their slots: in the order of their spans, those of one span in the
// order sent. parents is by slot: the span's row in the block. The row groups are those of the
// spans; some may be empty.
func (w *writer) placeChildren(list []column.Columns) (inputs []*input, groups []groupLayout, parents []uint32, err error) {
	p := w.layout
	counts := make([]uint32, 0) // by slot of the span, then where its next child goes
	var refs [][]uint32         // slot of the span, by input and row
	var v column.Vector
	for n, c := range list {
		if c == nil {
			continue
		}
		if len(counts) == 0 {
			counts = make([]uint32, len(p.input))
		}
		spans := p.slots[p.base[n]:p.base[n+1]]
		slots := make([]uint32, c.Rows())
		for page := range column.Pages(c.Rows()) {
			if _, err := c.Vector(w.ctx, column.RowRef, page, &v); err != nil {
				return nil, nil, nil, err
			}
			if v.N != min(column.PageRows, c.Rows()-page*column.PageRows) {
				return nil, nil, nil, corruptColumn(column.RowRef, page)
			}
			for i, row := range v.Ints {
				if row < 0 || int(row) >= len(spans) {
					return nil, nil, nil, corruptColumn(column.RowRef, page)
				}
				s := spans[row]
				slots[page*column.PageRows+i] = s
				if s != noSlot {
					counts[s]++
				}
			}
		}
		refs = append(refs, slots)
		inputs = append(inputs, &input{c: c})
	}
	if len(inputs) == 0 {
		return nil, nil, nil, nil
	}
	total := 0
	for _, gr := range p.groups {
		for len(parents)%slotAlign != 0 {
			parents = append(parents, 0)
		}
		first := len(parents)
		for i := range gr.rows {
			n := counts[gr.slot+i]
			counts[gr.slot+i] = uint32(len(parents))
			for range n {
				parents = append(parents, uint32(gr.row+i))
			}
		}
		groups = append(groups, groupLayout{rows: len(parents) - first, slot: first, row: total})
		total += len(parents) - first
		if len(parents) > maxRows {
			return nil, nil, nil, fmt.Errorf("place child rows: more than %d: merge fewer tables: %w", maxRows, ErrTooLarge)
		}
	}
	for i, slots := range refs {
		for j, s := range slots {
			if s != noSlot {
				slots[j] = counts[s]
				counts[s]++
			}
		}
		inputs[i] = newInput(inputs[i].c, slots)
	}
	if total == 0 {
		return nil, nil, nil, nil
	}
	return inputs, groups, parents, nil
}
