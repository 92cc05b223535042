package eval

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// What a span has instead of a parent row.
const (
	root    = -1 // no parent id
	unknown = -2 // the parent is not here, or not to be told from another span
)

// forest holds the trees of a table's traces, each worked out when it is first needed. Rows are the
// table's.
type forest struct {
	view    *tableView
	pages   []*spanPage
	parent  byRow[int32] // row of the parent, root or unknown
	kids    byRow[int32] // number of children
	l, r    byRow[int32] // nested set; 0: not reachable from a root
	built   column.Bitmap
	placed  column.Bitmap
	marks   byRow[uint8] // scratch of structural operators: clean between them
	count   byRow[int32] // as marks
	marked  []uint32     // rows that have marks
	counted []uint32     // rows that have counts
	path    []uint32     // rows on the way up from one
	steps   int          // of all walks
	rows    []uint32
	byID    []byID
	service *attrSource
}

// byRow is a value for each row of a table, zero at first. It takes memory for the pages that are
// touched.
type byRow[T any] [][]T

func (b byRow[T]) at(row uint32) *T {
	p := &b[row/column.PageRows]
	if *p == nil {
		*p = make([]T, column.PageRows)
	}
	return &(*p)[row%column.PageRows]
}

// byID is one span in the order of ids. Of spans that share an id, servers come first, then
// clients.
type byID struct {
	id   uint64
	row  uint32
	rank uint8
}

// Ranks of kinds among spans of one id.
const (
	ofServer = iota
	ofClient
	ofOthers
	afterAll
)

func rankOf(kind uint8) uint8 {
	switch kind {
	case 2:
		return ofServer
	case 3:
		return ofClient
	}
	return ofOthers
}

// spanPage holds the columns that trees need, and those that the order of spans needs once that is
// asked for.
type spanPage struct {
	ids, parents []uint64
	kinds        []uint8
	hasParent    column.Bitmap
	holds        column.Bitmap // rows that exist for the scan; nil: all
	starts       []int64       // nil: not read
	durations    []int64
}

func newForest(v *tableView) *forest {
	n, traces := v.pageCount(), v.table.Traces()
	return &forest{view: v, pages: make([]*spanPage, n), parent: make(byRow[int32], n), kids: make(byRow[int32], n), l: make(byRow[int32], n),
		r: make(byRow[int32], n), marks: make(byRow[uint8], n), count: make(byRow[int32], n), built: column.NewBitmap(traces), placed: column.NewBitmap(traces)}
}

