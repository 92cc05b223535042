package eval

// A forest holds the trees of a table's traces. It turns the parent ids of spans into rows of the
// table, once for each trace, so that structural operators and the intrinsics of the tree work on
// numbers. Nothing is made for a trace that no one asks about.
//
// Here is a trace in rows 3 to 7 of a table, with everything that the forest knows of it:
//
//	row  id  parent id  kind     parent    kids  left  right
//	  3  A   none       server   root         2     1      8      A
//	  4  B   A          client   3            1     2      5      ├── B
//	  5  C   A          client   3            0     6      7      │   └── D
//	  6  D   B          server   4            0     3      4      └── C
//	  7  E   Z          server   unknown      0     0      0      E, whose parent is not here
//
// linkParents fills parent and kids. numberSpans fills left and right: it goes through the tree
// depth first, children in the order of spans, and counts every time it enters or leaves a span.
// So a span is below another if and only if its numbers lie between those of the other.
//
// These hold for every trace:
//
//   - Parents are found among the spans of the trace that exist for the query (see tableView), and
//     nowhere else.
//   - An id that two spans share does not tell them apart. A client and the server that answers it
//     may share one: a server is then the child of the client, any other span the child of the
//     server. Where that leaves a choice, the parent is unknown.
//   - Parents may form a circle. Spans on a circle, or below one, are not reachable from a root and
//     have no numbers. Every walk up ends all the same.
//   - The order of rows does not matter: equal spans in other rows have the same trees.
//   - The work for a trace grows with the number of its spans, whatever its shape (numberSpans
//     sorts, too), and looks at its context now and then.

