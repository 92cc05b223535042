package block

import (
	"unicode/utf8"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// tableWriter is one of the block's three tables in the making.
type tableWriter struct {
	*writer
	scope    column.Scope
	file     *parquetFile
	groups   []groupLayout
	gatherer gatherer
	shaper   shaper
	columns  map[column.Key]*fileColumn
	heavy    bool // much goes to the overflow
	from, to int  // row groups of the band
}

// newTable makes the table and its columns. counts are those of all attributes that may get
// columns.
func (w *writer) newTable(name string, scope column.Scope, fixed []columnSpec, inputs []*input, groups []groupLayout, counts keyCounts) (*tableWriter, error) {
	t := &tableWriter{writer: w, scope: scope, groups: groups, columns: map[column.Key]*fileColumn{}}
	rows, total, over := make([]int, len(groups)), 0, 0
	for i := range groups {
		rows[i] = groups[i].rows
		total += rows[i]
	}
	f, err := createFile(w.sink, name, rows)
	if err != nil {
		return nil, err
	}
	t.file = f
	for _, s := range fixed {
		t.columns[s.key] = f.addColumn(s)
	}
	t.shaper.columns = map[column.Key]int{}
	for _, k := range counts.choosePromoted(total) {
		t.columns[k] = f.addColumn(attributeSpec(k))
		if k.Scope == scope {
			t.shaper.columns[k] = len(t.shaper.keys)
			t.shaper.keys = append(t.shaper.keys, k)
		}
	}
	for k, n := range counts {
		if t.columns[k] == nil && k.Scope == scope {
			over += n
		}
	}
	t.heavy = over > total/2
	t.gatherer = gatherer{ctx: w.ctx, seed: w.layout.seed, inputs: inputs}
	t.shaper.gatherer, t.shaper.scope = &t.gatherer, scope
	return t, nil
}

// eachBand calls f for each band: row groups that are gathered together.
func (t *tableWriter) eachBand(f func() error) error {
	for t.to < len(t.groups) {
		t.from = t.to
		rows := t.groups[t.from].rows
		t.to++
		for t.to < len(t.groups) && rows+t.groups[t.to].rows <= bandRows && !t.heavy {
			rows += t.groups[t.to].rows
			t.to++
		}
		last := t.groups[t.to-1]
		t.gatherer.setBand(t.groups[t.from].slot, last.slot+last.rows, rows)
		if rows > 0 {
			if err := t.shaper.translateBand(); err != nil {
				return err
			}
			if err := f(); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeColumn encodes and writes a column of the band.
func (t *tableWriter) writeColumn(k column.Key, c *cells) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	fc := t.columns[k]
	if c.present != nil && c.present.Empty() {
		return nil
	}
	odd := t.noteValues(fc, c)
	for g := t.from; g < t.to; g++ {
		gr := t.groups[g]
		if gr.rows == 0 {
			continue
		}
		k := t.enc.encodeChunk(&fc.columnSpec, c, gr.slot-int(t.gatherer.from), gr.rows)
		k.invalidText = odd || t.enc.noter != nil && t.enc.noter.invalid
		if err := t.file.writeChunk(fc, g, k, t.enc); err != nil {
			return err
		}
	}
	return nil
}

// noteValues enters the values of a band's dictionary into the value filter, and says whether one
// of them is not UTF-8. Values without a dictionary are noted as they are encoded.
func (t *tableWriter) noteValues(fc *fileColumn, c *cells) (odd bool) {
	t.enc.noter = nil
	if !fc.isText() {
		return false
	}
	n := textNoter{hash: hashColumn(fc.key)}
	if t.scope == column.Span {
		n.filter = &t.values
	}
	if c.codes == nil {
		t.enc.noter = &n
		return false
	}
	for _, s := range c.dict.list { // every entry is a value of the band
		odd = odd || !utf8.ValidString(s)
		n.noteValue(textBytes(s))
	}
	return odd
}

// writeAttribute gathers and writes a column of the table's own attributes.
func (t *tableWriter) writeAttribute(k column.Key) error {
	c, err := t.gatherColumn(k, t.columns[k].coding, t.shaper.extras[t.shaper.columns[k]])
	if err != nil {
		return err
	}
	return t.writeColumn(k, c)
}

func (t *tableWriter) gatherColumn(k column.Key, c coding, extras []extra) (*cells, error) {
	switch k.Type {
	case column.Int, column.Bool:
		return t.gatherer.gatherInts(k, extras)
	case column.Float:
		return t.gatherer.gatherFloats(k, extras)
	}
	return t.gatherer.gatherText(k, c, extras)
}

// writeCommon writes the columns that all three tables have.
func (t *tableWriter) writeCommon() error {
	if err := t.writeColumn(column.Shape, t.shaper.shapeCells()); err != nil {
		return err
	}
	over, err := t.shaper.gatherOverflow()
	if err == nil && over != nil {
		err = t.writeColumn(column.Overflow, over)
	}
	if err != nil {
		return err
	}
	for _, k := range t.shaper.keys {
		if err := t.writeAttribute(k); err != nil {
			return err
		}
	}
	return nil
}

// clearPadding removes the slots between row groups from the gatherer's bitmap.
func (t *tableWriter) clearPadding() {
	for g := t.from; g+1 < t.to; g++ {
		end := t.groups[g].slot + t.groups[g].rows
		t.gatherer.present.ClearRange(end-int(t.gatherer.from), t.groups[g+1].slot-int(t.gatherer.from))
	}
}

// countPresent sets how many rows of the band have a value, without the padding.
func (t *tableWriter) countPresent() {
	t.clearPadding()
	t.gatherer.presentCount = t.gatherer.present.Count()
}
