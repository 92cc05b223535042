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

// cutSpansets puts the rows of each spanset into the order of spans and keeps the first n of them; 0
// keeps all. The sets are those of several traces.
func (v *tableView) cutSpansets(ctx context.Context, sets [][]spanset, n int) error {
	rows := rowsOf(sets)
	starts := make([]uint64, len(rows))
	var ids []uint64 // read only if spans start together
	err := v.eachPageOf(ctx, rows, func(at int, local []uint32) error {
		column, err := v.start.loadFull(ctx)
		if err != nil {
			return err
		}
		for i, r := range local {
			starts[at+i] = uint64(column.Ints[r])
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, list := range sets {
		for i := range list {
			set := list[i].rows
			places := make([]int, len(set)) // in rows
			for k, r := range set {
				places[k], _ = slices.BinarySearch(rows, r)
			}
			slices.SortFunc(places, func(a, b int) int { return cmp.Or(cmp.Compare(starts[a], starts[b]), cmp.Compare(a, b)) })
			if anyStartTogether(places, starts) {
				if ids == nil {
					if ids, err = v.readIDs(ctx, rows); err != nil {
						return err
					}
				}
				slices.SortFunc(places, func(a, b int) int {
					return cmp.Or(cmp.Compare(starts[a], starts[b]), cmp.Compare(ids[a], ids[b]), cmp.Compare(a, b))
				})
			}
			for k, at := range places {
				set[k] = rows[at]
			}
			first := func(a, b uint32) int {
				x, _ := slices.BinarySearch(rows, a)
				y, _ := slices.BinarySearch(rows, b)
				if c := cmp.Compare(starts[x], starts[y]); c != 0 || ids == nil {
					return cmp.Or(c, cmp.Compare(x, y))
				}
				return cmp.Compare(ids[x], ids[y])
			}
			end := len(set)
			if n > 0 && end > n { // what comes after them is not shown
				for end = n; end < len(set) && first(set[n-1], set[end]) == 0; end++ {
				}
			}
			if ids != nil {
				if err := v.sortTies(ctx, set[:end], first); err != nil {
					return err
				}
			}
			if n > 0 {
				set = set[:min(n, len(set))]
			}
			list[i].rows = set
		}
	}
	return nil
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
			out[at+i] = idNumber(ids.Text(int(r)))
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

// sortTies sorts rows that first does not tell apart by their contents. The rows are sorted by first
// already. Each span is read once, however many share start and id.
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
