package traceql

// Walk calls f for a node and, where f returns true, for everything below it: first the node, then
// its parts from left to right as they are written. Parts that a node does not have are left out.
func Walk(n Node, f func(Node) bool) {
	if !f(n) {
		return
	}
	switch n := n.(type) {
	case *Pipeline:
		for _, stage := range n.Stages {
			Walk(stage, f)
		}
	case *Filter:
		if n.Expr != nil {
			Walk(n.Expr, f)
		}
	case *SpansetOp:
		walkPair(n.Left, n.Right, f)
	case *GroupBy:
		Walk(n.Expr, f)
	case *Select:
		walkFields(n.Fields, f)
	case *ScalarFilter:
		walkPair(n.Left, n.Right, f)
	case *Aggregate:
		if n.Expr != nil {
			Walk(n.Expr, f)
		}
	case *Arithmetic:
		walkPair(n.Left, n.Right, f)
	case *Negate:
		Walk(n.Of, f)
	case *Metrics:
		walkMetrics(n, f)
	case *Second:
		Walk(n.Of, f)
		if n.Value != nil {
			Walk(n.Value, f)
		}
	case *Binary:
		walkPair(n.Left, n.Right, f)
	case *Unary:
		Walk(n.Of, f)
	}
}

func walkPair(left, right Node, f func(Node) bool) {
	Walk(left, f)
	Walk(right, f)
}

func walkFields(fields []*Field, f func(Node) bool) {
	for _, field := range fields {
		Walk(field, f)
	}
}

// walkMetrics walks over the parts of a metrics function in the order in which they are written.
func walkMetrics(m *Metrics, f func(Node) bool) {
	Walk(m.Pipeline, f)
	if m.Field != nil {
		Walk(m.Field, f)
	}
	for _, q := range m.Quantiles {
		Walk(q, f)
	}
	if m.Compare != nil {
		Walk(m.Compare.Selection, f)
	}
	walkFields(m.By, f)
}

// EachField calls f for every field below a node, from left to right, as often as it is written.
func EachField(n Node, f func(*Field)) {
	Walk(n, func(n Node) bool {
		if field, ok := n.(*Field); ok {
			f(field)
		}
		return true
	})
}

// EachMetrics calls f for every pipeline of a query that ends in a metrics function, from left to
// right.
func EachMetrics(n Node, f func(*Metrics)) {
	Walk(n, func(n Node) bool {
		m, ok := n.(*Metrics)
		if ok {
			f(m)
		}
		return !ok
	})
}

// Contains reports whether is holds for a node or for a node below it.
func Contains(n Node, is func(Node) bool) bool {
	found := false
	Walk(n, func(n Node) bool {
		found = found || is(n)
		return !found
	})
	return found
}
