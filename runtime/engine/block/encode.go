package block

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/klauspost/compress/zstd"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// When text goes without a dictionary. Small chunks keep theirs: a block may later be merged into a
// large one.
const (
	longText    = 2 << 10 // bytes of a value that keeps its page out of the dictionary
	maxDict     = 1 << 16 // entries of a chunk's dictionary
	maxDictText = 1 << 20 // bytes of them
	minDict     = 1024    // entries, below which values need not repeat
	maxIntDict  = 4096
	intRange    = 1 << 16 // of the values of a chunk that may have a dictionary of ints
)

// pageEntry is what the directory keeps of a data page.
type pageEntry struct {
	length int  // bytes, with the header
	values int  // rows that have a value
	plain  bool // not dictionary coded
	lo, hi int64
}

// chunk is one column of one row group in a file.
type chunk struct {
	offset       int64 // of the dictionary page, or of the first data page without one
	dict         int   // bytes of the dictionary page with its header; 0: none
	entries      int   // of the dictionary
	pages        []pageEntry
	rows, values int
	zipped       bool // pages are compressed by zstd
	rawBytes     int64
	least        string // of text, if stats
	most         string
	stats        bool
	invalidText  bool          // text that is not UTF-8
	ids          [][2]trace.ID // bounds of pages of trace ids
}

func (c *chunk) storedBytes() int64 {
	n := int64(c.dict)
	for i := range c.pages {
		n += int64(c.pages[i].length)
	}
	return n
}

// encoder makes the bytes of chunks. Its memory is used again from chunk to chunk.
type encoder struct {
	zip   *zstd.Encoder
	out   []byte // the chunk: dictionary page and data pages
	raw   []byte // data pages, uncompressed
	ends  []int  // of pages in raw
	encs  []int
	dict  []byte
	zbuf  []byte
	noter *textNoter // of text without dictionary; nil: none
	skip  int        // pages of the chunk that are not worth compressing

	tooLarge bool // a page was

	codes  []uint32
	ints   []int64
	floats []float64
	texts  []string

	local   []uint32 // global code -> code in the chunk + 1
	used    []uint32 // global codes by code in the chunk
	intCode []uint16 // value - least -> code + 1
	intDict []int64
}

// encodeChunk encodes rows [from, from+rows) of the cells; from is a multiple of 64. The bytes are in
// e.out until the next call.
func (e *encoder) encodeChunk(s *columnSpec, c *cells, from, rows int) chunk {
	e.raw, e.ends, e.encs, e.dict = e.raw[:0], e.ends[:0], e.encs[:0], e.dict[:0]
	k := chunk{rows: rows, pages: make([]pageEntry, 0, column.Pages(rows))}
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
	e.raw, e.ends, e.encs, e.dict = e.raw[:0], e.ends[:0], e.encs[:0], e.dict[:0]
	k := chunk{rows: rows, pages: make([]pageEntry, 0, column.Pages(rows))}
	for at := 0; at < rows; at += column.PageRows {
		e.raw = appendLevels(e.raw, min(column.PageRows, rows-at), 0, nil)
		e.endPage(&k, pageEntry{plain: true}, encPlain)
	}
	e.assembleChunk(s, &k)
	return k
}

// encodeTraceIDs encodes the trace ids of a row group, of which e.dict holds the distinct ones; codes are
// those of its rows.
func (e *encoder) encodeTraceIDs(s *columnSpec, codes []uint32, entries int) chunk {
	e.raw, e.ends, e.encs = e.raw[:0], e.ends[:0], e.encs[:0]
	k := chunk{rows: len(codes), entries: entries, pages: make([]pageEntry, 0, column.Pages(len(codes)))}
	w := codeWidth(entries)
	for at := 0; at < len(codes); at += column.PageRows {
		part := codes[at:min(at+column.PageRows, len(codes))]
		e.raw = appendHybrid(append(e.raw, byte(w)), part, w)
		e.endPage(&k, pageEntry{values: len(part)}, encDictionary)
		ids := e.dict[16*part[0] : 16*part[len(part)-1]+16] // codes ascend
		bounds := [2]trace.ID{trace.ID(ids), trace.ID(ids)}
		for ; len(ids) > 0; ids = ids[16:] {
			if id := trace.ID(ids); compareIDs(&id, &bounds[0]) < 0 {
				bounds[0] = id
			} else if compareIDs(&id, &bounds[1]) > 0 {
				bounds[1] = id
			}
		}
		k.ids = append(k.ids, bounds)
	}
	e.assembleChunk(s, &k)
	return k
}

