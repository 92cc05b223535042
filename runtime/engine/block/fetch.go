package block

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Range is a range of bytes of an object, to be read into Buf.
type Range struct {
	Name   string
	Offset int64
	Buf    []byte
}

// BatchSource is a Source that reads the ranges of one wave at the same time. Errors are those of
// ReadRange.
type BatchSource interface {
	Source
	ReadRanges(ctx context.Context, ranges []Range) error
}

// Pages that are read in one wave and lie near each other are read as one range.
const (
	fetchGap = 32 << 10 // bytes between two pages that are read along with them
	maxFetch = 8 << 20  // bytes of one range
)

// maxKept is how many fetched bytes a Reader keeps.
const maxKept = 64 << 20

// fetchedChunk is what a Reader has of one chunk.
type fetchedChunk struct {
	dict    []byte   // the dictionary page as stored, until it is decoded
	pages   [][]byte // the pages as stored, nil: not fetched
	texts   []string // the dictionary, by kind of the column
	ints    []int64
	decoded bool // the dictionary is
	ahead   int  // how many pages loadPage fetched when it last had to
}

// pageRequest is a page that is to be fetched.
type pageRequest struct {
	dir    *directory
	column int
	chunk  *fetchedChunk
	page   int // -1: the dictionary
	offset int64
	length int
}

// requestPages appends requests for what is not here yet of a column's pages, nil meaning all, and
// for its dictionary if they need it.
func (v *groupTable) requestPages(list []pageRequest, c int, pages []int) []pageRequest {
	k := &v.dir.columns[c].chunks[v.group]
	if k.values == 0 {
		return list
	}
	h := v.chunkOf(c)
	if pages == nil {
		at := k.offset + int64(k.dict)
		for i := range k.pages {
			list = v.requestPage(list, c, h, i, at)
			at += int64(k.pages[i].length)
		}
		return list
	}
	at, i := k.offset+int64(k.dict), 0 // page i begins at at
	for _, p := range pages {
		if p < 0 || p >= len(k.pages) {
			continue
		}
		if p < i {
			at, i = k.offset+int64(k.dict), 0
		}
		for ; i < p; i++ {
			at += int64(k.pages[i].length)
		}
		list = v.requestPage(list, c, h, p, at)
	}
	return list
}

// requestPage appends a request for a page, which begins at at, and one for its dictionary.
func (v *groupTable) requestPage(list []pageRequest, c int, h *fetchedChunk, page int, at int64) []pageRequest {
	k := &v.dir.columns[c].chunks[v.group]
	p := &k.pages[page]
	if p.values == 0 {
		return list
	}
	if h.pages[page] == nil {
		list = append(list, pageRequest{v.dir, c, h, page, at, p.length})
	}
	if !p.plain && !h.decoded && h.dict == nil && !dictionaryRequested(list, h) {
		list = append(list, pageRequest{v.dir, c, h, -1, k.offset, k.dict})
	}
	return list
}

// dictionaryRequested reports whether the dictionary of h is among the last requests, which are
// those of h.
func dictionaryRequested(list []pageRequest, h *fetchedChunk) bool {
	for i := len(list) - 1; i >= 0 && list[i].chunk == h; i-- {
		if list[i].page < 0 {
			return true
		}
	}
	return false
}

// chunkOf returns what the Reader has of a column's chunk.
func (v *groupTable) chunkOf(c int) *fetchedChunk {
	if v.chunks == nil {
		v.chunks = make([]*fetchedChunk, len(v.dir.columns))
	}
	if v.chunks[c] == nil {
		v.chunks[c] = &fetchedChunk{pages: make([][]byte, len(v.dir.columns[c].chunks[v.group].pages))}
	}
	return v.chunks[c]
}

// joinRequests sorts the requests and joins those that lie near each other into ranges. Range i is
// that of the requests up to ends[i], where range i+1 begins. ends is appended to the slice given.
func joinRequests(list []pageRequest, ends []int) ([]Range, []int) {
	slices.SortFunc(list, func(a, b pageRequest) int {
		return cmp.Or(cmp.Compare(a.dir.object, b.dir.object), cmp.Compare(a.offset, b.offset))
	})
	var ranges []Range
	for i := 0; i < len(list); {
		from, end := list[i].offset, list[i].offset+int64(list[i].length)
		j := i + 1
		for ; j < len(list) && list[j].dir == list[i].dir; j++ {
			next := list[j].offset + int64(list[j].length)
			if list[j].offset-end > fetchGap || next-from > maxFetch {
				break
			}
			end = max(end, next)
		}
		buf := make([]byte, end-from, end-from+slack)
		ranges = append(ranges, Range{Name: list[i].dir.object, Offset: from, Buf: buf})
		ends = append(ends, j)
		i = j
	}
	return ranges, ends
}

