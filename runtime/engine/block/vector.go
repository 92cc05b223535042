package block

import (
	"context"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"sort"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// corruptPage makes the error of a damaged page; page -1 is the dictionary.
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

// openPage checks a stored page and returns its content. own: the content must be memory of its
// own, because strings will alias it.
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

// loadDictionary decodes the dictionary of a chunk.
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

// decodeTexts reads n strings, each behind its length; they alias b.
func decodeTexts(b []byte, n int) ([]string, error) {
	if n > len(b)/4 {
		return nil, errBytes
	}
	out := make([]string, n)
	for i := range out {
		if len(b) < 4 {
			return nil, errBytes
		}
		size := binary.LittleEndian.Uint32(b)
		b = b[4:]
		if uint64(size) > uint64(len(b)) {
			return nil, errBytes
		}
		if size > 0 {
			out[i] = unsafe.String(&b[0], size)
		}
		b = b[size:]
	}
	if len(b) != 0 {
		return nil, errBytes
	}
	return out, nil
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
		return false, nil
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

// packedOverflow reads a page of the overflow as it is stored; keys are those that its attributes
// name by their numbers.
func (v *groupTable) packedOverflow(ctx context.Context, page int, dst *column.Vector) (keys []column.Key, ok bool, err error) {
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

// appendKeyValue is column.AppendKeyValue of a value that is a message already.
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

func uvarintSize(n int) int { return (bits.Len(uint(n)|1) + 6) / 7 }

func (v *groupTable) pageRows(page int) int {
	if page < 0 || page >= column.Pages(v.rows) {
		return 0
	}
	return min(column.PageRows, v.rows-page*column.PageRows)
}

// decodePage reads a page of a stored column; dst was reset.
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

// pageContent is an opened page behind its levels.
type pageContent struct {
	encoding int
	values   []byte
}

// openLevels opens a page and reads into dst, which was reset, which rows have a value.
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

// decodeCodes reads dictionary codes.
func (r *Reader) decodeCodes(k kind, encoding int, body []byte, h *fetchedChunk, dst *column.Vector) error {
	if encoding != encDictionary || len(body) == 0 {
		return errBytes
	}
	width := uint(body[0])
	entries := len(h.texts)
	if k == kindInt {
		entries = len(h.ints)
	}
	codes := dst.Codes
	if k == kindInt {
		codes = r.codes
	}
	codes = slices.Grow(codes[:0], dst.N)[:dst.N]
	if err := decodeHybrid(codes, body[1:], width); err != nil {
		return err
	}
	if uint64(1)<<width > uint64(entries) {
		most := uint32(0)
		for _, c := range codes {
			most = max(most, c)
		}
		if uint64(most) >= uint64(entries) {
			return errBytes
		}
	}
	if k == kindInt {
		r.codes = codes
		dst.Ints = slices.Grow(dst.Ints[:0], dst.N)[:dst.N]
		out, dict := dst.Ints, h.ints
		for i, c := range codes {
			out[i] = dict[c]
		}
		return nil
	}
	dst.Codes, dst.Dict = codes, h.texts
	return nil
}

// decodePlain reads values without a dictionary.
func (r *Reader) decodePlain(k kind, encoding int, body []byte, dst *column.Vector) error {
	n := dst.N
	want := encPlain
	switch k {
	case kindText:
		want = encDeltaLength
	case kindInt:
		want = encDelta
	}
	if encoding != want {
		return errBytes
	}
	switch k {
	case kindInt:
		dst.Ints = slices.Grow(dst.Ints[:0], n)[:n]
		rest, err := decodeDelta(dst.Ints, body)
		if err == nil && len(rest) != 0 {
			err = errBytes
		}
		return err
	case kindFloat:
		if len(body) != 8*n {
			return errBytes
		}
		dst.Floats = slices.Grow(dst.Floats[:0], n)[:n]
		for i := range dst.Floats {
			dst.Floats[i] = math.Float64frombits(binary.LittleEndian.Uint64(body[8*i:]))
		}
	case kindBool:
		if len(body) != (n+7)/8 {
			return errBytes
		}
		dst.Ints = slices.Grow(dst.Ints[:0], n)[:n]
		for i := range dst.Ints {
			dst.Ints[i] = int64(body[i>>3] >> (i & 7) & 1)
		}
	case kindID:
		if len(body) != 8*n {
			return errBytes
		}
		dst.Strings = slices.Grow(dst.Strings[:0], n)[:n]
		for i := range dst.Strings {
			dst.Strings[i] = unsafe.String(&body[8*i], 8)
		}
	case kindText:
		r.lengths = slices.Grow(r.lengths[:0], n)[:n]
		body, err := decodeDelta(r.lengths, body)
		if err != nil {
			return err
		}
		dst.Strings = slices.Grow(dst.Strings[:0], n)[:n]
		for i, size := range r.lengths {
			if size < 0 || size > int64(len(body)) {
				return errBytes
			}
			dst.Strings[i] = unsafe.String(unsafe.SliceData(body), size)
			body = body[size:]
		}
		if len(body) != 0 {
			return errBytes
		}
	default:
		return errBytes
	}
	return nil
}

// readTraceRows makes the page of ordinals from the index.
func (v *groupTable) readTraceRows(page int, dst *column.Vector) {
	dst.SetAll()
	bl := v.reader.block
	g := &bl.groups[v.group]
	row := uint32(g.row + page*column.PageRows)
	end := row + uint32(dst.Rows)
	first := bl.traces.first
	i := sort.Search(g.traces, func(i int) bool { return first[g.trace+i+1] > row })
	dst.Ints = slices.Grow(dst.Ints[:0], dst.Rows)
	for ; row < end; i++ {
		for stop := min(first[g.trace+i+1], end); row < stop; row++ {
			dst.Ints = append(dst.Ints, int64(i))
		}
	}
}

// readParents makes the page of parent ids: the span id of the row that parent_distance leads to,
// or what parent_id holds.
func (v *groupTable) readParents(ctx context.Context, page int, dst *column.Vector) error {
	r := v.reader
	distance := v.dir.byKey[keyParentDistance]
	outside := &r.outside
	outside.Reset(dst.Rows)
	if c, ok := v.dir.byKey[column.ParentID]; ok {
		if err := v.decodePage(ctx, c, page, outside); err != nil {
			return err
		}
	}
	ints := dst.Ints
	if err := v.decodePage(ctx, distance, page, dst); err != nil {
		return err
	}
	if outside.N > 0 && outside.Present == nil { // no row has a parent in the block
		outside.Present = column.NewBitmap(dst.Rows)
		outside.Present.SetRange(0, dst.Rows)
	}
	r.distances, dst.Ints = append(r.distances[:0], dst.Ints...), ints[:0]
	dst.Reset(dst.Rows)
	var ids []byte
	at := -1 // page of ids
	base := page * column.PageRows
	n := 0 // of outside
	for i, d := range r.distances {
		if outside.N > 0 && outside.Present.Get(i) {
			if d != 0 {
				return v.corruptPage(distance, page, "row with two parents")
			}
			dst.Strings = append(dst.Strings, outside.Strings[n])
			dst.Present.Set(i)
			n++
			continue
		}
		if d == 0 {
			continue
		}
		parent := int64(base+i) - d
		if parent < 0 || parent >= int64(v.rows) {
			return v.corruptPage(distance, page, "distance")
		}
		if p := int(parent / column.PageRows); p != at {
			var err error
			if ids, err = v.readIDPage(ctx, p); err != nil {
				return err
			}
			at = p
		}
		dst.Strings = append(dst.Strings, unsafe.String(&ids[8*(parent%column.PageRows)], 8))
		dst.Present.Set(i)
	}
	if dst.N = len(dst.Strings); dst.N == dst.Rows {
		dst.SetAll()
	}
	return nil
}

// readIDPage returns the span ids of a page.
func (v *groupTable) readIDPage(ctx context.Context, page int) ([]byte, error) {
	c := v.dir.byKey[column.SpanID]
	h, err := v.loadPage(ctx, c, page)
	if err != nil {
		return nil, err
	}
	_, body, err := v.openPage(c, page, h.pages[page], true)
	if err != nil {
		return nil, err
	}
	if len(body) != 8*v.pageRows(page) {
		return nil, v.corruptPage(c, page, "values")
	}
	return body, nil
}