// beginPage starts a page of the chunk and appends its levels. It returns the page's rows of the
// bitmap, nil if there is nothing to choose.
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

func (e *encoder) endPage(k *chunk, p pageEntry, encoding int) {
	e.ends = append(e.ends, len(e.raw))
	e.encs = append(e.encs, encoding)
	k.pages = append(k.pages, p)
	k.values += p.values
}

// appendPresent appends the values of present slots to dst; n is how many there are.
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

// presentValues is dense without a copy where all rows have a value.
func presentValues[T any](scratch *[]T, values []T, present column.Bitmap, n int) []T {
	if n == len(values) {
		return values
	}
	*scratch = appendPresent((*scratch)[:0], values, present, n)
	return *scratch
}

// encodeCodes encodes text by global codes: with a dictionary as long as that pays.
func (e *encoder) encodeCodes(s *columnSpec, c *cells, from int, k *chunk) {
	if n := len(c.dict.list); len(e.local) < n {
		e.local = append(e.local, make([]uint32, n-len(e.local))...)
	}
	e.used = e.used[:0]
	size := 0
	plain := false
	for at := 0; at < k.rows; at += column.PageRows {
		rows := min(column.PageRows, k.rows-at)
		n, present := e.beginPage(s, c, from+at, rows)
		p := pageEntry{values: n, plain: plain || n == 0}
		if len(c.dict.list) == 1 && !p.plain && len(c.dict.list[0]) <= longText {
			if e.used = append(e.used[:0], 0); e.local[0] == 0 {
				e.local[0], size = 1, len(c.dict.list[0])
			}
			e.raw = appendRun(append(e.raw, 0), n, 0, 0)
			e.endPage(k, p, encDictionary)
			continue
		}
		codes := presentValues(&e.codes, c.codes[from+at:from+at+rows], present, n)
		if !p.plain {
			before, sizeBefore, long := len(e.used), size, false
			out := slices.Grow(e.codes[:0], len(codes))[:len(codes)]
			e.codes = out
			for i, g := range codes {
				l := e.local[g]
				if l == 0 {
					e.used = append(e.used, g)
					l = uint32(len(e.used))
					e.local[g] = l
					t := c.dict.list[g]
					size += len(t)
					long = long || len(t) > longText
				}
				out[i] = l - 1
			}
			if s.coding == dictMay {
				many := len(e.used) > minDict && k.values == 0 && 2*len(e.used) > n
				if many || len(e.used) > maxDict || size > maxDictText {
					plain = true
				}
				if plain || long {
					p.plain = true
					for i := range out {
						out[i] = e.used[out[i]]
					}
					codes = out
					for _, g := range e.used[before:] {
						e.local[g] = 0
					}
					e.used, size = e.used[:before], sizeBefore
				}
			}
			if !p.plain {
				w := codeWidth(len(e.used))
				e.raw = append(e.raw, byte(w))
				e.raw = appendHybrid(e.raw, out, w)
				e.endPage(k, p, encDictionary)
				continue
			}
		}
		e.texts = e.texts[:0]
		for _, g := range codes {
			e.texts = append(e.texts, c.dict.list[g])
		}
		e.encodeTexts(k, p, e.texts)
	}
	for _, g := range e.used {
		e.local[g] = 0
	}
	k.entries = len(e.used)
	if k.entries > 0 {
		e.dict = slices.Grow(e.dict, size+4*k.entries)
		for _, g := range e.used {
			t := c.dict.list[g]
			e.dict = binary.LittleEndian.AppendUint32(e.dict, uint32(len(t)))
			e.dict = append(e.dict, t...)
		}
	}
	k.stats = !slices.ContainsFunc(k.pages, func(p pageEntry) bool { return p.plain && p.values > 0 })
	if k.stats && k.entries > 0 {
		k.least, k.most = c.dict.list[e.used[0]], c.dict.list[e.used[0]]
		for _, g := range e.used {
			t := c.dict.list[g]
			k.least, k.most = min(k.least, t), max(k.most, t)
		}
	}
}

