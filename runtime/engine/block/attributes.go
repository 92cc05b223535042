package block

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// A column costs something for each page and each row group, however few values it has: headers,
// levels, a dictionary, entries in the footer and in the index. Attributes of spans that few rows
// have are therefore kept together in a table of their own, which has one row for each value. Its
// rows are in the order of the attributes, and those of one attribute in the order of the spans, so
// that the values of an attribute lie together as they would in a column, and the index only has to
// say how many there are:
//
//	spans.parquet          attributes.parquet                     index
//	row  attributes        row  key       string   int            first of "a": 0
//	0    a=x               0    a         x                       first of "b": 2
//	1                      2    a         y                       first of "n": 3
//	2    a=y  b=x          2    b         x                       end:          5
//	3    n=7               3    n                  7
//	4    n=8               4    n                  8
//
// The attributes are in the order of their types, then of their names. So each column of values has
// its values in one stretch of rows.
//
// A table of a block shows them as columns, like all others (sparse.go). What one attribute costs,
// in bytes and in time, is in proportion to its values.

// attributesWriter writes attributes.parquet, band by band.
type attributesWriter struct {
	*writer
	file    *parquetFile
	keys    []column.Key // in the order of compareSparse
	names   *interner    // of the keys
	name    []uint32     // by key: number in names
	columns map[column.Key]*fileColumn
	counts  [][]uint32 // by row group of the spans and key: values
	perRow  float64    // about how many values a span has

	// Of the band.
	texts  *interner
	groups []attributesGroup
	memos  []translation // by input: of its dictionary to texts
	noted  []uint32      // by number in texts: the last attribute that has it in the value filter, + 1
	slots  []uint32      // of the values of one attribute
	placed struct {      // memory of cells
		codes  []uint32
		ints   []int64
		floats []float64
	}
	invalid bool // a name or a text is not UTF-8
}

// attributesGroup holds the rows of the table that belong to one row group of the spans.
type attributesGroup struct {
	rows  []uint32            // of the spans, in the row group
	first [column.Any + 2]int // by type: the first row that has a value of it, and the end

	// The values, those of each type in the order of its rows.
	codes  []uint32 // of text, bytes and any: numbers in texts
	ints   []int64  // of ints and bools
	floats []float64
}

// newAttributes begins the object for attributes that are in the order of compareSparse. A span has
// about perRow values of them.
func (w *writer) newAttributes(keys []column.Key, perRow float64) (*attributesWriter, error) {
	f, err := createFile(w.sink, AttributesObject, make([]int, len(w.layout.groups)))
	if err != nil {
		return nil, err
	}
	a := &attributesWriter{
		writer:  w,
		file:    f,
		keys:    keys,
		perRow:  perRow,
		names:   newInterner(w.layout.seed),
		name:    make([]uint32, len(keys)),
		columns: map[column.Key]*fileColumn{},
		counts:  make([][]uint32, len(w.layout.groups)),
	}
	for _, s := range attributesColumns {
		a.columns[s.key] = f.addColumn(s)
	}
	for i, k := range keys {
		a.name[i] = a.names.intern(k.Name, false)
		a.invalid = a.invalid || !utf8.ValidString(k.Name)
	}
	return a, nil
}

// writeBand gathers and writes the band's values of all attributes. The first of them is number
// first among the keys that shapes name.
func (a *attributesWriter) writeBand(t *tableWriter, first int) error {
	a.texts = newInterner(a.layout.seed)
	a.noted = a.noted[:0]
	a.memos = make([]translation, len(t.gatherer.inputs))
	for i := range a.memos {
		a.memos[i].to = a.texts
	}
	for len(a.groups) < t.to-t.from {
		a.groups = append(a.groups, attributesGroup{})
	}
	for g := t.from; g < t.to; g++ {
		a.counts[g] = make([]uint32, len(a.keys))
		a.groups[g-t.from].empty(int(a.perRow * float64(t.groups[g].rows)))
	}
	for n := range a.keys {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		c, err := a.gatherValues(t, n, t.shaper.extras[first+n])
		if err != nil {
			return err
		}
		if c.present == nil || !c.present.Empty() {
			a.addValues(t, n, c)
		}
	}
	for g := t.from; g < t.to; g++ {
		if err := a.writeGroup(g, &a.groups[g-t.from]); err != nil {
			return err
		}
	}
	return nil
}

// empty makes g one without rows, but with room for so many.
func (g *attributesGroup) empty(rows int) {
	g.rows = slices.Grow(g.rows[:0], rows)
	if len(g.ints) == 0 && len(g.floats) == 0 { // mostly all values are texts
		g.codes = slices.Grow(g.codes[:0], rows)
	}
	*g = attributesGroup{
		rows:   g.rows[:0],
		codes:  g.codes[:0],
		ints:   g.ints[:0],
		floats: g.floats[:0],
	}
}

// gatherValues gathers the band's values of attribute n; texts become numbers in a.texts.
func (a *attributesWriter) gatherValues(t *tableWriter, n int, extras []extra) (*cells, error) {
	g, k := &t.gatherer, a.keys[n]
	switch k.Type {
	case column.Int, column.Bool:
		return g.gatherInts(k, extras)
	case column.Float:
		return g.gatherFloats(k, extras)
	}
	before := g.translated
	defer func() { g.translated = before }()
	g.beginColumn()
	g.codes = resize(g.codes, g.slots)
	text := &textGatherer{gatherer: g, dict: a.texts, coding: dictAlways}
	for i, in := range g.inputs {
		g.translated = a.memos[i]
		err := g.eachPageOf(in, k, text.gatherPage)
		a.memos[i] = g.translated
		if err != nil {
			return nil, err
		}
	}
	text.putExtras(k, extras)
	return &cells{present: g.endColumn(), codes: g.codes}, nil
}

