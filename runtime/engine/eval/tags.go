package eval

import (
	"context"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Tags lists the names of attributes. If every span of a page counts, the table's list of columns
// tells the names; otherwise columns are read until each name is found on some span that counts.
func Tags(ctx context.Context, t Fetcher, r *TagsRequest) (TagNames, error) {
	out := TagNames{}
	if t.Rows() == 0 {
		return out, nil
	}
	l, err := newLookup(ctx, t, r.Query, r.Start, r.End)
	if err != nil || l.scan.selector.selectsNothing() {
		return out, err
	}
	n := &namer{lookup: l, out: out}
	n.addColumns(l.view.spans, column.Resource, column.Span, column.Instrumentation)
	if k := l.view.events; k != nil {
		n.addColumns(k.frame, column.Event)
	}
	if k := l.view.links; k != nil {
		n.addColumns(k.frame, column.Link)
	}
	if err := n.addKnownNames(ctx); err != nil {
		return nil, err
	}
	for p := range l.view.pageCount() {
		if len(n.openColumns)+len(n.openOverflows) == 0 {
			break
		}
		rows, err := l.selectRows(ctx, p)
		if err != nil {
			return nil, err
		}
		if rows == nil || rows.Empty() {
			continue
		}
		if err := n.lookAtPage(ctx, rows); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// namer finds the names of the attributes that spans have. It goes through the pages as long as
// there are columns of which it is not known whether a span that counts has a value.
type namer struct {
	*lookup
	out           TagNames
	openColumns   []*pageColumn   // not yet found to have a value
	openOverflows []*openOverflow // not yet found to have all of their names
}

// openOverflow is an overflow column with the names that are still to be found.
type openOverflow struct {
	*pageColumn
	scope  column.Scope
	unseen map[string]struct{} // nil: it is not known which names there are
}

// addColumns adds the columns of a frame, and the overflow columns of scopes, as open.
func (n *namer) addColumns(f *frame, scopes ...column.Scope) {
	for _, k := range f.columns.Keys() {
		if k.Scope != column.Intrinsic {
			n.openColumns = append(n.openColumns, f.column(k))
		}
	}
	for _, s := range scopes {
		k := column.OverflowOf(s)
		if f.isEmpty(k) {
			continue
		}
		o := &openOverflow{pageColumn: f.column(k), scope: s}
		if f.directory != nil {
			if keys, ok := f.directory.OverflowKeys(s); ok {
				o.unseen = map[string]struct{}{}
				for _, k := range keys {
					o.unseen[k.Name] = struct{}{}
				}
			}
		}
		n.openOverflows = append(n.openOverflows, o)
	}
}

// addName adds a name to the result.
func (n *namer) addName(s column.Scope, name string) {
	names := n.out[s.String()]
	if names == nil {
		names = map[string]struct{}{}
		n.out[s.String()] = names
	}
	if _, ok := names[name]; !ok {
		names[strings.Clone(name)] = struct{}{}
	}
}

// addKnownNames adds the names that the table knows without reading, of pages of which every span
// counts, and closes their columns.
func (n *namer) addKnownNames(ctx context.Context) error {
	if !n.all {
		return nil
	}
	whole := make([]bool, n.view.pageCount())
	every := true
	for p := range whole {
		whole[p] = n.takesWhole(p)
		every = every && whole[p]
	}
	n.openColumns = slices.DeleteFunc(n.openColumns, func(h *pageColumn) bool {
		for p := range column.Pages(h.frame.columns.Rows()) {
			if c, ok := h.frame.countValues(h.key, p); ok && c > 0 && n.takesWholePageOf(h.frame, p, whole) {
				n.addName(h.key.Scope, h.key.Name)
				return true
			}
		}
		return h.frame.isEmpty(h.key)
	})
	if every {
		n.openOverflows = slices.DeleteFunc(n.openOverflows, func(o *openOverflow) bool {
			for name := range o.unseen {
				n.addName(o.scope, name)
			}
			return o.unseen != nil
		})
	}
	return ctx.Err()
}

// takesWholePageOf reports whether every row of a page of a frame counts. whole tells of which
// pages of the span table every row does.
func (n *namer) takesWholePageOf(f *frame, page int, whole []bool) bool {
	if f == n.view.spans {
		return whole[page]
	}
	lo, hi, ok := f.hint.Bounds(column.RowRef, page)
	if !ok {
		return false
	}
	for p := lo / column.PageRows; p <= hi/column.PageRows; p++ {
		if p < 0 || int(p) >= len(whole) || !whole[p] {
			return false
		}
	}
	return true
}

// lookAtPage looks for names on rows of the current page, their events and their links.
func (n *namer) lookAtPage(ctx context.Context, rows column.Bitmap) error {
	if err := n.lookAtFrame(ctx, n.view.spans, rows); err != nil {
		return err
	}
	for _, k := range []*children{n.view.events, n.view.links} {
		if k == nil {
			continue
		}
		all := &childCond{kids: k, cond: constCond{truth: true, boolean: true}}
		err := all.eachMatchingPage(ctx, rows, func(hits column.Bitmap, _ []int64) error {
			return n.lookAtFrame(ctx, k.frame, hits)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lookAtFrame looks for open columns of one frame that have a value on rows of its page.
func (n *namer) lookAtFrame(ctx context.Context, f *frame, rows column.Bitmap) (err error) {
	n.openColumns = slices.DeleteFunc(n.openColumns, func(h *pageColumn) bool {
		if h.frame != f || err != nil {
			return false
		}
		if c, ok := f.countValues(h.key, f.page); ok && c == 0 {
			return false
		}
		var v *column.Vector
		if v, err = h.loadPage(ctx); err != nil || !hasValueIn(v, rows) {
			return false
		}
		n.addName(h.key.Scope, h.key.Name)
		return true
	})
	for _, o := range n.openOverflows {
		if o.frame != f || err != nil {
			continue
		}
		err = n.lookAtOverflow(ctx, o, rows)
	}
	n.openOverflows = slices.DeleteFunc(n.openOverflows, func(o *openOverflow) bool {
		return o.unseen != nil && len(o.unseen) == 0
	})
	return err
}

// lookAtOverflow adds the names in an overflow column on rows of its frame's page.
func (n *namer) lookAtOverflow(ctx context.Context, o *openOverflow, rows column.Bitmap) error {
	if c, ok := o.frame.countValues(o.key, o.frame.page); ok && c == 0 {
		return nil
	}
	v, err := o.loadPage(ctx)
	if err != nil {
		return err
	}
	i := -1
	return eachPresentRow(v, func(row int) error {
		if i++; !rows.Get(row) {
			return nil
		}
		return eachOverflowAttribute(v.Text(i), func(name []byte, _ column.Type, _ value) {
			n.addName(o.scope, string(name))
			delete(o.unseen, string(name))
		})
	})
}

// hasValueIn reports whether some of the rows have a value.
func hasValueIn(v *column.Vector, rows column.Bitmap) bool {
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
