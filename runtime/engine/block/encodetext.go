package block

import (
	"encoding/binary"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// A page of text has either codes of the chunk's dictionary or the texts themselves. That is
// decided page by page:
//
//	page  values                    the page has
//	0     GET PUT GET GET GET       codes 0 1 0 0 0; the dictionary is GET PUT
//	1     PUT PUT GET               codes 1 1 0
//	2     GET HEAD, one of 3 KiB    texts; HEAD does not stay in the dictionary
//	3     GET PUT                   codes 0 1
//	4     70,000 other texts        texts, as have all pages after it
//
// A long text is hardly there twice, so it keeps only its own page out. A dictionary that has grown
// too large does not pay for the rest of the chunk either.

// When text goes without a dictionary. Small chunks keep theirs: a block may later be merged into a
// large one.
const (
	longText    = 2 << 10 // bytes of a value that keeps its page out of the dictionary
	maxDict     = 1 << 16 // entries of a chunk's dictionary
	maxDictText = 1 << 20 // bytes of them
	minDict     = 1024    // entries, below which values need not repeat
)

// textDict is the dictionary of a chunk of text while the chunk is encoded. It holds codes of the
// cells, which stand for the texts.
type textDict struct {
	local []uint32 // by code of the cells: code in the chunk + 1; 0: not in the dictionary
	used  []uint32 // by code in the chunk: code of the cells
	bytes int      // of the texts in used
}

// begin makes the dictionary an empty one for cells with that many codes.
func (d *textDict) begin(codes int) {
	if n := len(d.local); n < codes {
		d.local = append(d.local, make([]uint32, codes-n)...)
	}
	d.used, d.bytes = d.used[:0], 0
}

// numberPage puts the chunk's codes of a page's values into out, which may lie over codes. Values
// that are new enter the dictionary. It reports whether one of those is long.
func (d *textDict) numberPage(out, codes []uint32, texts []string) (long bool) {
	local := d.local
	for i, g := range codes {
		l := local[g]
		if l == 0 {
			d.used = append(d.used, g)
			l = uint32(len(d.used))
			local[g] = l
			t := texts[g]
			d.bytes += len(t)
			long = long || len(t) > longText
		}
		out[i] = l - 1
	}
	return long
}

// numberOf returns the chunk's code of one code of the cells.
func (d *textDict) numberOf(code uint32, texts []string) uint32 {
	if d.local[code] == 0 {
		d.used = append(d.used, code)
		d.local[code] = uint32(len(d.used))
		d.bytes += len(texts[code])
	}
	return d.local[code] - 1
}

// undoPage takes back what numberPage did: the dictionary had that many entries and bytes before.
// out becomes the page's codes of the cells again.
func (d *textDict) undoPage(out []uint32, entries, bytes int) {
	for i := range out {
		out[i] = d.used[out[i]]
	}
	for _, g := range d.used[entries:] {
		d.local[g] = 0
	}
	d.used, d.bytes = d.used[:entries], bytes
}

// end forgets which codes were used, for the next chunk.
func (d *textDict) end() {
	for _, g := range d.used {
		d.local[g] = 0
	}
}

// encodeCodes encodes text that is given by codes of the cells. Pages have codes as long as that
// pays; a page with a long value has texts, and once the dictionary does not pay no page has codes.
func (e *encoder) encodeCodes(s *columnSpec, c *cells, from int, k *chunk) {
	d, texts := &e.textDict, c.dict.list
	d.begin(len(texts))
	same := len(texts) == 1 && len(texts[0]) <= longText // all values are the same text
	pays := true
	for at := 0; at < k.rows; at += column.PageRows {
		rows := min(column.PageRows, k.rows-at)
		n, present := e.beginPage(s, c, from+at, rows)
		p := pageEntry{values: n, plain: !pays || n == 0}
		if same && !p.plain {
			e.appendSame(k, p, texts[0])
			continue
		}
		codes := presentValues(&e.codes, c.codes[from+at:from+at+rows], present, n)
		if !p.plain {
			codes, p.plain, pays = e.numberPage(s, k, codes, texts)
		}
		if p.plain {
			e.encodeTexts(k, p, e.lookUp(codes, texts))
		} else {
			e.appendCodes(k, p, codes, len(d.used))
		}
	}
	d.end()
	e.appendTextDict(k, texts)
}

// appendSame ends a page all of whose values are the one text that the cells have.
func (e *encoder) appendSame(k *chunk, p pageEntry, text string) {
	d := &e.textDict
	if d.used = append(d.used[:0], 0); d.local[0] == 0 {
		d.local[0], d.bytes = 1, len(text)
	}
	e.raw = appendRun(append(e.raw, 0), p.values, 0, 0)
	e.endPage(k, p, encDictionary)
}

// numberPage returns the chunk's codes of a page, or, with plain, that the page must do without:
// then the codes are those of the cells as they were. pays=false: so must all later pages.
func (e *encoder) numberPage(
	s *columnSpec, k *chunk, codes []uint32, texts []string,
) (numbered []uint32, plain, pays bool) {
	d := &e.textDict
	entries, bytes := len(d.used), d.bytes
	e.codes = slices.Grow(e.codes[:0], len(codes))[:len(codes)]
	long := d.numberPage(e.codes, codes, texts)
	pays = true
	switch s.coding {
	case dictByPage:
		fresh := len(d.used) - entries
		plain = long || fresh > minDict && 2*fresh > len(codes) || len(d.used) > maxDict || d.bytes > maxDictText
		if plain {
			d.undoPage(e.codes, entries, bytes)
		}
	case dictMay:
		manyAtOnce := len(d.used) > minDict && k.values == 0 && 2*len(d.used) > len(codes)
		pays = !manyAtOnce && len(d.used) <= maxDict && d.bytes <= maxDictText
		if plain = !pays || long; plain {
			d.undoPage(e.codes, entries, bytes)
		}
	}
	return e.codes, plain, pays
}

// appendTextDict makes e.dict the dictionary, and notes the least and the greatest text of a chunk
// whose values are all in it.
func (e *encoder) appendTextDict(k *chunk, texts []string) {
	d := &e.textDict
	k.entries = len(d.used)
	k.stats = !slices.ContainsFunc(k.pages, func(p pageEntry) bool { return p.plain && p.values > 0 })
	if k.entries == 0 {
		return
	}
	e.dict = slices.Grow(e.dict, d.bytes+4*k.entries)
	for _, g := range d.used {
		e.dict = binary.LittleEndian.AppendUint32(e.dict, uint32(len(texts[g])))
		e.dict = append(e.dict, texts[g]...)
	}
	if !k.stats {
		return
	}
	k.least, k.most = texts[d.used[0]], texts[d.used[0]]
	for _, g := range d.used {
		k.least, k.most = min(k.least, texts[g]), max(k.most, texts[g])
	}
}

// lookUp returns the texts of codes of the cells, in e.texts.
func (e *encoder) lookUp(codes []uint32, texts []string) []string {
	e.texts = e.texts[:0]
	for _, g := range codes {
		e.texts = append(e.texts, texts[g])
	}
	return e.texts
}

// encodePlainText encodes text without a dictionary.
func (e *encoder) encodePlainText(s *columnSpec, c *cells, from int, k *chunk) {
	for at := 0; at < k.rows; at += column.PageRows {
		rows := min(column.PageRows, k.rows-at)
		lo, hi := from+at, from+at+rows
		n, present := e.beginPage(s, c, lo, rows)
		p := pageEntry{values: n, plain: true}
		switch {
		case c.pieces != nil:
			e.encodePieces(k, p, c, lo, rows, present)
		case c.texts != nil:
			e.encodeTexts(k, p, presentValues(&e.texts, c.texts[lo:hi], present, n))
		default:
			e.codes = appendPresent(e.codes[:0], c.codes[lo:hi], present, n)
			e.encodeTexts(k, p, e.lookUp(e.codes, c.dict.list))
		}
	}
}

// encodeTexts ends a page with texts: their lengths, then their bytes.
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

// encodePieces ends a page with the overflow of rows [at, at+rows) of the cells, each row's pieces
// as one text.
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
