package column

import "context"

// Hinter is a Table that knows something of its values without reading them. Evaluation asks it
// before it reads; what is not known is said with ok=false and costs nothing.
type Hinter interface {
	// Prefetch says which pages of which columns will be read next, so that they are fetched in one
	// wave of large reads. pages nil: all. An error may also be left to Vector.
	Prefetch(ctx context.Context, keys []Key, pages []int) error
	// Dict returns the dictionary that the page's codes of a String or Bytes column index, without
	// reading the codes. ok only if the whole page is dictionary coded. Pages that share a
	// dictionary return the same slice. It may hold values that do not occur in the page.
	Dict(ctx context.Context, k Key, page int) (dict []string, ok bool, err error)
	// Bounds returns numbers that no value of an Int column in the page is below or above; the
	// nearer, the better.
	Bounds(k Key, page int) (lo, hi int64, ok bool)
	// Count returns the number of rows of the page that have a value in the column.
	Count(k Key, page int) (n int, ok bool)
	// MayHave reports whether a String column may hold the value anywhere in the table; false is
	// certain.
	MayHave(k Key, value string) bool
}

// Directory is a Table, or the Columns of a child table, that knows which attributes lie in an
// overflow column. Evaluation then reads that column only for those. The list MAY hold attributes
// that do not occur.
type Directory interface {
	// OverflowKeys returns the attributes of the scope's overflow column. ok=false: not known. The
	// caller must not change it.
	OverflowKeys(s Scope) (keys []Key, ok bool)
}

// Ordered is a Table that finds the trace of one row without reading a column. Evaluation asks it
// when it needs the traces of few rows.
type Ordered interface {
	// TraceOf returns the ordinal of a row's trace: its value in TraceRow. The row MUST be one of
	// the table.
	TraceOf(row int) int
}

// Sifter is a Table, or the Columns of a child table, that looks for numbers without making a
// vector of them.
type Sifter interface {
	// Sift sets in rows, which must be empty, those of the page whose value in an Int column holds,
	// which is asked of each distinct number. ok=false: the page is not stored by its distinct
	// numbers, or they are many, and rows is as it was; Vector reads it.
	Sift(ctx context.Context, k Key, page int, holds func(int64) bool, rows Bitmap) (ok bool, err error)
}