// fetchPages reads what is requested, in one wave.
func (r *Reader) fetchPages(ctx context.Context, list []pageRequest) error {
	if len(list) == 0 {
		return nil
	}
	var few [4]int // on the stack: mostly one range is read
	ranges, ends := joinRequests(list, few[:0])
	r.stats.Waves++
	r.stats.Reads += len(ranges)
	for _, x := range ranges {
		r.stats.Bytes += int64(len(x.Buf))
		r.keptBytes += int64(len(x.Buf))
	}
	if err := readRanges(ctx, r.block.src, ranges); err != nil {
		c := &list[0].dir.columns[list[0].column]
		return fmt.Errorf("read %s of block %s, column %s: %w", list[0].dir.object, r.block.meta.ID, c.name, err)
	}
	if r.keptBytes > maxKept {
		r.releasePages(list)
	}
	from := 0
	for i, x := range ranges {
		for _, p := range list[from:ends[i]] {
			at := p.offset - x.Offset
			b := x.Buf[at : at+int64(p.length)]
			if p.page < 0 {
				p.chunk.dict = b
			} else {
				p.chunk.pages[p.page] = b
			}
		}
		from = ends[i]
	}
	return nil
}

func readRanges(ctx context.Context, src Source, ranges []Range) error {
	if b, ok := src.(BatchSource); ok && len(ranges) > 1 {
		return b.ReadRanges(ctx, ranges)
	}
	for _, x := range ranges {
		if err := src.ReadRange(ctx, x.Name, x.Offset, x.Buf); err != nil {
			return err
		}
	}
	return nil
}

// releasePages forgets fetched pages except those of the chunks that were just fetched. What was
// decoded stays valid: it has memory of its own, or keeps that of its page.
func (r *Reader) releasePages(fetched []pageRequest) {
	keep := map[*fetchedChunk]bool{}
	r.keptBytes = 0
	for _, p := range fetched {
		keep[p.chunk] = true
		r.keptBytes += int64(p.length)
	}
	for _, t := range r.tables {
		for _, v := range t.groupTables() {
			for _, h := range v.chunks {
				if h != nil && !keep[h] {
					h.dict = nil
					clear(h.pages)
				}
			}
			if v.sparse != nil {
				clear(v.sparse.read)
			}
		}
	}
}

// loadPage makes sure that a page is here, with its dictionary. A page that nobody prefetched is
// read with those behind it, twice as many each time: some readers want one page, others go on.
func (v *groupTable) loadPage(ctx context.Context, c, page int) (*fetchedChunk, error) {
	h := v.chunkOf(c)
	p := &v.dir.columns[c].chunks[v.group].pages[page]
	if h.pages[page] == nil || !p.plain && !h.decoded && h.dict == nil {
		h.ahead = max(1, 2*h.ahead)
		pages := make([]int, 0, h.ahead)
		for i := page; i < min(page+h.ahead, len(h.pages)); i++ {
			pages = append(pages, i)
		}
		if err := v.reader.fetchPages(ctx, v.requestPages(nil, c, pages)); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Prefetch implements column.Hinter.
func (v *groupTable) Prefetch(ctx context.Context, keys []column.Key, pages []int) error {
	var list []pageRequest
	for _, k := range keys {
		for _, c := range v.storedColumns(k) {
			list = v.requestPages(list, c, pages)
		}
		if n, ok := v.sparse.find(k); ok {
			list = v.sparse.request(list, n)
		}
	}
	return v.reader.fetchPages(ctx, list)
}

// storedColumns returns the columns of the object that a column of the table is made of.
func (v *groupTable) storedColumns(k column.Key) []int {
	out := make([]int, 0, 3)
	add := func(k column.Key) {
		if c, ok := v.dir.byKey[k]; ok {
			out = append(out, c)
		}
	}
	switch k {
	case column.TraceRow, keyTraceID, keyParentDistance:
	case column.ParentID:
		if v.spans {
			add(keyParentDistance)
			add(column.SpanID)
		}
		add(k)
	default:
		add(k)
	}
	return out
}

// forgetColumns implements forgetter.
func (v *groupTable) forgetColumns(keys ...column.Key) {
	for _, k := range keys {
		if n, ok := v.sparse.find(k); ok {
			v.sparse.forget(n)
		}
		for _, c := range v.storedColumns(k) {
			if v.chunks == nil || v.chunks[c] == nil {
				continue
			}
			for _, p := range v.chunks[c].pages {
				v.reader.keptBytes -= int64(len(p))
			}
			v.chunks[c] = nil
		}
	}
	v.reader.keptBytes = max(v.reader.keptBytes, 0)
}