// loadPage returns the columns of a page.
func (t *forest) loadPage(ctx context.Context, n int) (*spanPage, error) {
	if p := t.pages[n]; p != nil {
		return p, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f := t.view.seekBeside(n)
	if err := t.view.budget.takeBytes(f.rows*17+column.PageRows*21, "trees of traces"); err != nil {
		return nil, err
	}
	p := &spanPage{ids: make([]uint64, f.rows), parents: make([]uint64, f.rows), kinds: make([]uint8, f.rows), hasParent: column.NewBitmap(f.rows)}
	v, err := f.column(column.SpanID).loadFull(ctx)
	if err != nil {
		return nil, err
	}
	for i := range p.ids {
		p.ids[i] = idNumber(v.Text(i))
	}
	if v, err = f.column(column.ParentID).loadPage(ctx); err != nil {
		return nil, err
	}
	d := 0
	err = eachPresentRow(v, func(row int) error {
		p.parents[row] = idNumber(v.Text(d))
		p.hasParent.Set(row)
		d++
		return nil
	})
	if err != nil {
		return nil, err
	}
	if v, err = f.column(column.Kind).loadFull(ctx); err != nil {
		return nil, err
	}
	for i, k := range v.Ints {
		if k >= 0 && k < 256 {
			p.kinds[i] = uint8(k)
		}
	}
	t.pages[n] = p
	if !t.view.clipped {
		return p, nil
	}
	if err := t.loadTimes(ctx, n); err != nil {
		return nil, err
	}
	p.holds = column.NewBitmap(f.rows)
	for i := range p.starts {
		if t.view.window.meets(uint64(p.starts[i]), uint64(p.starts[i])+uint64(p.durations[i])) {
			p.holds.Set(i)
		}
	}
	return p, nil
}

// loadTimes reads the times of a page, which was read otherwise.
func (t *forest) loadTimes(ctx context.Context, n int) error {
	p := t.pages[n]
	if p.starts != nil {
		return nil
	}
	f := t.view.seekBeside(n)
	if err := t.view.budget.takeBytes(f.rows*16, "times of spans"); err != nil {
		return err
	}
	v, err := f.column(column.Duration).loadFull(ctx)
	if err != nil {
		return err
	}
	p.durations = slices.Clone(v.Ints)
	if v, err = f.column(column.Start).loadFull(ctx); err != nil {
		return err
	}
	p.starts = slices.Clone(v.Ints)
	return nil
}

// idNumber returns a span id as a number. Ids have 8 bytes.
func idNumber(s string) uint64 {
	var b [8]byte
	copy(b[:], s)
	return binary.BigEndian.Uint64(b[:])
}

// locate returns the page that holds a row, which was read, and the row there.
func (t *forest) locate(row int) (*spanPage, int) {
	return t.pages[row/column.PageRows], row % column.PageRows
}

// existingRows returns the rows of a trace that exist for the scan, ascending, with their pages read, but
// not their times. They are valid until the next call.
func (t *forest) existingRows(ctx context.Context, i int) ([]uint32, error) {
	t.rows = t.view.table.TraceRows(i, t.rows[:0])
	out := t.rows[:0]
	for _, r := range t.rows {
		p, err := t.loadPage(ctx, int(r)/column.PageRows)
		if err != nil {
			return nil, err
		}
		if p.holds == nil || p.holds.Get(int(r)%column.PageRows) {
			out = append(out, r)
		}
	}
	return out, nil
}

// compareSpans is the total order of spans of a trace whose times are read: by start, span id, and
// content. Source: docs/traceql-differences.md.
func (t *forest) compareSpans(ctx context.Context, a, b uint32) (int, error) {
	p, i := t.locate(int(a))
	q, j := t.locate(int(b))
	if c := cmp.Or(cmp.Compare(uint64(p.starts[i]), uint64(q.starts[j])), cmp.Compare(p.ids[i], q.ids[j])); c != 0 || a == b {
		return c, nil
	}
	return t.view.compareContents(ctx, a, b)
}

// loadTimesOf reads the times of rows.
func (t *forest) loadTimesOf(ctx context.Context, rows []uint32) error {
	for _, r := range rows {
		if err := t.loadTimes(ctx, int(r)/column.PageRows); err != nil {
			return err
		}
	}
	return nil
}

// sortSpans puts rows of one trace, whose pages are read, into the order of spans.
func (t *forest) sortSpans(ctx context.Context, rows []uint32) error {
	if err := t.loadTimesOf(ctx, rows); err != nil {
		return err
	}
	first := func(a, b uint32) int {
		p, i := t.locate(int(a))
		q, j := t.locate(int(b))
		return cmp.Or(cmp.Compare(uint64(p.starts[i]), uint64(q.starts[j])), cmp.Compare(p.ids[i], q.ids[j]))
	}
	slices.SortFunc(rows, first)
	return t.view.sortTies(ctx, rows, first)
}

// linkParents finds the parents of a trace's spans.
func (t *forest) linkParents(ctx context.Context, i int) error {
	if t.built.Get(i) {
		return nil
	}
	rows, err := t.existingRows(ctx, i)
	if err != nil {
		return err
	}
	t.byID = t.byID[:0]
	for _, r := range rows {
		p, k := t.locate(int(r))
		t.byID = append(t.byID, byID{p.ids[k], r, rankOf(p.kinds[k])})
	}
	slices.SortFunc(t.byID, func(a, b byID) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.rank, b.rank), cmp.Compare(a.row, b.row))
	})
	for _, r := range rows {
		if err := t.countStep(ctx); err != nil {
			return err
		}
		p, k := t.locate(int(r))
		if !p.hasParent.Get(k) {
			*t.parent.at(r) = root
			continue
		}
		above := t.findParent(p.parents[k], r, p.kinds[k])
		*t.parent.at(r) = above
		if above >= 0 {
			*t.kids.at(uint32(above))++
		}
	}
	t.built.Set(i)
	return nil
}

// findParent returns the parent of a span: the other span with that id; of several the only server, or
// client if the child is a server. However many spans share the id, it looks at two of them.
func (t *forest) findParent(id uint64, child uint32, kind uint8) int32 {
	first := t.searchID(id, ofServer)
	if first == len(t.byID) || t.byID[first].id != id {
		return unknown
	}
	if end := first + 1; end == len(t.byID) || t.byID[end].id != id {
		return t.onlyOther(first, end, child)
	}
	if r := t.onlyOther(first, t.searchID(id, afterAll), child); r >= 0 {
		return r
	}
	servers := t.searchID(id, ofClient)
	if rankOf(kind) == ofServer {
		return t.onlyOther(servers, t.searchID(id, ofOthers), child)
	}
	return t.onlyOther(first, servers, child)
}

