package block

import (
	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// kind is how the values of a column are stored.
type kind uint8

const (
	kindText  kind = iota // BYTE_ARRAY: dictionary, or DELTA_LENGTH_BYTE_ARRAY
	kindInt               // INT64: dictionary, or DELTA_BINARY_PACKED
	kindFloat             // DOUBLE: PLAIN
	kindBool              // BOOLEAN: PLAIN
	kindID                // FIXED_LEN_BYTE_ARRAY(8): PLAIN, not compressed
	kindTrace             // FIXED_LEN_BYTE_ARRAY(16): dictionary in the order of traces
	kinds
)

// coding says when the chunks of a text column have dictionaries.
type coding uint8

const (
	dictMay    coding = iota // while values repeat and are short
	dictAlways               // even if they do not
	dictNever
	dictByPage // those pages have codes whose values repeat
)

// codec says whether the pages of a column are compressed: all of them, or none.
type codec uint8

const (
	codecOpen codec = iota // not decided yet
	codecZstd
	codecStored
)

// columnSpec describes a column of an object.
type columnSpec struct {
	key      column.Key
	name     string // in Parquet
	kind     kind
	required bool // every row has a value, and pages have no levels
	coding   coding
	time     bool // the ints are unix ns
	codec    codec
}

// Columns of spans.parquet that a table does not have as such. A table's TraceRow and ParentID are
// made of them.
var (
	keyTraceID = column.Key{Scope: column.Intrinsic, Name: "trace id", Type: column.Bytes}
	// the row minus the row of its parent; 0: the parent is not in the block
	keyParentDistance = column.Key{Scope: column.Intrinsic, Name: "parent distance", Type: column.Int}
)

// spanColumns are the fixed columns of spans.parquet, in the order of the footer. Columns in which
// no row has a value are left out.
var spanColumns = []columnSpec{
	{key: keyTraceID, name: "trace_id", kind: kindTrace, required: true}, // its bytes are the last of the object
	{key: column.SpanID, name: "span_id", kind: kindID, required: true},
	{key: keyParentDistance, name: "parent_distance", kind: kindInt, required: true},
	{key: column.ParentID, name: "parent_id", kind: kindID}, // of parents that are not in the block
	{key: column.Start, name: "start", kind: kindInt, required: true, time: true},
	{key: column.Duration, name: "duration", kind: kindInt, required: true},
	{key: column.Name, name: "name", kind: kindText, required: true},
	{key: column.Kind, name: "kind", kind: kindInt, required: true},
	{key: column.Status, name: "status", kind: kindInt, required: true},
	{key: column.StatusMessage, name: "status_message", kind: kindText},
	{key: column.HasStatus, name: "has_status", kind: kindBool, required: true},
	{key: column.TraceState, name: "trace_state", kind: kindText},
	{key: column.Flags, name: "flags", kind: kindInt},
	{key: column.DroppedAttributes, name: "dropped_attributes", kind: kindInt},
	{key: column.DroppedEvents, name: "dropped_events", kind: kindInt},
	{key: column.DroppedLinks, name: "dropped_links", kind: kindInt},
	{key: column.ResourceRef, name: "resource", kind: kindText, required: true, coding: dictAlways},
	{key: column.ScopeRef, name: "scope", kind: kindText, required: true, coding: dictAlways},
	{key: column.Group, name: "group", kind: kindInt, required: true},
	{key: column.ScopeName, name: "scope_name", kind: kindText},
	{key: column.ScopeVersion, name: "scope_version", kind: kindText},
	{key: column.Shape, name: "shape", kind: kindText},
	{key: column.Overflow, name: "overflow", kind: kindText, coding: dictNever},
	{key: column.ResourceOverflow, name: "resource_overflow", kind: kindText},
	{key: column.ScopeOverflow, name: "scope_overflow", kind: kindText},
}

// eventColumns are the fixed columns of events.parquet.
var eventColumns = []columnSpec{
	{key: column.RowRef, name: "row", kind: kindInt, required: true},
	{key: column.EventTimeOffset, name: "time_offset", kind: kindInt, required: true},
	{key: column.EventName, name: "name", kind: kindText, required: true},
	{key: column.DroppedAttributes, name: "dropped_attributes", kind: kindInt},
	{key: column.Shape, name: "shape", kind: kindText},
	{key: column.Overflow, name: "overflow", kind: kindText, coding: dictNever},
}

// linkColumns are the fixed columns of links.parquet.
var linkColumns = []columnSpec{
	{key: column.RowRef, name: "row", kind: kindInt, required: true},
	{key: column.LinkTraceID, name: "trace_id", kind: kindText},
	{key: column.LinkSpanID, name: "span_id", kind: kindText},
	{key: column.TraceState, name: "trace_state", kind: kindText},
	{key: column.Flags, name: "flags", kind: kindInt},
	{key: column.DroppedAttributes, name: "dropped_attributes", kind: kindInt},
	{key: column.Shape, name: "shape", kind: kindText},
	{key: column.Overflow, name: "overflow", kind: kindText, coding: dictNever},
}

// The columns of attributes.parquet that a table has in another form: as one column for each key.
var (
	keyAttributeName  = column.Key{Scope: column.Intrinsic, Name: "attribute key", Type: column.String}
	keyAttributeValue = [...]column.Key{
		column.String: {Scope: column.Intrinsic, Name: "attribute value", Type: column.String},
		column.Int:    {Scope: column.Intrinsic, Name: "attribute value", Type: column.Int},
		column.Float:  {Scope: column.Intrinsic, Name: "attribute value", Type: column.Float},
		column.Bool:   {Scope: column.Intrinsic, Name: "attribute value", Type: column.Bool},
		column.Bytes:  {Scope: column.Intrinsic, Name: "attribute value", Type: column.Bytes},
		column.Any:    {Scope: column.Intrinsic, Name: "attribute value", Type: column.Any},
	}
)

// attributesColumns are the columns of attributes.parquet. Each row has one of the values.
var attributesColumns = []columnSpec{
	{key: column.RowRef, name: "row", kind: kindInt, required: true},
	{key: keyAttributeName, name: "key", kind: kindText, required: true, coding: dictAlways},
	{key: keyAttributeValue[column.String], name: "string", kind: kindText, coding: dictByPage},
	{key: keyAttributeValue[column.Int], name: "int", kind: kindInt},
	{key: keyAttributeValue[column.Float], name: "float", kind: kindFloat},
	{key: keyAttributeValue[column.Bool], name: "bool", kind: kindBool},
	{key: keyAttributeValue[column.Bytes], name: "bytes", kind: kindText, coding: dictByPage},
	{key: keyAttributeValue[column.Any], name: "any", kind: kindText, coding: dictByPage},
}

// attributeSpec describes the column of a promoted attribute, but for its name in Parquet.
func attributeSpec(k column.Key) columnSpec {
	s := columnSpec{key: k}
	switch k.Type {
	case column.Int:
		s.kind = kindInt
	case column.Float:
		s.kind = kindFloat
	case column.Bool:
		s.kind = kindBool
	case column.Any:
		s.coding = dictNever
	}
	return s
}

// isText reports whether the column's values are meant to be UTF-8.
func (s *columnSpec) isText() bool { return s.key.Type == column.String }

// cells are the values of one column for the slots of a band. What stands at a slot without a value
// has no meaning. One of the slices is set: codes, texts or pieces for kindText; ints for kindInt
// and kindBool; floats for kindFloat; ids for kindID.
type cells struct {
	present column.Bitmap // by slot; nil: every row has a value
	codes   []uint32      // numbers of texts in dict
	dict    *interner
	texts   []string
	ints    []int64
	floats  []float64
	ids     []uint64 // the eight bytes as they lie in memory

	// Of the overflow: each slot's value is pieces[first[slot]:first[slot+1]], ranges of buf.
	pieces []piece
	first  []uint32
	buf    []byte
}
