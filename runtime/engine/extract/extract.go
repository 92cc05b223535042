// Package extract takes some columns of some traces out of tables, and joins what several tables
// hold of these traces into one table, which is evaluated like any other.
//
// A trace with several homes is judged as a whole. Each home makes an Extract of it: of the rows of
// the trace only the columns that the query asks for. An Extract is plain data, which can travel.
//
//	home A                        home B                      joined
//	row  trace  start  name       row  trace  start  name     row  trace  start  name
//	 4     7     10    GET         0     7     12    SELECT    0     0     10    GET
//	 5     7     14    GET         1     7     11    GET       1     0     11    GET
//	                                                           2     0     12    SELECT
//	                                                           3     0     14    GET
//
// What is known of the rows of a joined table:
//
//   - Those of a trace are together, in the order of spans: by start, span id and content. So the
//     table does not depend on which home holds which span.
//   - Equal spans of several homes are one row. Only spans that share start and id can be equal, so
//     only of these the contents are asked for (Join returns them first), and compared.
//   - No value is copied before it is read: a row says in which extract it lies, and where.
package extract

import (
	"cmp"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Asked says which columns are taken. Those of the ids, starts and durations of spans are taken in
// any case.
type Asked struct{ Spans, Events, Links Fields }

// Fields are columns of one table. Without any, the rows of a child table are not taken at all.
type Fields struct {
	Fixed      []column.Key // of the scope Intrinsic
	Attributes []Attribute
	All        bool // every attribute of spans, resources and scopes
}

// Attribute is an attribute with values of any types.
type Attribute struct {
	Scope column.Scope
	Name  string
}

// Compare orders attributes by scope and name.
func (a Attribute) Compare(o Attribute) int {
	return cmp.Or(cmp.Compare(a.Scope, o.Scope), strings.Compare(a.Name, o.Name))
}

// Span names the spans of a trace that have an id.
type Span struct {
	Trace uint32 // its place in the list of the traces that were asked for
	ID    int64  // the 8 bytes, as column.IDNumber makes a number of them
}

// Extract is what one table holds of some traces.
type Extract struct {
	Traces    []uint32 // by row: as in Span
	IDs       []int64  // by row: as in Span
	Starts    []int64
	Durations []int64
	Columns   []Column
	Events    Children
	Links     Children
	Contents  []trace.Fragment // by row: the whole spans, where these were asked for
}

// Children are the events or the links of the rows of an extract.
type Children struct {
	Rows    []uint32 // of the spans that they belong to; they ascend
	Columns []Column
}

// Column is a column of an extract, with a place for each row. The ids of parents are numbers here.
type Column struct {
	Key     column.Key
	Present column.Bitmap // of numbers: rows that have one; nil: all
	Ints    []int64
	Floats  []float64
	Codes   []uint32 // of texts: index in Texts + 1; 0: the row has none
	Texts   []string
	Plain   bool // Texts may hold a text twice
}

// bytesPerRow is what a row takes beside its columns, here and in a joined table.
const bytesPerRow = 4 + 3*8 + 2*8

// Size returns about how many bytes of memory the extract takes until it is evaluated.
func (e *Extract) Size() int64 {
	n := int64(len(e.Traces)) * bytesPerRow
	n += int64(len(e.Events.Rows)+len(e.Links.Rows)) * 24
	for _, list := range [][]Column{e.Columns, e.Events.Columns, e.Links.Columns} {
		for i := range list {
			c := &list[i]
			n += int64(len(c.Present)+len(c.Ints)+len(c.Floats))*8 + int64(len(c.Codes))*4 + int64(len(c.Texts))*16
			for _, s := range c.Texts {
				n += int64(len(s))
			}
		}
	}
	for i := range e.Contents {
		n += int64(len(e.Contents[i].Span)) + 96
	}
	return n
}