// addValues adds the values of the band for attribute n.
func (a *attributesWriter) addValues(t *tableWriter, n int, c *cells) {
	a.slots = a.slots[:0]
	for g := t.from; g < t.to; g++ {
		gr, out := &t.groups[g], &a.groups[g-t.from]
		from, before := gr.slot-int(t.gatherer.from), len(a.slots)
		a.slots = t.gatherer.appendSlots(a.slots, from, gr.rows)
		slots := a.slots[before:]
		a.counts[g][n] = uint32(len(slots))
		out.first[a.keys[n].Type+1] += len(slots)
		for _, d := range slots {
			out.rows = append(out.rows, d-uint32(from))
		}
		switch {
		case c.codes != nil:
			out.codes = appendAt(out.codes, c.codes, slots)
			a.noteTexts(n, out.codes[len(out.codes)-len(slots):])
		case c.ints != nil:
			out.ints = appendAt(out.ints, c.ints, slots)
		default:
			out.floats = appendAt(out.floats, c.floats, slots)
		}
	}
	t.gatherer.clearSlots(a.slots)
}

// appendAt appends the values that lie in the slots.
func appendAt[T any](dst, values []T, slots []uint32) []T {
	for _, d := range slots {
		dst = append(dst, values[d])
	}
	return dst
}

// noteTexts enters texts of attribute n into the value filter.
func (a *attributesWriter) noteTexts(n int, codes []uint32) {
	if a.keys[n].Type != column.String {
		return
	}
	if more := len(a.texts.list) - len(a.noted); more > 0 {
		a.noted = append(a.noted, make([]uint32, more)...)
	}
	note := textNoter{filter: &a.values, hash: hashColumn(a.keys[n])}
	for _, c := range codes {
		if a.noted[c] != uint32(n+1) {
			a.noted[c] = uint32(n + 1)
			text := a.texts.list[c]
			a.invalid = a.invalid || !utf8.ValidString(text)
			note.noteValue(textBytes(text))
		}
	}
}

// writeGroup writes the rows of the table that belong to row group g of the spans.
func (a *attributesWriter) writeGroup(g int, in *attributesGroup) error {
	rows := len(in.rows)
	if rows == 0 {
		return nil
	}
	a.file.groups[g] = rows
	for t := range column.Any + 1 {
		in.first[t+1] += in.first[t]
	}
	if err := a.writeKeys(g, in); err != nil {
		return err
	}
	codes, ints := 0, 0
	for t := range column.Any + 1 {
		from, to := in.first[t], in.first[t+1]
		if from == to {
			continue
		}
		c := &cells{}
		switch n := to - from; t {
		case column.Int, column.Bool:
			c.ints = placeAt(&a.placed.ints, in.ints[ints:ints+n], from, rows)
			ints += n
		case column.Float:
			c.floats = placeAt(&a.placed.floats, in.floats, from, rows)
		default:
			c.codes, c.dict = placeAt(&a.placed.codes, in.codes[codes:codes+n], from, rows), a.texts
			codes += n
		}
		if to-from < rows {
			c.present = column.NewBitmap(rows)
			c.present.SetRange(from, to)
		}
		if err := a.writeChunk(g, keyAttributeValue[t], c, rows); err != nil {
			return err
		}
	}
	return nil
}

// writeKeys writes which span and which attribute each row of row group g is about.
func (a *attributesWriter) writeKeys(g int, in *attributesGroup) error {
	fc := a.columns[column.RowRef]
	k := a.enc.encodeRows(&fc.columnSpec, in.rows, int64(a.layout.groups[g].row))
	if err := a.file.writeChunk(fc, g, k, a.enc); err != nil {
		return err
	}
	fc = a.columns[keyAttributeName]
	k = a.enc.encodeNames(&fc.columnSpec, a.names.list, a.name, a.counts[g], len(in.rows))
	k.invalidText = a.invalid
	return a.file.writeChunk(fc, g, k, a.enc)
}

// placeAt returns the values in rows [from, from+len(values)) of so many rows: values itself, or
// with the memory of scratch.
func placeAt[T any](scratch *[]T, values []T, from, rows int) []T {
	if len(values) == rows {
		return values
	}
	*scratch = resize(*scratch, uint32(rows))
	copy((*scratch)[from:], values)
	return *scratch
}

// writeChunk writes a column of a row group.
func (a *attributesWriter) writeChunk(g int, k column.Key, c *cells, rows int) error {
	a.enc.noter = nil
	fc := a.columns[k]
	chunk := a.enc.encodeChunk(&fc.columnSpec, c, 0, rows)
	chunk.invalidText = a.invalid && fc.isText()
	return a.file.writeChunk(fc, g, chunk, a.enc)
}

// finish writes what follows the chunks.
func (a *attributesWriter) finish() error {
	if err := a.file.completeColumns(a.enc); err != nil {
		return err
	}
	size, _, err := a.file.writeTail(nil, a.footerKeyValues())
	a.objects[AttributesObject] = size
	return err
}

// encodeSparse returns the section of sparse attributes.
func (a *attributesWriter) encodeSparse() []byte {
	b := binary.AppendUvarint(nil, uint64(len(a.keys)))
	for _, k := range a.keys {
		b = appendString(append(b, byte(k.Type)), k.Name)
	}
	for g, counts := range a.counts {
		if a.file.groups[g] == 0 {
			continue
		}
		for _, n := range counts {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	return b
}