// searchID returns where in the order of ids the spans of an id begin that have a rank or a higher one.
func (t *forest) searchID(id uint64, rank uint8) int {
	at, _ := slices.BinarySearchFunc(t.byID, id, func(e byID, id uint64) int {
		return cmp.Or(cmp.Compare(e.id, id), cmp.Compare(int(e.rank), int(rank)), 1)
	})
	return at
}

// onlyOther returns the one span of a range that is not the child itself, unknown where there is none or
// there are several.
func (t *forest) onlyOther(from, to int, child uint32) int32 {
	found := int32(unknown)
	for n := from; n < min(to, from+3); n++ {
		switch r := t.byID[n].row; {
		case r == child:
		case found >= 0:
			return unknown
		default:
			found = int32(r)
		}
	}
	return found
}

// numberSpans numbers the spans of a trace depth first, from the roots, in the order of spans.
func (t *forest) numberSpans(ctx context.Context, i int) error {
	if err := t.linkParents(ctx, i); err != nil {
		return err
	}
	if t.placed.Get(i) {
		return nil
	}
	rows, err := t.existingRows(ctx, i)
	if err != nil {
		return err
	}
	if err := t.sortSpans(ctx, rows); err != nil {
		return err
	}
	// Children of one parent become neighbours, still in order.
	slices.SortStableFunc(rows, func(a, b uint32) int { return cmp.Compare(*t.parent.at(a), *t.parent.at(b)) })
	next := int32(1)
	type step struct{ from, to int } // children still to be numbered
	under := func(parent int32) step {
		from, _ := slices.BinarySearchFunc(rows, parent, func(r uint32, p int32) int { return cmp.Compare(*t.parent.at(r), p) })
		to := from
		for to < len(rows) && *t.parent.at(rows[to]) == parent {
			to++
		}
		return step{from, to}
	}
	stack := []step{under(root)}
	path := []uint32{}
	for len(stack) > 0 {
		if err := t.countStep(ctx); err != nil {
			return err
		}
		top := &stack[len(stack)-1]
		if top.from == top.to {
			stack = stack[:len(stack)-1]
			if n := len(path); n > 0 {
				*t.r.at(path[n-1]) = next
				next++
				path = path[:n-1]
			}
			continue
		}
		r := rows[top.from]
		top.from++
		*t.l.at(r) = next
		next++
		path = append(path, r)
		stack = append(stack, under(int32(r)))
	}
	t.placed.Set(i)
	return nil
}

// describeTrace is Table.Trace over the spans that exist for the scan.
func (t *forest) describeTrace(ctx context.Context, i int) (column.TraceInfo, error) {
	id, err := t.view.table.TraceID(ctx, i)
	if err != nil {
		return column.TraceInfo{}, err
	}
	rows, err := t.existingRows(ctx, i)
	if err != nil {
		return column.TraceInfo{}, err
	}
	if err := t.loadTimesOf(ctx, rows); err != nil {
		return column.TraceInfo{}, err
	}
	info := column.TraceInfo{ID: id, Start: ^uint64(0), Spans: len(rows)}
	last := -1
	for _, r := range rows {
		p, k := t.locate(int(r))
		start := uint64(p.starts[k])
		info.Start = min(info.Start, start)
		info.End = max(info.End, start, start+uint64(p.durations[k]))
		if p.hasParent.Get(k) {
			continue
		}
		if last >= 0 {
			if c, err := t.compareSpans(ctx, r, uint32(last)); err != nil {
				return info, err
			} else if c < 0 {
				continue
			}
		}
		last = int(r)
	}
	if last < 0 {
		return info, nil
	}
	info.HasRoot = true
	f := t.view.seekBeside(last / column.PageRows)
	if t.service == nil {
		t.service = f.attributeSource(column.Resource, "service.name")
	}
	v, err := f.column(column.Name).loadFull(ctx)
	if err != nil {
		return info, err
	}
	info.RootName = v.Text(last % column.PageRows)
	err = t.service.eachValue(ctx, last%column.PageRows, func(v value) {
		if v.kind == stringValue && info.RootService == "" {
			info.RootService = v.str
		}
	})
	return info, err
}

// parentPosition returns the position of the span's parent: -1 for a root, 0 where the span has none itself.
func (t *forest) parentPosition(row uint32) int32 {
	switch p := *t.parent.at(row); {
	case p == root:
		return -1
	case p >= 0 && *t.l.at(row) != 0:
		return *t.l.at(uint32(p))
	}
	return 0
}
