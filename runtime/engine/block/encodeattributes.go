package block

import (
	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// The rows of the attributes table ascend within each attribute, and the names are the same over
// the rows of one. Both are known without a look at each row for a dictionary, so the chunks of
// these two columns are made by themselves.

// encodeRows encodes the numbers of rows in spans.parquet: base and the rows.
func (e *encoder) encodeRows(s *columnSpec, rows []uint32, base int64) chunk {
	k := e.beginChunk(len(rows))
	e.dict = e.dict[:0]
	for at := 0; at < len(rows); at += column.PageRows {
		e.ints = e.ints[:0]
		for _, row := range rows[at:min(at+column.PageRows, len(rows))] {
			e.ints = append(e.ints, base+int64(row))
		}
		p := pageEntry{values: len(e.ints), plain: true}
		p.lo, p.hi = minMax(e.ints)
		e.raw = appendDelta(e.raw, e.ints)
		e.endPage(&k, p, encDelta)
	}
	e.assembleChunk(s, &k)
	return k
}

// encodeNames encodes the names of attributes, each of which stands in counts[n] rows, in this
// order. number is each attribute's number in names: two of different types may have the same name.
func (e *encoder) encodeNames(s *columnSpec, names []string, number, counts []uint32, rows int) chunk {
	k := e.beginChunk(rows)
	d := &e.textDict
	d.begin(len(names))
	n, left := -1, 0 // the attribute, and how many rows it has left
	for at := 0; at < rows; at += column.PageRows {
		p := pageEntry{values: min(column.PageRows, rows-at)}
		e.codes = e.codes[:0]
		for len(e.codes) < p.values {
			if left == 0 {
				n++
				left = int(counts[n])
				continue
			}
			run := min(left, p.values-len(e.codes))
			code := d.numberOf(number[n], names)
			for range run {
				e.codes = append(e.codes, code)
			}
			left -= run
		}
		e.appendCodes(&k, p, e.codes, len(d.used))
	}
	d.end()
	e.dict = e.dict[:0]
	e.appendTextDict(&k, names)
	e.assembleChunk(s, &k)
	return k
}
