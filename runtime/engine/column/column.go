// Package column declares the typed columns that live segments and blocks share, so that one engine
// answers over both.
//
// A Table has one row per span. Its columns are flat and typed: fixed ones (the variables of this
// file), and one per attribute scope, name and type. Events and links are child tables whose rows
// name the span row they belong to.
package column

import (
	"cmp"
	"context"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Scope says what a column describes.
type Scope uint8

// Fixed columns have the scope Intrinsic in every table; attribute columns have the scope of their
// attributes.
const (
	Intrinsic Scope = iota
	Resource
	Span
	Instrumentation
	Event
	Link
)

func (s Scope) String() string {
	switch s {
	case Intrinsic:
		return "intrinsic"
	case Resource:
		return "resource"
	case Span:
		return "span"
	case Instrumentation:
		return "instrumentation"
	case Event:
		return "event"
	case Link:
		return "link"
	}
	return "unknown"
}

// Type is the type of a column's values. One attribute name with values of two types is two
// columns.
type Type uint8

// Any holds what the others cannot: arrays, maps and empty values, as their canonical AnyValue
// message (trace.AppendValue; no bytes for the empty value).
const (
	String Type = iota
	Int
	Float
	Bool
	Bytes
	Any
)

func (t Type) String() string {
	switch t {
	case String:
		return "string"
	case Int:
		return "int"
	case Float:
		return "float"
	case Bool:
		return "bool"
	case Bytes:
		return "bytes"
	case Any:
		return "any"
	}
	return "unknown"
}

// TypeOf returns the type of the column that holds values of the wire type t.
func TypeOf(t trace.Type) Type {
	switch t {
	case trace.String:
		return String
	case trace.Int:
		return Int
	case trace.Float:
		return Float
	case trace.Bool:
		return Bool
	case trace.Bytes:
		return Bytes
	}
	return Any
}

// Key names a column of a table.
type Key struct {
	Scope Scope
	Name  string
	Type  Type
}

// Compare orders keys by scope, name and type: the order of Columns.Keys.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Scope, o.Scope), strings.Compare(k.Name, o.Name), cmp.Compare(k.Type, o.Type))
}

// Fixed columns of the span table. Every row has a value unless the comment says otherwise. A table
// MAY leave out a column in which no row has a value (Vector then returns ok=false): both mean
// absent.
var (
	// TraceRow is the ordinal of the span's trace in this table.
	TraceRow = Key{Intrinsic, "trace", Int}
	SpanID   = Key{Intrinsic, "span id", Bytes} // 8 bytes
	// ParentID has 8 bytes; absent: the span is a root.
	ParentID = Key{Intrinsic, "parent id", Bytes}
	Start    = Key{Intrinsic, "start", Int} // unix ns, the bits of the uint64 sent
	// Duration is end - start in ns, wrapping: start + duration is the end sent, exactly.
	Duration = Key{Intrinsic, "duration", Int}
	Name     = Key{Intrinsic, "name", String} // may be empty
	Kind     = Key{Intrinsic, "kind", Int}    // 0…5 by OTLP, any int32 possible
	// Status is 0 unset, 1 ok, 2 error by OTLP, any int32 possible.
	Status            = Key{Intrinsic, "status", Int}
	StatusMessage     = Key{Intrinsic, "status message", String}  // absent when none or an empty one was sent
	HasStatus         = Key{Intrinsic, "has status", Bool}        // a status was sent, if only an empty one
	TraceState        = Key{Intrinsic, "trace state", String}     // absent when empty
	Flags             = Key{Intrinsic, "flags", Int}              // absent when 0
	DroppedAttributes = Key{Intrinsic, "dropped attributes", Int} // absent when 0
	DroppedEvents     = Key{Intrinsic, "dropped events", Int}     // absent when 0
	DroppedLinks      = Key{Intrinsic, "dropped links", Int}      // absent when 0
	// ResourceRef is the content of the ResourceSpans without its scopes (trace.Visitor). It is
	// always dictionary coded.
	ResourceRef = Key{Intrinsic, "resource", Bytes}
	// ScopeRef is the content of the ScopeSpans without its spans. It is always dictionary coded.
	ScopeRef = Key{Intrinsic, "scope", Bytes}
	// Group tells apart ResourceSpans of equal content in one table.
	Group = Key{Intrinsic, "group", Int}
	// Shape is the order of the attributes, see AppendShape; absent when the row has none.
	Shape = Key{Intrinsic, "shape", Bytes}
	// Overflow has the span attributes without a column, see AppendKeyValue; absent when none.
	Overflow = Key{Intrinsic, "overflow", Bytes}
	// ResourceOverflow has the resource attributes without a column. It is there for conditions
	// only: ResourceRef holds them too.
	ResourceOverflow = Key{Intrinsic, "resource overflow", Bytes}
	ScopeOverflow    = Key{Intrinsic, "scope overflow", Bytes} // the same of the scope
	// Record is the log offset of the row's record; live tables only.
	Record       = Key{Intrinsic, "record", Int}
	ScopeName    = Key{Intrinsic, "instrumentation:name", String}    // absent when empty
	ScopeVersion = Key{Intrinsic, "instrumentation:version", String} // absent when empty
)

