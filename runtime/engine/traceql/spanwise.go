package traceql

// IsSpanwise reports whether a query, or a part of one, looks at each span by itself: what it finds
// of a span depends on that span alone, whatever other spans its trace has. It says nothing of how
// an answer describes what is found: a search answers with whole traces, also where its filters are
// spanwise. What this function does not know to be spanwise is not.
func IsSpanwise(n Node) bool {
	spanwise := true
	Walk(n, func(n Node) bool {
		switch n := n.(type) {
		case *Pipeline, *Coalesce, *Select, *Second, *Arithmetic, *Negate, *Binary, *Unary, *Literal:
		case *Filter:
			eachConjunct(n.Expr, func(e Expr) {
				spanwise = spanwise && (selectsRoots(e) || IsSpanwise(e))
			})
			return false
		case *Field:
			spanwise = spanwise && isOfSpan(n)
		case *Metrics:
			spanwise = spanwise && n.Compare == nil // which counts fields of traces, too
		default:
			spanwise = false
		}
		return spanwise
	})
	return spanwise
}

// isOfSpan reports whether the value of a field is the span's own.
func isOfSpan(f *Field) bool {
	switch f.Scope {
	case ScopeNone, ScopeSpan, ScopeResource, ScopeEvent, ScopeLink, ScopeInstrumentation:
		return true
	case ScopeIntrinsic:
		switch f.Name {
		case "name", "duration", "status", "statusMessage", "kind",
			"trace:id", "resource:id", "span:id", "span:parentID",
			"event:name", "event:timeSinceStart", "link:traceID", "link:spanID",
			"instrumentation:name", "instrumentation:version":
			return true
		}
	}
	return false
}

// eachConjunct calls f for the expressions that e, which may be nil, joins by &&.
func eachConjunct(e Expr, f func(Expr)) {
	b, ok := e.(*Binary)
	switch {
	case ok && b.Op == "&&":
		eachConjunct(b.Left, f)
		eachConjunct(b.Right, f)
	case e != nil:
		f(e)
	}
}

// selectsRoots reports whether an expression is nestedSetParent < 0. The number is that of another
// span, but it is negative for the spans without a parent id, and -1 for all of them.
func selectsRoots(e Expr) bool {
	b, ok := e.(*Binary)
	if !ok || b.Op != "<" {
		return false
	}
	f, ok := b.Left.(*Field)
	l, is := b.Right.(*Literal)
	return ok && is && f.Scope == ScopeIntrinsic && f.Name == "nestedSetParent" && l.Type == TypeInt && l.Int == 0
}

// SpanwisePart returns a spanwise expression that is true for every span for which e may be true,
// whatever other spans its trace has; nil: that may be any span. e may be nil.
func SpanwisePart(e Expr) Expr {
	b, ok := e.(*Binary)
	switch {
	case e == nil, selectsRoots(e), IsSpanwise(e):
		return e
	case !ok || !b.Op.IsLogical():
		return nil
	}
	left, right := SpanwisePart(b.Left), SpanwisePart(b.Right)
	if left == nil {
		left, right = right, left
	}
	if left == nil || right == nil && b.Op == "||" {
		return nil
	}
	if right == nil {
		// The side that is left may be nil where it stands alone, and a nil beside || is never
		// true. What && joins is true or false.
		right = &Literal{Type: TypeBool, Int: 1, Pos: b.Pos}
	}
	return &Binary{Op: b.Op, Left: left, Right: right, Pos: b.Pos}
}
