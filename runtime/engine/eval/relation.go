package eval

// Structural operators relate the spans of two operands, left and right, by their places in the
// tree of the trace. relatedRows answers all five relations with marks on rows: it walks once over
// left and leaves marks, then once over right and looks for them. So an operator takes about as
// many steps as the trace has spans, whatever the shape of the tree and however many spans both
// operands have.
//
// An example, with left = {A, D} and right = {B, C, D}. These are the marks after the walk over
// left with the operator <<, and the rows that each operator finds:
//
//	A  onLeft, hit       >   the parent is onLeft        B, C
//	├── B  hit           >>  an ancestor is onLeft       B, C, D
//	│   └── D  onLeft    <   a child has hit the row     B
//	└── C                <<  the row is hit from below   B
//	                     ~   another child of the parent, which counts them, is onLeft: none
//
// Two of the relations look further than the next row, and need care to stay linear:
//
//   - << marks ancestors as hit. A walk up ends at a row that is hit, because all above it are,
//     too.
//   - >> asks for an ancestor in left. Rows on the way up are marked under (there is one) or free
//     (there is none), so that no later walk passes them again.
//
// A span is not its own ancestor, even where parents form a circle. On a circle each row is above
// every other row: two rows of left on it make all of it related, but one row of left makes only
// the others related. The marks ring and onPath are there for circles alone.
//
// All marks are clean between two operators; clearMarks visits only rows that have some.

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Marks of rows while an operator is evaluated.
const (
	onLeft = 1 << iota // the row is in the left operand
	hit                // with <, a child is in left; with <<, a descendant is
	ring               // see markAncestors
	under              // an ancestor is in left
	free               // no ancestor is in left
	onPath             // the row is on the path that is being walked
)

// relationMarks is the scratch memory of structural operators.
type relationMarks struct {
	marks  byRow[uint8]
	counts byRow[int32] // with ~: number of children in left

	marked  []uint32 // rows that have marks
	counted []uint32 // rows that have counts
	path    []uint32 // rows on the way up from one
}

func newRelationMarks(pages int) relationMarks {
	return relationMarks{marks: make(byRow[uint8], pages), counts: make(byRow[int32], pages)}
}

// addMarks adds marks to a row. clearMarks will remove them.
func (m *relationMarks) addMarks(row uint32, marks uint8) {
	p := m.marks.at(row)
	if *p == 0 {
		m.marked = append(m.marked, row)
	}
	*p |= marks
}

// removeMarks removes marks from a row.
func (m *relationMarks) removeMarks(row uint32, marks uint8) { *m.marks.at(row) &^= marks }

// hasMark reports whether a row has one of the marks.
func (m *relationMarks) hasMark(row uint32, marks uint8) bool { return *m.marks.at(row)&marks != 0 }

// countChild counts a child of a row.
func (m *relationMarks) countChild(row uint32) {
	n := m.counts.at(row)
	if *n == 0 {
		m.counted = append(m.counted, row)
	}
	*n++
}

// clearMarks removes all marks and counts.
func (m *relationMarks) clearMarks() {
	for _, r := range m.marked {
		*m.marks.at(r) = 0
	}
	for _, r := range m.counted {
		*m.counts.at(r) = 0
	}
	m.marked, m.counted = m.marked[:0], m.counted[:0]
}

// relatedRows returns the rows of right that have, with the operator
//
//	>   a parent in left
//	>>  an ancestor in left
//	<   a child in left
//	<<  a descendant in left
//	~   a sibling in left: another span with the same parent, or another root
//
// The parents of the trace must be linked.
func (t *forest) relatedRows(ctx context.Context, op traceql.Op, left, right []uint32) (out []uint32, err error) {
	defer t.relation.clearMarks()
	roots, err := t.markLeft(ctx, op, left)
	if err != nil {
		return nil, err
	}
	for _, r := range right {
		if err := t.countStep(ctx); err != nil {
			return nil, err
		}
		in := false
		switch p := *t.parent.at(r); op {
		case "<", "<<":
			in = t.relation.hasMark(r, hit)
		case ">":
			in = p >= 0 && t.relation.hasMark(uint32(p), onLeft)
		case ">>":
			var known bool
			if in, known = t.lookShortWayUp(r); known {
				break
			}
			if in, err = t.hasAncestorInLeft(ctx, r); err != nil {
				return nil, err
			}
		case "~":
			n := int32(0)
			if p >= 0 {
				n = *t.relation.counts.at(uint32(p))
			} else if p == root {
				n = roots
			}
			in = n > 1 || n == 1 && !t.relation.hasMark(r, onLeft)
		}
		if in {
			out = append(out, r)
		}
	}
	return out, nil
}

