package block

import (
	"context"
	"encoding/binary"
	"math/bits"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// corruptPage makes the error of a damaged page of a column; page -1 is the dictionary.
func (v *groupTable) corruptPage(c, page int, cause string) error {
	col := &v.dir.columns[c]
	k := &col.chunks[v.group]
	at := k.offset
	if page >= 0 {
		at += int64(k.dict)
		for i := range page {
			at += int64(k.pages[i].length)
		}
	}
	return &corruptError{object: v.dir.object, column: col.name, offset: at, cause: cause}
}

// openPage checks a page as stored and returns its content. own: the content must have memory of
// its own, because strings will alias it; else it is valid until the next page is opened.
func (v *groupTable) openPage(c, page int, stored []byte, own bool) (pageHeader, []byte, error) {
	k := &v.dir.columns[c].chunks[v.group]
	h, body, err := parseHeader(stored)
	if err != nil {
		return h, nil, v.corruptPage(c, page, "page header")
	}
	if h.size != len(body) || h.dictionary != (page < 0) {
		return h, nil, v.corruptPage(c, page, "page length")
	}
	if checksum(body) != h.crc {
		return h, nil, v.corruptPage(c, page, "checksum differs")
	}
	if !k.zipped {
		if h.raw != h.size {
			return h, nil, v.corruptPage(c, page, "page length")
		}
		return h, body[:len(body):cap(body)], nil
	}
	r := v.reader
	var into []byte
	if !own {
		into = r.buf
	}
	out, err := decompressFrame(into, body, h.raw)
	if err != nil {
		return h, nil, v.corruptPage(c, page, "page does not decompress")
	}
	if !own {
		r.buf = out[:0:cap(out)]
	}
	return h, out, nil
}

// loadDictionary decodes the dictionary of a chunk, unless that was done.
func (v *groupTable) loadDictionary(c int, h *fetchedChunk) error {
	if h.decoded {
		return nil
	}
	col := &v.dir.columns[c]
	k := &col.chunks[v.group]
	hd, body, err := v.openPage(c, -1, h.dict, true)
	if err != nil {
		return err
	}
	if hd.values != k.entries || hd.encoding != encPlain {
		return v.corruptPage(c, -1, "dictionary header")
	}
	if col.kind == kindInt {
		if len(body) != 8*k.entries {
			return v.corruptPage(c, -1, "dictionary length")
		}
		h.ints = make([]int64, k.entries)
		for i := range h.ints {
			h.ints[i] = int64(binary.LittleEndian.Uint64(body[8*i:]))
		}
	} else if h.texts, err = decodeTexts(body, k.entries); err != nil {
		return v.corruptPage(c, -1, "dictionary entries")
	}
	h.decoded, h.dict = true, nil
	return nil
}

// Vector implements column.Columns.
func (v *groupTable) Vector(ctx context.Context, k column.Key, page int, dst *column.Vector) (bool, error) {
	rows := v.pageRows(page)
	dst.Reset(rows)
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if rows == 0 {
		return false, nil
	}
	if v.spans {
		switch k {
		case column.TraceRow:
			v.readTraceRows(page, dst)
			return true, nil
		case column.ParentID:
			return true, v.readParents(ctx, page, dst)
		case keyTraceID, keyParentDistance:
			return false, nil
		}
	}
	c, ok := v.dir.byKey[k]
	if !ok {
		n, ok := v.sparse.find(k)
		if !ok {
			return false, nil
		}
		return true, v.sparse.cutPage(ctx, n, page, dst)
	}
	if err := v.decodePage(ctx, c, page, dst); err != nil {
		return false, err
	}
	switch k {
	case column.Overflow:
		return true, v.unpackOverflow(c, page, dst)
	case column.RowRef:
		for i := range dst.Ints {
			dst.Ints[i] -= v.base
		}
	}
	return true, nil
}

// packedOverflow implements packedTable. keys are those that the attributes name by their numbers.
func (v *groupTable) packedOverflow(
	ctx context.Context, page int, dst *column.Vector,
) (keys []column.Key, ok bool, err error) {
	dst.Reset(v.pageRows(page))
	c, ok := v.dir.byKey[column.Overflow]
	if !ok || dst.Rows == 0 {
		return nil, false, ctx.Err()
	}
	return v.reader.block.overflow[v.scope], true, v.decodePage(ctx, c, page, dst)
}

// unpackOverflow turns the stored attributes into KeyValue messages.
func (v *groupTable) unpackOverflow(c, page int, dst *column.Vector) error {
	keys := v.reader.block.overflow[v.scope]
	total := 0
	for _, s := range dst.Strings {
		total += len(s)
	}
	buf := make([]byte, 0, 4*total)
	for i, s := range dst.Strings {
		at := len(buf)
		for x := (cursor{b: textBytes(s)}); len(x.b) > 0; {
			key := x.readUvarint()
			value := x.readBytes(x.readCount())
			if x.bad || key >= uint64(len(keys)) {
				return v.corruptPage(c, page, "attributes")
			}
			buf = appendKeyValue(buf, keys[key].Name, value)
		}
		dst.Strings[i] = unsafe.String(unsafe.SliceData(buf[at:]), len(buf)-at)
	}
	return nil
}

// appendKeyValue is column.AppendKeyValue of a value that is an AnyValue message already.
func appendKeyValue(b []byte, key string, value []byte) []byte {
	n := 1 + uvarintSize(len(value)) + len(value)
	if key != "" {
		n += 1 + uvarintSize(len(key)) + len(key)
	}
	b = binary.AppendUvarint(b, uint64(n))
	if key != "" {
		b = appendString(append(b, 1<<3|2), key)
	}
	b = binary.AppendUvarint(append(b, 2<<3|2), uint64(len(value)))
	return append(b, value...)
}

// uvarintSize returns the size of n as uvarint.
func uvarintSize(n int) int { return (bits.Len(uint(n)|1) + 6) / 7 }

// pageRows returns the number of rows of a page; 0: there is no such page.
func (v *groupTable) pageRows(page int) int {
	if page < 0 || page >= column.Pages(v.rows) {
		return 0
	}
	return min(column.PageRows, v.rows-page*column.PageRows)
}

// decodePage reads a page of a column of the object into dst, which must have been reset.
func (v *groupTable) decodePage(ctx context.Context, c, page int, dst *column.Vector) error {
	col := &v.dir.columns[c]
	p := &col.chunks[v.group].pages[page]
	if p.values == 0 {
		return nil
	}
	h, err := v.loadPage(ctx, c, page)
	if err != nil {
		return err
	}
	own := col.kind == kindID || col.kind == kindText && p.plain
	body, err := v.openLevels(c, page, h, own, dst)
	if err != nil {
		return err
	}
	if p.plain {
		err = v.reader.decodePlain(col.kind, body.encoding, body.values, dst)
	} else if err = v.loadDictionary(c, h); err == nil {
		err = v.reader.decodeCodes(col.kind, body.encoding, body.values, h, dst)
	} else {
		return err
	}
	if err != nil {
		return v.corruptPage(c, page, "values")
	}
	return nil
}

// pageContent is what follows the levels of a page.
type pageContent struct {
	encoding int
	values   []byte
}

// openLevels opens a page and reads into dst, which must have been reset, which rows have a value.
func (v *groupTable) openLevels(c, page int, h *fetchedChunk, own bool, dst *column.Vector) (pageContent, error) {
	col := &v.dir.columns[c]
	hd, body, err := v.openPage(c, page, h.pages[page], own)
	if err != nil {
		return pageContent{}, err
	}
	if hd.values != dst.Rows {
		return pageContent{}, v.corruptPage(c, page, "page rows")
	}
	if col.required {
		dst.SetAll()
	} else if body, err = decodeLevels(dst, body); err != nil {
		return pageContent{}, v.corruptPage(c, page, "levels")
	}
	if dst.N != col.chunks[v.group].pages[page].values {
		return pageContent{}, v.corruptPage(c, page, "number of values")
	}
	return pageContent{hd.encoding, body}, nil
}
