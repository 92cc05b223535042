package traceql

// FieldScope says where a field looks.
type FieldScope uint8

// ScopeNone is an attribute of the span or, failing that, of its resource. ScopeIntrinsic fields
// have their canonical name in Field.Name.
const (
	ScopeNone FieldScope = iota
	ScopeIntrinsic
	ScopeSpan
	ScopeResource
	ScopeEvent
	ScopeLink
	ScopeInstrumentation
	ScopeParent
	ScopeParentSpan
	ScopeParentResource
)

// Type is the static type of an expression.
type Type uint8

// Dynamic types are known at run time only: attributes.
const (
	TypeDynamic Type = iota
	TypeNil
	TypeInt
	TypeFloat
	TypeDuration
	TypeString
	TypeBool
	TypeStatus
	TypeKind
)

// Query is a parsed and checked query. It is immutable and prints as a query with the same meaning.
type Query struct {
	Root  Node
	Hints []Hint // of the last with(…)
}

// Node is what a query can be at its root: *Pipeline, *SpansetOp (of sub-pipelines) or a Metric.
type Node interface{ printTo(p *printer) }

// Hint is one name=value of with(…).
type Hint struct {
	Name  string
	Value *Literal
}

// Pipeline is a sequence of stages.
type Pipeline struct{ Stages []Node } // Spanset, *GroupBy, *Select, *Coalesce, *ScalarFilter

// Filter is { expr }.
type Filter struct {
	Expr Expr // nil: {}
	Pos  int  // byte offset in the query
}

// SpansetOp combines spansets: *Filter, *SpansetOp or, if sub-pipelines take part, *Pipeline.
type SpansetOp struct {
	Op          Op
	Left, Right Node
	Pos         int
}

// GroupBy is by(expr) in a search.
type GroupBy struct {
	Expr Expr
	Pos  int
}

// Select is select(field, …).
type Select struct{ Fields []*Field }

// Coalesce is coalesce().
type Coalesce struct{}

// ScalarFilter is a comparison of aggregates and constants. Of sub-pipelines that end in an
// aggregate it parses but is never valid.
type ScalarFilter struct {
	Op          Op
	Left, Right Node // *Aggregate, *Arithmetic, *Literal, *Negate, *Pipeline
	Pos         int
}

// Aggregate is count(), or min, max, sum, avg of an expression.
type Aggregate struct {
	Func string
	Expr Expr // nil for count
	Pos  int
}

// Arithmetic is arithmetic on aggregates, constants or metrics.
type Arithmetic struct {
	Op          Op
	Left, Right Node
	Pos         int
}

// Negate is a negated constant outside of braces.
type Negate struct{ Of Node }

// Metrics is a pipeline with a metrics function.
type Metrics struct {
	Pipeline  *Pipeline
	Func      string
	Field     *Field     // of the …_over_time functions with an argument
	Quantiles []*Literal // of quantile_over_time
	By        []*Field
	Compare   *Compare
	Pos       int
}

// Compare is the arguments of compare().
type Compare struct {
	Selection  *Filter
	Args       int // how many of the following were given: 0, 1, 3
	Top        int64
	Start, End int64 // unix ns
}

// Second applies a second stage to metrics.
type Second struct {
	Of    Node // *Metrics, *Arithmetic, *Second
	Func  string
	Limit int64 // of topk, bottomk
	Op    Op    // when Func is empty: samples are compared with
	Value Node  // this constant
	Pos   int
}

// Expr is an expression inside braces.
type Expr interface {
	Node
	bytePos() int
}

// Binary is a binary operation; a nil test has a Literal of TypeNil.
type Binary struct {
	Op          Op
	Left, Right Expr
	Pos         int // of the operator
}

// Unary is - or !.
type Unary struct {
	Op  Op
	Of  Expr
	Pos int
}

// Field refers to an attribute or an intrinsic.
type Field struct {
	Scope FieldScope
	Name  string
	Pos   int
}

// Literal is a constant. Exactly one value field is meaningful, by type.
type Literal struct {
	Type  Type
	Str   string // TypeString; TypeStatus and TypeKind: the word
	Int   int64  // TypeInt; TypeDuration: ns; TypeBool: 0 or 1
	Float float64
	Pos   int
}