// encodeTexts encodes a page of text without a dictionary.
func (e *encoder) encodeTexts(k *chunk, p pageEntry, texts []string) {
	if p.values == 0 {
		e.endPage(k, p, encPlain)
		return
	}
	e.ints = e.ints[:0]
	for _, t := range texts {
		e.ints = append(e.ints, int64(len(t)))
	}
	e.raw = appendDelta(e.raw, e.ints)
	at := len(e.raw)
	for _, t := range texts {
		e.raw = append(e.raw, t...)
	}
	if e.noter != nil {
		e.noter.notePage(texts, e.raw[at:])
	}
	e.endPage(k, p, encDeltaLength)
}

// encodePieces encodes a page of the overflow.
func (e *encoder) encodePieces(k *chunk, p pageEntry, c *cells, at, rows int, present column.Bitmap) {
	if p.values == 0 {
		e.endPage(k, p, encPlain)
		return
	}
	e.ints = e.ints[:0]
	for i := range rows {
		if present != nil && !present.Get(i) {
			continue
		}
		n := 0
		for _, x := range c.pieces[c.first[at+i]:c.first[at+i+1]] {
			n += int(x.to - x.from)
		}
		e.ints = append(e.ints, int64(n))
	}
	e.raw = appendDelta(e.raw, e.ints)
	for _, x := range c.pieces[c.first[at]:c.first[at+rows]] {
		e.raw = append(e.raw, c.buf[x.from:x.to]...)
	}
	e.endPage(k, p, encDeltaLength)
}

func (e *encoder) encodePlainText(s *columnSpec, c *cells, from int, k *chunk) {
	for at := 0; at < k.rows; at += column.PageRows {
		rows := min(column.PageRows, k.rows-at)
		n, present := e.beginPage(s, c, from+at, rows)
		if c.pieces != nil {
			e.encodePieces(k, pageEntry{values: n, plain: true}, c, from+at, rows, present)
			continue
		}
		if c.texts != nil {
			e.encodeTexts(k, pageEntry{values: n, plain: true}, presentValues(&e.texts, c.texts[from+at:from+at+rows], present, n))
			continue
		}
		e.codes = appendPresent(e.codes[:0], c.codes[from+at:from+at+rows], present, n)
		e.texts = e.texts[:0]
		for _, g := range e.codes {
			e.texts = append(e.texts, c.dict.list[g])
		}
		e.encodeTexts(k, pageEntry{values: n, plain: true}, e.texts)
	}
}

// encodeInts encodes ints: with a dictionary where few values repeat.
func (e *encoder) encodeInts(s *columnSpec, c *cells, from int, k *chunk) {
	e.intDict = e.intDict[:0]
	try, decided := false, false
	var least int64
	for at := 0; at < k.rows; at += column.PageRows {
		rows := min(column.PageRows, k.rows-at)
		n, present := e.beginPage(s, c, from+at, rows)
		values := presentValues(&e.ints, c.ints[from+at:from+at+rows], present, n)
		p := pageEntry{values: n, plain: true}
		if n == 0 {
			e.endPage(k, p, encPlain)
			continue
		}
		p.lo, p.hi = minMax(values)
		if !decided {
			// The first page with values decides; the dictionary takes values around them.
			decided = true
			if r := uint64(p.hi - p.lo); r < intRange {
				try = true
				least = p.lo - int64((intRange-r)/2)
				if least > p.lo { // wrapped
					least = math.MinInt64
				}
				if e.intCode == nil {
					e.intCode = make([]uint16, intRange)
				}
			}
		}
		if try && p.lo >= least && uint64(p.hi-least) < intRange {
			before := len(e.intDict)
			out := slices.Grow(e.codes[:0], n)[:n]
			e.codes = out
			for i, v := range values {
				l := e.intCode[uint16(v-least)]
				if l == 0 {
					if len(e.intDict) == maxIntDict {
						try = false
						break
					}
					e.intDict = append(e.intDict, v)
					l = uint16(len(e.intDict))
					e.intCode[uint16(v-least)] = l
				}
				out[i] = uint32(l - 1)
			}
			if before == 0 && len(e.intDict) > 64 && codeWidth(len(e.intDict))+1 > uint(bits.Len64(uint64(p.hi-p.lo))) {
				try = false // as wide as the values are
			}
			if try {
				p.plain = false
				w := codeWidth(len(e.intDict))
				e.raw = append(e.raw, byte(w))
				e.raw = appendHybrid(e.raw, out, w)
				e.endPage(k, p, encDictionary)
				continue
			}
			for _, v := range e.intDict[before:] {
				e.intCode[uint16(v-least)] = 0
			}
			e.intDict = e.intDict[:before]
		}
		try = false
		e.raw = appendDelta(e.raw, values)
		e.endPage(k, p, encDelta)
	}
	k.entries = len(e.intDict)
	for _, v := range e.intDict {
		e.intCode[uint16(v-least)] = 0
		e.dict = binary.LittleEndian.AppendUint64(e.dict, uint64(v))
	}
}

