package column

import "context"

// Hinter is a Table that knows something of its values without reading them. Evaluation asks it
// before it reads. ok=false means that the table does not know, and costs nothing.
type Hinter interface {
	// Prefetch fetches, in one wave of large reads, the pages of columns that will be read next.
	// pages nil: all. Implementations MAY leave an error to Vector.
	Prefetch(ctx context.Context, keys []Key, pages []int) error
	// Dict returns the dictionary that the page's codes of a String or Bytes column index, without
	// reading the codes. ok only if the whole page is dictionary coded. Pages that share a
	// dictionary return the same slice. It may hold values that do not occur in the page.
	Dict(ctx context.Context, k Key, page int) (dict []string, ok bool, err error)
	// Bounds returns bounds, both inclusive, of the values of an Int column in the page; the
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

// IDReader is a Table that reads ids as numbers without making texts of them.
type IDReader interface {
	// ReadIDs does what the function of the same name does.
	ReadIDs(ctx context.Context, k Key, page int, ids []uint64, present Bitmap) error
}

// Sifter is a Table, or the Columns of a child table, that looks for numbers without making a
// vector of them.
type Sifter interface {
	// Sift sets in rows, which MUST be empty, the rows of the page for whose value in an Int column
	// holds returns true. It calls holds for each distinct number. ok=false: the page is not stored
	// by its distinct numbers, or they are many; then rows is as it was, and Vector reads the page.
	Sift(ctx context.Context, k Key, page int, holds func(int64) bool, rows Bitmap) (ok bool, err error)
}

// SparseReader is a Table, or the Columns of a child table, that keeps some columns as lists of
// their values, because few rows have one. To read all of such a column page by page costs more
// than its values.
type SparseReader interface {
	// EachSparse calls f with the rows of the table that have a value, ascending, and with their
	// values, as a page of which each row has one: once, or several times with some of them. Both
	// are valid until f returns. ok=false: the table does not keep the column so, or has none; then
	// Vector reads it.
	EachSparse(ctx context.Context, k Key, f func(rows []uint32, values *Vector) error) (ok bool, err error)
}