func (e *Binary) bytePos() int  { return e.Pos }
func (e *Unary) bytePos() int   { return e.Pos }
func (e *Field) bytePos() int   { return e.Pos }
func (e *Literal) bytePos() int { return e.Pos }

// Hint returns the value of a hint; with several of that name the last.
func (q *Query) Hint(name string) (*Literal, bool) {
	for i := len(q.Hints) - 1; i >= 0; i-- {
		if q.Hints[i].Name == name {
			return q.Hints[i].Value, true
		}
	}
	return nil, false
}

// IsMetrics says whether the query yields series.
func (q *Query) IsMetrics() bool {
	switch q.Root.(type) {
	case *Metrics, *Arithmetic, *Second:
		return true
	}
	return false
}

// IntrinsicType returns the static type of an intrinsic by its canonical name.
func IntrinsicType(name string) Type {
	switch name {
	case "duration", "traceDuration", "event:timeSinceStart":
		return TypeDuration
	case "status":
		return TypeStatus
	case "kind":
		return TypeKind
	case "span:childCount", "nestedSetLeft", "nestedSetRight", "nestedSetParent":
		return TypeInt
	case "parent":
		return TypeNil
	case "instrumentation:name", "instrumentation:version":
		return TypeDynamic
	}
	return TypeString
}

// canonicalIntrinsic returns the canonical name of a bare word, "" if it is none.
func canonicalIntrinsic(word string) string {
	switch word {
	case "duration", "name", "status", "statusMessage", "kind", "parent", "rootName", "rootServiceName", "traceDuration",
		"nestedSetLeft", "nestedSetRight", "nestedSetParent":
		return word
	}
	return ""
}

// scopedIntrinsic returns the canonical name of scope:word, "" if it is none.
func scopedIntrinsic(scope, word string) string {
	switch s := scope + ":" + word; s {
	case "span:name", "span:duration", "span:status", "span:statusMessage", "span:kind":
		return word
	case "trace:duration":
		return "traceDuration"
	case "trace:rootName":
		return "rootName"
	case "trace:rootService":
		return "rootServiceName"
	case "trace:id", "resource:id", "span:id", "span:parentID", "span:childCount", "event:name", "event:timeSinceStart", "link:traceID", "link:spanID",
		"instrumentation:name", "instrumentation:version":
		return s
	}
	return ""
}

// Names of status and kind by their OTLP number.
func StatusNumber(word string) (int64, bool) {
	switch word {
	case "unset":
		return 0, true
	case "ok":
		return 1, true
	case "error":
		return 2, true
	}
	return 0, false
}

func StatusName(n int64) string {
	switch n {
	case 0:
		return "unset"
	case 1:
		return "ok"
	case 2:
		return "error"
	}
	return "unknown"
}

func KindNumber(word string) (int64, bool) {
	switch word {
	case "unspecified":
		return 0, true
	case "internal":
		return 1, true
	case "server":
		return 2, true
	case "client":
		return 3, true
	case "producer":
		return 4, true
	case "consumer":
		return 5, true
	}
	return 0, false
}

func KindName(n int64) string {
	switch n {
	case 0:
		return "unspecified"
	case 1:
		return "internal"
	case 2:
		return "server"
	case 3:
		return "client"
	case 4:
		return "producer"
	case 5:
		return "consumer"
	}
	return "unknown"
}

// isKeyword says whether a word is reserved.
func isKeyword(w string) bool {
	if canonicalIntrinsic(w) != "" {
		return true
	}
	if _, ok := StatusNumber(w); ok {
		return true
	}
	if _, ok := KindNumber(w); ok {
		return true
	}
	switch w {
	case "true", "false", "nil", "id", "traceID", "spanID", "parentID", "childCount", "timeSinceStart", "version", "rootService",
		"count", "avg", "max", "min", "sum", "by", "coalesce", "select", "rate", "count_over_time", "min_over_time", "max_over_time",
		"avg_over_time", "sum_over_time", "quantile_over_time", "histogram_over_time", "compare", "topk", "bottomk", "with":
		return true
	}
	return false
}
