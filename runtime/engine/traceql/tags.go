package traceql

import (
	"context"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// lookup goes through the spans of a table that start in a range and satisfy a filter.
type lookup struct {
	*scan
	start, end uint64
	all        bool // no filter
	sel        column.Bitmap
}

func newLookup(ctx context.Context, t Fetcher, q *Query, start, end uint64) (*lookup, error) {
	s, err := newTableScan(ctx, t, allTime)
	if err != nil {
		return nil, err
	}
	l := &lookup{scan: s, start: start, end: end, all: q == nil}
	if q != nil {
		p, err := selection(q)
		if err != nil {
			return nil, err
		}
		return l, s.compile(p)
	}
	return l, nil
}

// sealed says that the table lists only columns, and in dictionaries only values, that some row has.
func (l *lookup) sealed() bool { return l.t.TimeOrdered() }

// whole says that every span of the table is looked at, without reading any.
func (l *lookup) whole() bool {
	if !l.all {
		return false
	}
	if l.start == 0 && l.end == allTime.end {
		return true
	}
	for p := range l.pages() {
		if l.hint == nil {
			return false
		}
		lo, hi, ok := l.hint.Bounds(column.Start, p)
		if !ok || lo < 0 || uint64(lo) < l.start || uint64(hi) >= l.end {
			return false
		}
	}
	return true
}

// pick goes to a page and returns its rows that are looked at.
func (l *lookup) pick(ctx context.Context, page int) (column.Bitmap, error) {
	if l.hint != nil {
		if lo, hi, ok := l.hint.Bounds(column.Start, page); ok && lo >= 0 && (uint64(lo) >= l.end || uint64(hi) < l.start) {
			return nil, nil
		}
	}
	rows, err := l.rows(ctx, page)
	if err != nil || rows.Empty() {
		return rows, err
	}
	v, err := l.scan.start.full(ctx)
	if err != nil {
		return nil, err
	}
	l.sel = l.sel.Resize(l.spans.rows)
	inRange(v.Ints, l.start, l.end, l.sel)
	l.sel.And(rows)
	return l.sel, nil
}

// inRange sets the rows whose start lies in [start, end).
func inRange(starts []int64, start, end uint64, out column.Bitmap) {
	width := end - start
	if end <= start {
		return
	}
	for w := range out {
		part := starts[w<<6 : min(len(starts), w<<6+64)]
		var x uint64
		for i, n := range part {
			x |= bit(uint64(n)-start < width) << i
		}
		out[w] = x
	}
}

// Tags lists attribute names: from the lists of columns where all spans of the table count, else from the columns of those that do.
func Tags(ctx context.Context, t Fetcher, r *TagsRequest) (TagNames, error) {
	out := TagNames{}
	if t.Rows() == 0 {
		return out, nil
	}
	l, err := newLookup(ctx, t, r.Query, r.Start, r.End)
	if err != nil || l.never() {
		return out, err
	}
	n := &namer{lookup: l, out: out}
	n.add(l.spans, column.Resource, column.Span, column.Instrumentation)
	if l.events != nil {
		n.add(l.events.f, column.Event)
	}
	if l.links != nil {
		n.add(l.links.f, column.Link)
	}
	if l.whole() && l.sealed() {
		for _, o := range n.open {
			n.found(o.key.Scope, o.key.Name)
		}
		n.open = nil
		if done := n.directory(); done {
			return out, nil
		}
	}
	for p := range l.pages() {
		rows, err := l.pick(ctx, p)
		if err != nil {
			return nil, err
		}
		if rows == nil || rows.Empty() {
			continue
		}
		if err := n.page(ctx, rows); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// namer finds the names of attributes that spans have.
type namer struct {
	*lookup
	out  TagNames
	open []*held // columns of names not yet found
	over []*held // overflow columns
	of   map[*held]column.Scope
}

func (n *namer) add(f *frame, scopes ...column.Scope) {
	if n.of == nil {
		n.of = map[*held]column.Scope{}
	}
	for _, k := range f.c.Keys() {
		if k.Scope != column.Intrinsic {
			n.open = append(n.open, f.column(k))
		}
	}
	for _, s := range scopes {
		if f.dir != nil {
			if keys, ok := f.dir.OverflowKeys(s); ok && len(keys) == 0 {
				continue
			}
		}
		h := f.column(overflowKey(s))
		n.over = append(n.over, h)
		n.of[h] = s
	}
}

func (n *namer) found(s column.Scope, name string) {
	names := n.out[s.String()]
	if names == nil {
		names = map[string]struct{}{}
		n.out[s.String()] = names
	}
	names[strings.Clone(name)] = struct{}{}
}

// directory adds the names in overflow columns, if these are known.
func (n *namer) directory() bool {
	rest := n.over[:0]
	for _, h := range n.over {
		keys, ok := []column.Key(nil), false
		if h.f.dir != nil {
			keys, ok = h.f.dir.OverflowKeys(n.of[h])
		}
		if !ok {
			rest = append(rest, h)
		}
		for _, k := range keys {
			n.found(k.Scope, k.Name)
		}
	}
	n.over = rest
	return len(rest) == 0
}

// page looks at rows of the current page.
func (n *namer) page(ctx context.Context, rows column.Bitmap) error {
	if err := n.look(ctx, n.spans, rows); err != nil {
		return err
	}
	for _, k := range []*children{n.events, n.links} {
		if k == nil {
			continue
		}
		all := &childCond{kids: k, in: constCond{truth: true, boolish: true}}
		if err := all.each(ctx, rows, func(hits column.Bitmap, _ []int64) error { return n.look(ctx, k.f, hits) }); err != nil {
			return err
		}
	}
	return nil
}

// look looks for columns of one frame that have a value in rows of its page.
func (n *namer) look(ctx context.Context, f *frame, rows column.Bitmap) error {
	rest := n.open[:0]
	var failed error
	for _, h := range n.open {
		if h.f == f && failed == nil {
			v, err := h.vector(ctx)
			failed = err
			if err == nil && touches(v, rows) {
				n.found(h.key.Scope, h.key.Name)
				continue
			}
		}
		rest = append(rest, h)
	}
	n.open = rest
	for _, h := range n.over {
		if h.f != f || failed != nil {
			continue
		}
		v, err := h.vector(ctx)
		if err != nil {
			return err
		}
		i := 0
		failed = eachPresent(v, func(row int) error {
			i++
			if !rows.Get(row) {
				return nil
			}
			return eachOverflowing(v.Text(i-1), func(name []byte, _ column.Type, _ value) { n.found(n.of[h], string(name)) })
		})
	}
	return failed
}

// touches says whether some of rows has a value.
func touches(v *column.Vector, rows column.Bitmap) bool {
	if v.N == 0 {
		return false
	}
	if v.Present == nil {
		return !rows.Empty()
	}
	for i, w := range v.Present {
		if w&rows[i] != 0 {
			return true
		}
	}
	return false
}

// Merge adds the names of another home. It does not change o.
func (n TagNames) Merge(o TagNames) {
	for scope, names := range o {
		into := n[scope]
		if into == nil {
			into = make(map[string]struct{}, len(names))
			n[scope] = into
		}
		for name := range names {
			into[name] = struct{}{}
		}
	}
}
