package block

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Range is a range of bytes of an object, to be filled.
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

// Reads of one wave that are near each other become one.
const (
	fetchGap  = 32 << 10 // bytes between two pages that are read along with them
	fetchMost = 8 << 20  // bytes of one read
	heldMost  = 64 << 20 // fetched bytes that a Reader keeps
)

// held is what a Reader has of one chunk.
type held struct {
	dict  []byte   // stored bytes of the dictionary page, until it is decoded
	pages [][]byte // stored bytes of pages, nil: not fetched
	texts []string // the dictionary
	ints  []int64
	known bool // the dictionary was decoded
	ahead int  // pages of the last read that was not asked for before
}

// want is a page that is needed.
type want struct {
	dir    *directory
	column int
	h      *held
	page   int // -1: the dictionary
	offset int64
	length int
}

// wants appends what is missing of a chunk's pages (nil: all of them) and its dictionary.
func (v *view) wants(list []want, c int, pages []int) []want {
	k := &v.dir.columns[c].chunks[v.group]
	if k.n == 0 {
		return list
	}
	h := v.held(c)
	if pages == nil {
		at := k.offset + int64(k.dict)
		for i := range k.pages {
			list = v.want(list, c, h, i, at)
			at += int64(k.pages[i].length)
		}
	} else {
		at, i := k.offset+int64(k.dict), 0
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
			list = v.want(list, c, h, p, at)
		}
	}
	return list
}

func (v *view) want(list []want, c int, h *held, page int, at int64) []want {
	k := &v.dir.columns[c].chunks[v.group]
	p := &k.pages[page]
	if p.n == 0 {
		return list
	}
	if h.pages[page] == nil {
		list = append(list, want{v.dir, c, h, page, at, p.length})
	}
	if !p.plain && !h.known && h.dict == nil && (len(list) == 0 || list[len(list)-1].h != h || !asked(list, h)) {
		list = append(list, want{v.dir, c, h, -1, k.offset, k.dict})
	}
	return list
}

// asked says whether the dictionary of h is among the last wants.
func asked(list []want, h *held) bool {
	for i := len(list) - 1; i >= 0 && list[i].h == h; i-- {
		if list[i].page < 0 {
			return true
		}
	}
	return false
}

func (v *view) held(c int) *held {
	if v.chunks == nil {
		v.chunks = make([]*held, len(v.dir.columns))
	}
	if v.chunks[c] == nil {
		v.chunks[c] = &held{pages: make([][]byte, len(v.dir.columns[c].chunks[v.group].pages))}
	}
	return v.chunks[c]
}

// fetch reads what is wanted, in one wave.
func (r *Reader) fetch(ctx context.Context, list []want) error {
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, func(a, b want) int {
		return cmp.Or(cmp.Compare(a.dir.object, b.dir.object), cmp.Compare(a.offset, b.offset))
	})
	type span struct{ from, to int } // of list
	var ranges []Range
	var spans []span
	for i := 0; i < len(list); {
		from, end := list[i].offset, list[i].offset+int64(list[i].length)
		j := i + 1
		for ; j < len(list) && list[j].dir == list[i].dir; j++ {
			next := list[j].offset + int64(list[j].length)
			if list[j].offset-end > fetchGap || next-from > fetchMost {
				break
			}
			end = max(end, next)
		}
		ranges = append(ranges, Range{Name: list[i].dir.object, Offset: from, Buf: make([]byte, end-from, end-from+slack)})
		spans = append(spans, span{i, j})
		i = j
	}
	r.stats.Waves++
	r.stats.Reads += len(ranges)
	for i := range ranges {
		r.stats.Bytes += int64(len(ranges[i].Buf))
		r.held += int64(len(ranges[i].Buf))
	}
	if err := readRanges(ctx, r.block.src, ranges); err != nil {
		c := &list[0].dir.columns[list[0].column]
		return fmt.Errorf("read %s of block %s, column %s: %w", list[0].dir.object, r.block.meta.ID, c.name, err)
	}
	if r.held > heldMost {
		r.release(list)
	}
	for n, s := range spans {
		for _, w := range list[s.from:s.to] {
			at := w.offset - ranges[n].Offset
			b := ranges[n].Buf[at : at+int64(w.length)]
			if w.page < 0 {
				w.h.dict = b
			} else {
				w.h.pages[w.page] = b
			}
		}
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

// release forgets fetched pages but those that were just fetched. What was decoded stays valid: it
// has its own memory or keeps theirs.
func (r *Reader) release(fetched []want) {
	keep := map[*held]bool{}
	r.held = 0
	for _, w := range fetched {
		keep[w.h] = true
		r.held += int64(w.length)
	}
	for _, t := range r.tables {
		for _, v := range []*view{&t.view, t.events, t.links} {
			if v == nil {
				continue
			}
			for _, h := range v.chunks {
				if h != nil && !keep[h] {
					h.dict = nil
					clear(h.pages)
				}
			}
		}
	}
}

// load makes sure that a page is here. Pages that nobody prefetched are read with those behind
// them, twice as many each time: some readers want one page, others go on.
func (v *view) load(ctx context.Context, c, page int) (*held, error) {
	h := v.held(c)
	p := &v.dir.columns[c].chunks[v.group].pages[page]
	if h.pages[page] == nil || !p.plain && !h.known && h.dict == nil {
		h.ahead = max(1, 2*h.ahead)
		pages := make([]int, 0, h.ahead)
		for i := page; i < min(page+h.ahead, len(h.pages)); i++ {
			pages = append(pages, i)
		}
		if err := v.reader.fetch(ctx, v.wants(nil, c, pages)); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Prefetch implements column.Hinter.
func (v *view) Prefetch(ctx context.Context, keys []column.Key, pages []int) error {
	var list []want
	for _, k := range keys {
		for _, c := range v.stored(k) {
			list = v.wants(list, c, pages)
		}
	}
	return v.reader.fetch(ctx, list)
}

// stored returns the columns of the object that a column of the table is made of.
func (v *view) stored(k column.Key) []int {
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

// forget drops what was read of columns.
func (v *view) forget(keys ...column.Key) {
	for _, k := range keys {
		for _, c := range v.stored(k) {
			if v.chunks == nil || v.chunks[c] == nil {
				continue
			}
			for _, p := range v.chunks[c].pages {
				v.reader.held -= int64(len(p))
			}
			v.chunks[c] = nil
		}
	}
	v.reader.held = max(v.reader.held, 0)
}
