package eval

import (
	"cmp"
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// rowsOf returns the rows of all spansets, each once, ascending.
func rowsOf(sets [][]spanset) []uint32 {
	var rows []uint32
	for _, list := range sets {
		for _, set := range list {
			rows = append(rows, set.rows...)
		}
	}
	slices.Sort(rows)
	return slices.Compact(rows)
}

// cutSpansets puts the rows of each spanset into the order of spans and keeps the first n of them;
// 0 keeps all. The sets are those of several traces.
func (v *tableView) cutSpansets(ctx context.Context, sets [][]spanset, n int) error {
	order, err := v.newSpanOrder(ctx, rowsOf(sets))
	if err != nil {
		return err
	}
	for _, list := range sets {
		for i := range list {
			if list[i].rows, err = order.sortSet(ctx, list[i].rows, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// spanOrder puts rows into the order of spans: by start, by span id, and by content. It reads ids
// only if spans start together, and contents only if they share their ids, too.
type spanOrder struct {
	view   *tableView
	rows   []uint32 // ascending
	starts []uint64 // of rows
	ids    []uint64 // of rows; nil: not read
}

// newSpanOrder reads the starts of rows, which ascend.
func (v *tableView) newSpanOrder(ctx context.Context, rows []uint32) (spanOrder, error) {
	o := spanOrder{view: v, rows: rows, starts: make([]uint64, len(rows))}
	err := v.eachPageOf(ctx, rows, func(at int, local []uint32) error {
		starts, err := v.start.loadFull(ctx)
		if err != nil {
			return err
		}
		for i, r := range local {
			o.starts[at+i] = uint64(starts.Ints[r])
		}
		return nil
	})
	return o, err
}

// sortSet sorts a subset of the rows in place and returns the first n of them; 0 returns all.
func (o *spanOrder) sortSet(ctx context.Context, set []uint32, n int) ([]uint32, error) {
	places := make([]int, len(set)) // in o.rows
	for k, r := range set {
		places[k], _ = slices.BinarySearch(o.rows, r)
	}
	slices.SortFunc(places, func(a, b int) int {
		return cmp.Or(cmp.Compare(o.starts[a], o.starts[b]), cmp.Compare(a, b))
	})
	if anyStartTogether(places, o.starts) {
		if o.ids == nil {
			var err error
			if o.ids, err = o.view.readIDs(ctx, o.rows); err != nil {
				return nil, err
			}
		}
		slices.SortFunc(places, func(a, b int) int {
			return cmp.Or(cmp.Compare(o.starts[a], o.starts[b]), cmp.Compare(o.ids[a], o.ids[b]), cmp.Compare(a, b))
		})
	}
	for k, at := range places {
		set[k] = o.rows[at]
	}
	end := len(set)
	if n > 0 && end > n { // only spans that tie with the last one shown can still take its place
		for end = n; end < len(set) && o.compareRows(set[n-1], set[end]) == 0; end++ {
		}
	}
	if o.ids != nil {
		if err := o.view.sortTies(ctx, set[:end], o.compareRows); err != nil {
			return nil, err
		}
	}
	if n > 0 {
		set = set[:min(n, len(set))]
	}
	return set, nil
}

// compareRows orders rows by start and span id. As long as no ids are read no two spans tie.
func (o *spanOrder) compareRows(a, b uint32) int {
	x, _ := slices.BinarySearch(o.rows, a)
	y, _ := slices.BinarySearch(o.rows, b)
	if c := cmp.Compare(o.starts[x], o.starts[y]); c != 0 || o.ids == nil {
		return cmp.Or(c, cmp.Compare(x, y))
	}
	return cmp.Compare(o.ids[x], o.ids[y])
}

// anyStartTogether reports whether neighbours start together.
func anyStartTogether(places []int, starts []uint64) bool {
	for i := 1; i < len(places); i++ {
		if starts[places[i]] == starts[places[i-1]] {
			return true
		}
	}
	return false
}

// readIDs returns the span ids of rows, which ascend, as numbers.
func (v *tableView) readIDs(ctx context.Context, rows []uint32) ([]uint64, error) {
	out := make([]uint64, len(rows))
	err := v.eachPageOf(ctx, rows, func(at int, local []uint32) error {
		ids, err := v.spans.column(column.SpanID).loadFull(ctx)
		if err != nil {
			return err
		}
		for i, r := range local {
			out[at+i] = column.IDNumber(ids.Text(int(r)))
		}
		return nil
	})
	return out, err
}

// compareContents orders two spans of equal start and id by their contents.
func (v *tableView) compareContents(ctx context.Context, a, b uint32) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	x, err := v.readFragment(ctx, a)
	if err != nil {
		return 0, err
	}
	y, err := v.readFragment(ctx, b)
	return x.Compare(&y), err
}

// sortTies sorts rows that first does not tell apart by their contents. The rows are sorted by
// first already. Each span is read once, however many share start and id.
func (v *tableView) sortTies(ctx context.Context, rows []uint32, first func(a, b uint32) int) error {
	for from := 0; from < len(rows); {
		to := from + 1
		for to < len(rows) && first(rows[from], rows[to]) == 0 {
			to++
		}
		if err := v.sortByContent(ctx, rows[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// sortByContent orders spans of equal start and id by their contents.
func (v *tableView) sortByContent(ctx context.Context, rows []uint32) error {
	if len(rows) < 2 {
		return nil
	}
	slices.Sort(rows)
	fs := make([]trace.Fragment, 0, len(rows))
	size := 0
	for chunk := range slices.Chunk(rows, patience) {
		var err error
		before := len(fs)
		if fs, err = column.Fragments(ctx, v.table, chunk, fs); err != nil {
			return err
		}
		n := 0
		for i := range fs[before:] {
			f := &fs[before+i]
			n += len(f.Span) + len(f.Resource) + len(f.Scope) + 96
		}
		if err := v.budget.takeBytes(n, "spans that start together and share an id"); err != nil {
			return err
		}
		size += n
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	defer v.budget.giveBack(size)
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(fs[a].Compare(&fs[b]), cmp.Compare(a, b)) })
	sorted := make([]uint32, len(rows))
	for i, n := range order {
		sorted[i] = rows[n]
	}
	copy(rows, sorted)
	return nil
}
