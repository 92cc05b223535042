package block

import (
	"unicode/utf8"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// tableWriter writes one of the block's three tables, band by band.
type tableWriter struct {
	*writer
	scope    column.Scope // of the table's own attributes
	file     *parquetFile
	groups   []groupLayout
	gatherer gatherer
	shaper   shaper
	columns  map[column.Key]*fileColumn
	sparse   *attributesWriter // of the attributes without a column; nil: there are none
	limit    int               // rows of a band
	from, to int               // row groups of the band
}

// tableSource is what a table is written from.
type tableSource struct {
	name   string // of the object
	scope  column.Scope
	fixed  []columnSpec
	inputs []*input
	groups []groupLayout
	counts keyCounts // of all attributes that may get columns
}

// newTable begins a table, with all of its columns.
func (w *writer) newTable(src tableSource) (*tableWriter, error) {
	t := &tableWriter{writer: w, scope: src.scope, groups: src.groups, columns: map[column.Key]*fileColumn{}}
	rows, total, over := make([]int, len(t.groups)), 0, 0
	for i := range t.groups {
		rows[i] = t.groups[i].rows
		total += rows[i]
	}
	f, err := createFile(w.sink, src.name, rows)
	if err != nil {
		return nil, err
	}
	t.file = f
	for _, s := range src.fixed {
		t.columns[s.key] = f.addColumn(s)
	}
	columns, sparse := src.counts.choosePromoted(total)
	for _, k := range columns {
		t.columns[k] = f.addColumn(attributeSpec(k))
		if k.Scope == t.scope {
			t.shaper.addKey(k)
		}
	}
	for _, k := range sparse {
		t.shaper.addKey(k)
	}
	for k, n := range src.counts {
		if _, ok := t.shaper.columns[k]; !ok && k.Scope == t.scope {
			over += n
		}
	}
	rare := countRows(src.counts, sparse)
	t.limit = limitBand(total, over, rare)
	if len(sparse) > 0 {
		if t.sparse, err = w.newAttributes(sparse, float64(rare)/float64(total)); err != nil {
			return nil, err
		}
	}
	t.gatherer = gatherer{ctx: w.ctx, seed: w.layout.seed, inputs: src.inputs}
	t.shaper.gatherer, t.shaper.scope = &t.gatherer, t.scope
	return t, nil
}

// bandValues is about how many values in the attributes table the rows of a band may have.
const bandValues = 2 << 20

// limitBand returns how many rows a band may have if so many of the rows' attributes go to the
// overflow and to the attributes table. Those are gathered for the whole band before they are
// written, while of the columns there is one at a time.
func limitBand(rows, over, sparse int) int {
	if over > rows/2 {
		return 1 // one row group
	}
	if sparse > 0 {
		return min(bandRows, int(float64(rows)/float64(sparse)*bandValues))
	}
	return bandRows
}

// countRows returns how many rows have each of the attributes, added up.
func countRows(counts keyCounts, keys []column.Key) (n int) {
	for _, k := range keys {
		n += counts[k]
	}
	return n
}

// eachBand calls f for each band. A band is whole row groups that are gathered together, of about
// bandRows rows; then the shapes of its rows are translated already.
func (t *tableWriter) eachBand(f func() error) error {
	for t.to < len(t.groups) {
		t.from = t.to
		rows := t.groups[t.from].rows
		t.to++
		for t.to < len(t.groups) && rows+t.groups[t.to].rows <= t.limit {
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

// writeColumn encodes a column of the band, and writes its chunks.
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

// noteValues enters the texts of a band into the value filter, and reports whether one of them is
// not UTF-8. Texts without a dictionary are noted as they are encoded.
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

// writeAttribute gathers and writes the column of an attribute of the table's own scope.
func (t *tableWriter) writeAttribute(k column.Key) error {
	c, err := t.gatherColumn(k, t.columns[k].coding, t.shaper.extras[t.shaper.columns[k]])
	if err != nil {
		return err
	}
	return t.writeColumn(k, c)
}

// gatherColumn gathers a column of the inputs.
func (t *tableWriter) gatherColumn(k column.Key, c coding, extras []extra) (*cells, error) {
	switch k.Type {
	case column.Int, column.Bool:
		return t.gatherer.gatherInts(k, extras)
	case column.Float:
		return t.gatherer.gatherFloats(k, extras)
	}
	return t.gatherer.gatherText(k, c, extras)
}

// writeCommon writes the columns that all three tables have: shapes, overflow, and attributes of
// the table's own scope.
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
	for n, k := range t.shaper.keys {
		if t.columns[k] == nil {
			return t.sparse.writeBand(t, n)
		}
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

// countPresent counts the rows of the band that have a value, after the padding is cleared.
func (t *tableWriter) countPresent() {
	t.clearPadding()
	t.gatherer.presentCount = t.gatherer.present.Count()
}