func minMax(values []int64) (lo, hi int64) {
	lo, hi = values[0], values[0]
	for _, v := range values {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

// encodeFixed encodes the kinds that have one encoding each.
func (e *encoder) encodeFixed(s *columnSpec, c *cells, from int, k *chunk) {
	for at := 0; at < k.rows; at += column.PageRows {
		rows := min(column.PageRows, k.rows-at)
		n, present := e.beginPage(s, c, from+at, rows)
		p := pageEntry{values: n, plain: true}
		lo, hi := from+at, from+at+rows
		switch {
		case n == 0:
		case s.kind == kindFloat:
			for _, v := range presentValues(&e.floats, c.floats[lo:hi], present, n) {
				e.raw = binary.LittleEndian.AppendUint64(e.raw, math.Float64bits(v))
			}
		case s.kind == kindBool:
			values := presentValues(&e.ints, c.ints[lo:hi], present, n)
			for i := 0; i < n; i += 8 {
				var b byte
				for j, v := range values[i:min(i+8, n)] {
					b |= byte(v&1) << j
				}
				e.raw = append(e.raw, b)
			}
		case present == nil:
			e.raw = append(e.raw, unsafe.Slice((*byte)(unsafe.Pointer(&c.ids[lo])), 8*rows)...)
		default:
			for i := present.Next(0); i >= 0; i = present.Next(i + 1) {
				e.raw = append(e.raw, unsafe.Slice((*byte)(unsafe.Pointer(&c.ids[lo+i])), 8)...)
			}
		}
		e.endPage(k, p, encPlain)
	}
}

// chooseCodec decides by the first chunk whether a column is compressed: some readers want one codec in
// all row groups. What hardly takes room, and numbers that do not shrink, are stored: that costs
// nothing to read.
func (e *encoder) chooseCodec(s *columnSpec, k *chunk) codec {
	switch first := e.raw[:e.ends[0]]; {
	case s.kind == kindID || k.entries == 1 && k.values == k.rows && len(e.raw)+len(e.dict) < 512:
		return codecStored
	case s.kind == kindText || s.kind == kindTrace || k.entries > 0:
		return codecZstd
	case len(first) < 256:
		return codecStored
	default:
		e.zbuf = e.zip.EncodeAll(first, e.zbuf[:0])
		if len(e.zbuf) > len(first)*15/16 {
			return codecStored
		}
		return codecZstd
	}
}

// smallPage is the size in bytes below which a page or dictionary is stored as it is, in a frame of
// a raw block: building the tables of a frame costs more time than its few bytes are worth, to the
// writer and to every reader.
const smallPage = 512

// After a page that compression did not make smaller by a thirty-second part, this many are stored
// as they are, in frames of raw blocks.
const skipPages = 7

// assembleChunk puts the chunk's pages behind their headers into e.out.
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
		k.pages[i].length = e.appendPage(k, pageHeader{values: rows, encoding: e.encs[i]}, e.raw[from:end])
		from = end
	}
}

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
		e.zbuf = appendRawFrame(e.zbuf[:0], body)
		body = e.zbuf
	default:
		e.zbuf = e.zip.EncodeAll(body, e.zbuf[:0])
		if body = e.zbuf; !h.dictionary && len(body) > h.raw-h.raw/32 {
			e.skip = skipPages
		}
	}
	h.size, h.crc = len(body), checksum(body)
	e.out = appendHeader(e.out, h)
	k.rawBytes += int64(len(e.out) - at + h.raw)
	e.out = append(e.out, body...)
	return len(e.out) - at
}