// OverflowOf returns the column that has the attributes of a scope without a column of their own.
func OverflowOf(s Scope) Key {
	switch s {
	case Resource:
		return ResourceOverflow
	case Instrumentation:
		return ScopeOverflow
	}
	return Overflow
}

// Fixed columns of the child tables, beside TraceState, Flags, DroppedAttributes, Shape and
// Overflow.
var (
	// RowRef is the row of the span table. It ascends; rows of one span are in the order sent.
	RowRef          = Key{Intrinsic, "row", Int}
	EventTimeOffset = Key{Intrinsic, "event time offset", Int} // event time - span start in ns, wrapping
	EventName       = Key{Intrinsic, "event name", String}     // may be empty
	LinkTraceID     = Key{Intrinsic, "link trace id", Bytes}   // as sent, any length; absent when empty
	LinkSpanID      = Key{Intrinsic, "link span id", Bytes}    // as sent, any length; absent when empty
)

// PageRows is the number of rows of a page, in every table; the last page of a table may be
// shorter.
const PageRows = 8192

// Pages returns the number of pages of a table of that many rows.
func Pages(rows int) int { return (rows + PageRows - 1) / PageRows }

// Vector holds one page of one column: which rows have a value, and those values densely. Strings,
// bytes and raw values are either dictionary coded (Codes into Dict) or plain (Strings); which of
// the two may change from page to page of one column. A dictionary has no value twice; it may hold
// values that do not occur in the page.
type Vector struct {
	Rows    int    // rows of the page
	Present Bitmap // rows that have a value; nil: all of them
	N       int    // number of rows that have a value

	Codes   []uint32  // dictionary coded String, Bytes
	Dict    []string  // values by code; nil when not dictionary coded
	Strings []string  // String, Bytes, Any without dictionary
	Ints    []int64   // Int; Bool as 0 and 1
	Floats  []float64 // Float

	present Bitmap // memory of Present while that is nil
}

// Reset prepares v for a page of that many rows without any value. The memory of the slices is
// kept, except Dict's, which is never v's own.
func (v *Vector) Reset(rows int) {
	v.Rows, v.N = rows, 0
	v.Dict = nil
	v.Codes, v.Strings = v.Codes[:0], v.Strings[:0]
	v.Ints, v.Floats = v.Ints[:0], v.Floats[:0]
	if v.Present == nil {
		v.Present = v.present
	}
	v.Present = v.Present.Resize(rows)
}

// SetAll makes v a page in which every row has a value.
func (v *Vector) SetAll() {
	if v.Present != nil {
		v.present = v.Present
	}
	v.Present, v.N = nil, v.Rows
}

// Text returns the dense value i of a String, Bytes or Any vector.
func (v *Vector) Text(i int) string {
	if v.Dict != nil {
		return v.Dict[v.Codes[i]]
	}
	return v.Strings[i]
}

// Columns is a set of columns of equal length.
type Columns interface {
	// Rows returns the number of rows.
	Rows() int
	// Keys returns the columns in the order of Key.Compare. The caller must not change it.
	Keys() []Key
	// ShapeKeys returns the attribute key list that the values of Shape index. The caller must not
	// change it. It may be longer than the list of attribute columns, but every entry a shape of
	// this table names is a column of it.
	ShapeKeys() []Key
	// Vector reads rows [page*PageRows, min((page+1)*PageRows, Rows())) of a column into dst;
	// ok=false: no such column, and dst is a page without values. dst's slices are reused and MUST
	// be dst's own memory or memory nobody writes to; Dict and the bytes of strings may be the
	// table's. They are valid until the next call with the same dst, strings until the table is
	// closed.
	Vector(ctx context.Context, k Key, page int, dst *Vector) (ok bool, err error)
}

// TraceInfo describes what a table holds of a trace.
type TraceInfo struct {
	ID          trace.ID
	Start, End  uint64 // unix ns, over all its spans here; a span that ends before it starts ends where it starts
	RootService string // service.name of the root's resource, if it is a string
	RootName    string
	HasRoot     bool // a span without parent is here; of several the last by start, span id and trace.Fragment.Compare
	Spans       int
}

// Table is a span table with its traces and child tables.
type Table interface {
	Columns
	// Traces returns the number of traces; their ordinals are the values of TraceRow. Every trace
	// has at least one row.
	Traces() int
	// TraceID returns the id of trace i. It is cheap.
	TraceID(ctx context.Context, i int) (trace.ID, error)
	// Trace describes trace i.
	Trace(ctx context.Context, i int) (TraceInfo, error)
	// TraceRows appends the rows of trace i, ascending, to dst.
	TraceRows(i int, dst []uint32) []uint32
	// Lookup finds a trace by id.
	Lookup(ctx context.Context, id trace.ID) (i int, ok bool, err error)
	// TimeOrdered reports whether the rows of a trace are contiguous and traces are in the order of
	// their start, as in blocks. Else rows are in the order of arrival, as in live segments.
	TimeOrdered() bool
	// Events and Links return the child tables, nil when there are none.
	Events() Columns
	Links() Columns
}