import (
	"cmp"
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// What a span has instead of a parent row.
const (
	root    = -1 // it has no parent id
	unknown = -2 // the parent is not here, or cannot be told from another span
)

// forest holds the trees of a table's traces, each worked out when it is first needed. Rows are
// those of the table.
type forest struct {
	spanPages

	parent      byRow[int32] // row of the parent, root or unknown
	kids        byRow[int32] // number of children
	left, right byRow[int32] // nested set; 0: not reachable from a root

	linked   column.Bitmap // traces whose parents are linked
	numbered column.Bitmap // traces whose spans are numbered

	index    spanIndex // scratch: the spans of one trace
	relation relationMarks
	steps    int         // of all walks
	service  *attrSource // of roots; nil: not asked for yet
}

// newForest returns a forest for a view, in which nothing is worked out yet.
func newForest(v *tableView) *forest {
	pages, traces := v.pageCount(), v.table.Traces()
	return &forest{
		spanPages: spanPages{view: v, pages: make([]*spanPage, pages)},
		parent:    make(byRow[int32], pages),
		kids:      make(byRow[int32], pages),
		left:      make(byRow[int32], pages),
		right:     make(byRow[int32], pages),
		linked:    column.NewBitmap(traces),
		numbered:  column.NewBitmap(traces),
		relation:  newRelationMarks(pages),
	}
}

// byRow is a value for each row of a table, zero at first. It takes memory only for pages that were
// touched.
type byRow[T any] [][]T

func (b byRow[T]) at(row uint32) *T {
	p := &b[row/column.PageRows]
	if *p == nil {
		*p = make([]T, column.PageRows)
	}
	return &(*p)[row%column.PageRows]
}

// patience is the number of steps of walks between two looks at the context.
const patience = 1 << 10

// countStep counts one step of a walk. Now and then it looks at the context and returns its error.
func (t *forest) countStep(ctx context.Context) error {
	if t.steps++; t.steps%patience == 0 {
		return ctx.Err()
	}
	return nil
}

// linkParents finds the parents of a trace's spans and counts children.
func (t *forest) linkParents(ctx context.Context, trace int) error {
	if t.linked.Get(trace) {
		return nil
	}
	rows, err := t.existingRows(ctx, trace)
	if err != nil {
		return err
	}
	t.index.clear(len(rows))
	for _, r := range rows {
		p, k := t.locate(r)
		t.index.add(p.ids[k], r, p.kinds[k])
	}
	for _, r := range rows {
		if err := t.countStep(ctx); err != nil {
			return err
		}
		p, k := t.locate(r)
		if !p.hasParent.Get(k) {
			*t.parent.at(r) = root
			continue
		}
		above := t.index.parentOf(p.parents[k], r, p.kinds[k])
		*t.parent.at(r) = above
		if above >= 0 {
			*t.kids.at(uint32(above))++
		}
	}
	t.linked.Set(trace)
	return nil
}

// numberSpans numbers the spans of a trace depth first, from the roots, children in the order of
// spans. Spans that no root reaches keep the number 0.
func (t *forest) numberSpans(ctx context.Context, trace int) error {
	if err := t.linkParents(ctx, trace); err != nil {
		return err
	}
	if t.numbered.Get(trace) {
		return nil
	}
	rows, err := t.existingRows(ctx, trace)
	if err != nil {
		return err
	}
	if err := t.sortSpans(ctx, rows); err != nil {
		return err
	}
	// Children of one parent become neighbours, still in the order of spans.
	slices.SortStableFunc(rows, func(a, b uint32) int { return cmp.Compare(*t.parent.at(a), *t.parent.at(b)) })
	next := int32(1)
	stack := []siblings{t.findSiblings(rows, root)} // the span entered last is the parent of the last
	path := []uint32{}                              // the spans that were entered and not left
	for len(stack) > 0 {
		if err := t.countStep(ctx); err != nil {
			return err
		}
		top := &stack[len(stack)-1]
		if top.from == top.to {
			stack = stack[:len(stack)-1]
			if n := len(path); n > 0 {
				*t.right.at(path[n-1]) = next
				next++
				path = path[:n-1]
			}
			continue
		}
		r := rows[top.from]
		top.from++
		*t.left.at(r) = next
		next++
		path = append(path, r)
		stack = append(stack, t.findSiblings(rows, int32(r)))
	}
	t.numbered.Set(trace)
	return nil
}

// siblings is a range of rows that have one parent and are still to be numbered.
type siblings struct{ from, to int }

// findSiblings returns the children of a parent among rows, which are sorted by parent.
func (t *forest) findSiblings(rows []uint32, parent int32) siblings {
	from, _ := slices.BinarySearchFunc(rows, parent, func(r uint32, p int32) int {
		return cmp.Compare(*t.parent.at(r), p)
	})
	to := from
	for to < len(rows) && *t.parent.at(rows[to]) == parent {
		to++
	}
	return siblings{from, to}
}

// parentPosition returns the left number of the span's parent: -1 for a root, 0 for a span that has
// no number itself.
func (t *forest) parentPosition(row uint32) int32 {
	switch p := *t.parent.at(row); {
	case p == root:
		return -1
	case p >= 0 && *t.left.at(row) != 0:
		return *t.left.at(uint32(p))
	}
	return 0
}

// describeTrace is Table.Trace over the spans that exist for the query. The root is the last span
// without a parent id in the order of spans.
func (t *forest) describeTrace(ctx context.Context, trace int) (column.TraceInfo, error) {
	id, err := t.view.table.TraceID(ctx, trace)
	if err != nil {
		return column.TraceInfo{}, err
	}
	rows, err := t.existingRows(ctx, trace)
	if err != nil {
		return column.TraceInfo{}, err
	}
	if err := t.loadTimesOf(ctx, rows); err != nil {
		return column.TraceInfo{}, err
	}
	info := column.TraceInfo{ID: id, Start: ^uint64(0), Spans: len(rows)}
	last := -1
	for _, r := range rows {
		p, k := t.locate(r)
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
	info.RootName, info.RootService, err = t.describeRoot(ctx, last)
	return info, err
}

// describeRoot returns the name and the service of the span in a row.
func (t *forest) describeRoot(ctx context.Context, row int) (name, service string, err error) {
	f := t.view.seekBeside(row / column.PageRows)
	names, err := f.column(column.Name).loadFull(ctx)
	if err != nil {
		return "", "", err
	}
	name = names.Text(row % column.PageRows)
	service, err = t.serviceOf(ctx, row)
	return name, service, err
}

// serviceOf returns the service of the span in a row.
func (t *forest) serviceOf(ctx context.Context, row int) (service string, err error) {
	f := t.view.seekBeside(row / column.PageRows)
	if t.service == nil {
		t.service = f.attributeSource(column.Resource, "service.name")
	}
	err = t.service.eachValue(ctx, row%column.PageRows, func(v value) {
		if v.kind == stringValue && service == "" {
			service = v.str
		}
	})
	return service, err
}
