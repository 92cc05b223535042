package traceql

// FieldScope tells where the value of a field is found.
type FieldScope uint8

// A field of ScopeNone is an attribute of the span or, where the span has none of that name, of its
// resource. A field of ScopeIntrinsic has its canonical name in Field.Name.
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

// TypeDynamic is the type of attributes, which is known at run time only.
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

// Node is a part of a query. The root of a query is a *Pipeline, a *SpansetOp of sub-pipelines, or,
// of a metrics query, a *Metrics, an *Arithmetic or a *Second.
type Node interface{ printTo(p *printer) }

// Hint is one name=value of with(…).
type Hint struct {
	Name  string
	Value *Literal
}

// Pipeline is a sequence of stages: *Filter, *SpansetOp, *GroupBy, *Select, *Coalesce,
// *ScalarFilter.
type Pipeline struct{ Stages []Node }

// Filter is { expr }.
type Filter struct {
	Expr Expr // nil: {}
	Pos  int  // byte offset in the query
}

// SpansetOp combines spansets. Its operands are *Filter, *SpansetOp and, if sub-pipelines take
// part, *Pipeline.
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

// ScalarFilter is a comparison of aggregates and constants. A comparison of sub-pipelines that end
// in an aggregate parses too, but is never valid.
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
	Field     *Field     // argument of the …_over_time functions that have one
	Quantiles []*Literal // of quantile_over_time
	By        []*Field
	Compare   *Compare
	Pos       int
}

// Compare holds the arguments of compare().
type Compare struct {
	Selection  *Filter
	Args       int // how many of the following were given: 0, 1 or 3
	Top        int64
	Start, End int64 // unix ns
}

// Second is a second stage: topk or bottomk of series, or a comparison of their samples.
type Second struct {
	Of    Node // *Metrics, *Arithmetic, *Second
	Func  string
	Limit int64 // of topk, bottomk
	Op    Op    // if Func is empty: the operator that compares samples with Value
	Value Node  // a constant
	Pos   int
}

// Expr is an expression inside braces.
type Expr interface {
	Node
	bytePos() int
}

// Binary is a binary operation. In a nil test one operand is a Literal of TypeNil.
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

// Literal is a constant. Its type tells which one of the value fields is meaningful.
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

// Hint returns the value of a hint, the last one if several have that name.
func (q *Query) Hint(name string) (*Literal, bool) {
	for i := len(q.Hints) - 1; i >= 0; i-- {
		if q.Hints[i].Name == name {
			return q.Hints[i].Value, true
		}
	}
	return nil, false
}

// IsMetrics reports whether the query yields series.
func (q *Query) IsMetrics() bool {
	switch q.Root.(type) {
	case *Metrics, *Arithmetic, *Second:
		return true
	}
	return false
}

// Number returns a numeric literal as a float, a duration in nanoseconds.
func (e *Literal) Number() float64 {
	if e.Type == TypeFloat {
		return e.Float
	}
	return float64(e.Int)
}