// markLeft leaves the marks and counts that an operator needs of its left operand, and returns the
// number of roots in it.
func (t *forest) markLeft(ctx context.Context, op traceql.Op, left []uint32) (roots int32, err error) {
	for _, l := range left {
		if err := t.countStep(ctx); err != nil {
			return 0, err
		}
		t.relation.addMarks(l, onLeft)
		switch p := *t.parent.at(l); {
		case op == "<" && p >= 0:
			t.relation.addMarks(uint32(p), hit)
		case op == "<<":
			if err := t.markAncestors(ctx, l); err != nil {
				return 0, err
			}
		case op == "~" && p >= 0:
			t.relation.countChild(uint32(p))
		case op == "~" && p == root:
			roots++
		}
	}
	return roots, nil
}

// markAncestors marks the ancestors of a row as hit. It stops at a row that is hit already, because
// all above it are hit, too. So all walks of an operator together pass each span about once.
//
// Circles need care. A walk from a row on a circle comes back to that row, which is not hit by
// itself. The walk leaves the mark ring on every row of such a circle, which says: all of them but
// one are hit. The first walk that arrives at a ring from another row finds a second row of left on
// the circle or below it, so it marks the whole circle as hit.
func (t *forest) markAncestors(ctx context.Context, row uint32) error {
	for a := *t.parent.at(row); a >= 0; a = *t.parent.at(uint32(a)) {
		if err := t.countStep(ctx); err != nil {
			return err
		}
		switch {
		case a == int32(row): // all others of the circle are hit
			return t.eachOnCircle(ctx, row, func(r uint32) { t.relation.addMarks(r, ring) })
		case t.relation.hasMark(uint32(a), ring):
			return t.eachOnCircle(ctx, uint32(a), func(r uint32) {
				t.relation.addMarks(r, hit)
				t.relation.removeMarks(r, ring)
			})
		case t.relation.hasMark(uint32(a), hit):
			return nil
		}
		t.relation.addMarks(uint32(a), hit)
	}
	return nil
}

// eachOnCircle calls f for every row of the circle that a row is on.
func (t *forest) eachOnCircle(ctx context.Context, row uint32, f func(uint32)) error {
	for r := row; ; {
		if err := t.countStep(ctx); err != nil {
			return err
		}
		next := uint32(*t.parent.at(r))
		f(r)
		if r = next; r == row {
			return nil
		}
	}
}

// hasAncestorInLeft reports whether a row has an ancestor in left. It marks the rows on its way up
// as under or free, so that all questions together take about as many steps as the trace has spans.
func (t *forest) hasAncestorInLeft(ctx context.Context, row uint32) (bool, error) {
	top, err := t.walkUp(ctx, row)
	if err != nil {
		return false, err
	}
	if t.relation.hasMark(top, onPath) { // the path has come back to top, which is on a circle
		if err := t.decideCircle(ctx, top); err != nil {
			return false, err
		}
	}
	path := t.relation.path
	for i := len(path) - 1; i >= 0; i-- { // from the top down: the row above is decided
		r := path[i]
		t.relation.removeMarks(r, onPath)
		if t.relation.hasMark(r, under|free) {
			continue
		}
		if t.relation.hasMark(uint32(*t.parent.at(r)), onLeft|under) {
			t.relation.addMarks(r, under)
		} else {
			t.relation.addMarks(r, free)
		}
	}
	return t.relation.hasMark(row, under), nil
}

// lookShortWayUp answers what hasAncestorInLeft does if a few steps decide it. Most traces are
// shallow, and a short walk is cheaper without marks.
func (t *forest) lookShortWayUp(row uint32) (in, known bool) {
	const short = 16
	p := *t.parent.at(row)
	for range short {
		if p < 0 || p == int32(row) {
			return false, true
		}
		switch m := *t.relation.marks.at(uint32(p)); {
		case m&(onLeft|under) != 0:
			return true, true
		case m&free != 0:
			return false, true
		}
		p = *t.parent.at(uint32(p))
	}
	return false, false
}

// walkUp walks from a row up to the first one that is decided or on the path already. It notes the
// rows in relation.path, marks them onPath, and returns the row at which it ended. A row without a
// parent is marked free.
func (t *forest) walkUp(ctx context.Context, row uint32) (top uint32, err error) {
	t.relation.path = t.relation.path[:0]
	r := row
	for !t.relation.hasMark(r, under|free|onPath) {
		if err := t.countStep(ctx); err != nil {
			return 0, err
		}
		t.relation.path = append(t.relation.path, r)
		p := *t.parent.at(r)
		if p < 0 {
			t.relation.addMarks(r, free)
			break
		}
		t.relation.addMarks(r, onPath)
		r = uint32(p)
	}
	return r, nil
}

// decideCircle marks the rows of a circle as under or free: a row is under if another row of the
// circle is in left.
func (t *forest) decideCircle(ctx context.Context, row uint32) error {
	n := 0
	err := t.eachOnCircle(ctx, row, func(r uint32) {
		if t.relation.hasMark(r, onLeft) {
			n++
		}
	})
	if err != nil {
		return err
	}
	return t.eachOnCircle(ctx, row, func(r uint32) {
		if n > 1 || n == 1 && !t.relation.hasMark(r, onLeft) {
			t.relation.addMarks(r, under)
		} else {
			t.relation.addMarks(r, free)
		}
	})
}
