package block

import (
	"math"
	"math/bits"

	"github.com/klauspost/compress/zstd"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Encoding makes the bytes of a chunk, which is one column of one row group, out of cells: the
// values of the column in the order of the block (gather.go).
//
// A chunk is cut into pages of column.PageRows rows. A page is its levels, which say which rows
// have a value and which a required column does without (levels.go), and behind them the values
// that are there. Values are either codes into the dictionary of the chunk, or plain, which means
// something else for each kind of column: this file has what all kinds share, encodetext.go and
// encodenum.go have the kinds. At first the pages lie uncompressed in raw, one behind the other.
// When all of them are there, and with them the dictionary, assembleChunk compresses each of them
// and puts it behind its header into out, the dictionary first.
//
// Five rows of an optional column of text, in a page of four rows and one of one row (if pages were
// that small):
//
//	row      0       1  2       3       4
//	present  1       0  1       1       1
//	cells    code 7  -  code 2  code 7  code 9  list[2] = "GET", [7] = "PUT", [9] = "HEAD"
//
//	used     7 2 9                              the chunk's dictionary, as codes of the cells
//	dict     "PUT" "GET" "HEAD"
//	raw      levels 1011, width 1, codes 0 1 0  page 0: 3 values
//	         levels 1, width 2, code 2          page 1: 1 value
//	out      dictionary, page 0, page 1         each behind its header
//
// Codes of the cells number the texts of the whole band. Codes of a chunk number those that the
// chunk uses, in the order of their first use, so that they need few bits. Each page has its own
// width: that of the dictionary at the end of the page.
//
// Invariants: pages[i] of the chunk describes raw[ends[i-1]:ends[i]]; every code of a page is below
// the number of entries that the dictionary had when the page ended; a chunk in which no page has
// codes has no dictionary.

// pageEntry is what the directory keeps of a data page.
type pageEntry struct {
	length int   // bytes as stored, with the header
	values int   // rows that have a value
	plain  bool  // the page has values, not codes
	lo, hi int64 // of ints: the least and the greatest value
}

// chunk is what the directory, and the Parquet footer, keep of one column of one row group.
type chunk struct {
	offset       int64 // of the dictionary page, or of the first data page without one
	dict         int   // bytes of the dictionary page with its header; 0: none
	entries      int   // of the dictionary
	pages        []pageEntry
	rows, values int
	zipped       bool  // pages are compressed by zstd
	rawBytes     int64 // uncompressed, headers included

	// What only the writer knows, for the footer.
	stats       bool          // least and most are known
	least, most string        // of text
	invalidText bool          // a text is not UTF-8
	ids         [][2]trace.ID // by page of trace ids: the least and the greatest
}

// storedBytes returns the size of the chunk in the object.
func (c *chunk) storedBytes() int64 {
	n := int64(c.dict)
	for i := range c.pages {
		n += int64(c.pages[i].length)
	}
	return n
}

// encoder makes the bytes of chunks. Its memory is used again from chunk to chunk.
type encoder struct {
	zip       *zstd.Encoder
	out       []byte // the chunk: dictionary page and data pages
	raw       []byte // data pages, uncompressed
	ends      []int  // of the pages in raw
	encodings []int  // of the pages
	dict      []byte // the dictionary, uncompressed
	zipped    []byte // the page that is being compressed

	noter    *textNoter // sees text that is encoded without dictionary; nil: nobody does
	skip     int        // how many more pages of the chunk are stored without trying to compress them
	tooLarge bool       // a page was larger than maxPage

	textDict textDict
	intDict  intDict
	pageScratch
}

// pageScratch is memory for the values of one page.
type pageScratch struct {
	codes  []uint32
	ints   []int64
	floats []float64
	texts  []string
}

// encodeChunk encodes rows [from, from+rows) of the cells; from is a multiple of 64. The bytes are
// in e.out until the next call.
func (e *encoder) encodeChunk(s *columnSpec, c *cells, from, rows int) chunk {
	k := e.beginChunk(rows)
	e.dict = e.dict[:0]
	switch s.kind {
	case kindText:
		if c.codes != nil && s.coding != dictNever {
			e.encodeCodes(s, c, from, &k)
		} else {
			e.encodePlainText(s, c, from, &k)
		}
	case kindInt:
		e.encodeInts(s, c, from, &k)
	default:
		e.encodeFixed(s, c, from, &k)
	}
	e.assembleChunk(s, &k)
	return k
}

// encodeNulls encodes a chunk without any value.
func (e *encoder) encodeNulls(s *columnSpec, rows int) chunk {
	k := e.beginChunk(rows)
	e.dict = e.dict[:0]
	for at := 0; at < rows; at += column.PageRows {
		e.raw = appendLevels(e.raw, min(column.PageRows, rows-at), 0, nil)
		e.endPage(&k, pageEntry{plain: true}, encPlain)
	}
	e.assembleChunk(s, &k)
	return k
}

// encodeTraceIDs encodes the trace ids of a row group. The caller has put the distinct ones, in the
// order of the traces, into e.dict; codes are those of the rows.
func (e *encoder) encodeTraceIDs(s *columnSpec, codes []uint32, entries int) chunk {
	k := e.beginChunk(len(codes))
	k.entries = entries
	for at := 0; at < len(codes); at += column.PageRows {
		part := codes[at:min(at+column.PageRows, len(codes))]
		e.appendCodes(&k, pageEntry{values: len(part)}, part, entries)
		ids := e.dict[16*part[0] : 16*part[len(part)-1]+16] // codes ascend
		k.ids = append(k.ids, boundIDs(ids))
	}
	e.assembleChunk(s, &k)
	return k
}

// boundIDs returns the least and the greatest of ids that lie one behind the other.
func boundIDs(ids []byte) [2]trace.ID {
	bounds := [2]trace.ID{trace.ID(ids), trace.ID(ids)}
	for ; len(ids) > 0; ids = ids[16:] {
		if id := trace.ID(ids); compareIDs(&id, &bounds[0]) < 0 {
			bounds[0] = id
		} else if compareIDs(&id, &bounds[1]) > 0 {
			bounds[1] = id
		}
	}
	return bounds
}

func (e *encoder) beginChunk(rows int) chunk {
	e.raw, e.ends, e.encodings = e.raw[:0], e.ends[:0], e.encodings[:0]
	return chunk{rows: rows, pages: make([]pageEntry, 0, column.Pages(rows))}
}

// beginPage appends the levels of rows [at, at+rows) of the cells. It returns how many of the rows
// have a value, and which do; nil stands for all of them, or none.
func (e *encoder) beginPage(s *columnSpec, c *cells, at, rows int) (n int, present column.Bitmap) {
	n = rows
	if c.present != nil {
		present = c.present[at>>6 : (at+rows+63)>>6]
		if n = present.Count(); n == rows || n == 0 {
			present = nil
		}
	}
	if !s.required {
		e.raw = appendLevels(e.raw, rows, n, present)
	}
	return n, present
}

// endPage ends the page whose values are the last of e.raw.
func (e *encoder) endPage(k *chunk, p pageEntry, encoding int) {
	e.ends = append(e.ends, len(e.raw))
	e.encodings = append(e.encodings, encoding)
	k.pages = append(k.pages, p)
	k.values += p.values
}

// appendCodes ends a page with codes of a dictionary that has that many entries by now.
func (e *encoder) appendCodes(k *chunk, p pageEntry, codes []uint32, entries int) {
	w := codeWidth(entries)
	e.raw = append(e.raw, byte(w))
	e.raw = appendHybrid(e.raw, codes, w)
	e.endPage(k, p, encDictionary)
}

// appendPresent appends the values of present rows to dst; n is how many there are.
func appendPresent[T any](dst []T, values []T, present column.Bitmap, n int) []T {
	if n == len(values) {
		return append(dst, values...)
	}
	if n == 0 {
		return dst
	}
	for i, w := range present {
		if w == math.MaxUint64 {
			dst = append(dst, values[i<<6:i<<6+64]...)
			continue
		}
		for ; w != 0; w &= w - 1 {
			dst = append(dst, values[i<<6+bits.TrailingZeros64(w)])
		}
	}
	return dst
}

// presentValues returns the values of present rows: values itself where all rows have one, else a
// copy in scratch.
func presentValues[T any](scratch *[]T, values []T, present column.Bitmap, n int) []T {
	if n == len(values) {
		return values
	}
	*scratch = appendPresent((*scratch)[:0], values, present, n)
	return *scratch
}

// chooseCodec decides by the first chunk whether a column is compressed: some readers want one
// codec in all row groups. What hardly takes room, and numbers that do not shrink, are stored as
// they are: that costs nothing to read.
func (e *encoder) chooseCodec(s *columnSpec, k *chunk) codec {
	switch first := e.raw[:e.ends[0]]; {
	case s.kind == kindID || k.entries == 1 && k.values == k.rows && len(e.raw)+len(e.dict) < 512:
		return codecStored
	case s.kind == kindText || s.kind == kindTrace || k.entries > 0:
		return codecZstd
	case len(first) < 256:
		return codecStored
	default:
		e.zipped = e.zip.EncodeAll(first, e.zipped[:0])
		if len(e.zipped) > len(first)*15/16 {
			return codecStored
		}
		return codecZstd
	}
}

// smallPage is the size in bytes below which a page or dictionary is stored as it is, in a frame of
// a raw block: building the tables of a frame costs more time than its few bytes are worth, to the
// writer and to every reader.
const smallPage = 512

// skipPages is how many pages are stored as they are, in frames of raw blocks, after a page that
// compression did not make smaller by a thirty-second part.
const skipPages = 7

// assembleChunk puts the dictionary and the pages behind their headers into e.out.
func (e *encoder) assembleChunk(s *columnSpec, k *chunk) {
	e.out = e.out[:0]
	if s.codec == codecOpen {
		s.codec = e.chooseCodec(s, k)
	}
	k.zipped = s.codec == codecZstd
	if k.entries > 0 {
		k.dict = e.appendPage(k, pageHeader{dictionary: true, values: k.entries, encoding: encPlain}, e.dict)
	}
	from := 0
	e.skip = 0
	for i, end := range e.ends {
		rows := min(column.PageRows, k.rows-i*column.PageRows)
		k.pages[i].length = e.appendPage(k, pageHeader{values: rows, encoding: e.encodings[i]}, e.raw[from:end])
		from = end
	}
}

// appendPage appends a page with its header to e.out and returns its size.
func (e *encoder) appendPage(k *chunk, h pageHeader, body []byte) int {
	at := len(e.out)
	if h.raw = len(body); h.raw > maxPage {
		e.tooLarge = true
		return 0
	}
	switch {
	case !k.zipped:
	case e.skip > 0 || len(body) < smallPage:
		e.skip--
		e.zipped = appendRawFrame(e.zipped[:0], body)
		body = e.zipped
	default:
		e.zipped = e.zip.EncodeAll(body, e.zipped[:0])
		if body = e.zipped; !h.dictionary && len(body) > h.raw-h.raw/32 {
			e.skip = skipPages
		}
	}
	h.size, h.crc = len(body), checksum(body)
	e.out = appendHeader(e.out, h)
	k.rawBytes += int64(len(e.out) - at + h.raw)
	e.out = append(e.out, body...)
	return len(e.out) - at
}
