package traceql

// Op is a binary or unary operator, as it is written in a query.
type Op string

// precedence returns how strongly a binary operator binds inside braces, the greatest number
// strongest, and 0 for operators that do not stand inside braces. Outside of braces the structural
// operators have the precedence of comparisons.
func (op Op) precedence() int {
	switch op {
	case "&&", "||":
		return 2
	case "=", "!=", "<", "<=", ">", ">=", "=~", "!~":
		return 3
	case "+", "-":
		return 4
	case "*", "/", "%":
		return 6
	case "^":
		return 7
	}
	return 0
}

// IsLogical reports whether op is && or ||.
func (op Op) IsLogical() bool { return op.precedence() == 2 }

// IsComparison reports whether op compares two values. Some comparisons are also structural: < and
// > between values compare, between spansets they relate child and parent.
func (op Op) IsComparison() bool { return op.precedence() == 3 }

// IsArithmetic reports whether op computes a number from two numbers.
func (op Op) IsArithmetic() bool { return op.precedence() > 3 }

// IsStructural reports whether op relates the spans of two spansets by their places in the tree of
// the trace.
func (op Op) IsStructural() bool {
	switch op {
	case ">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<", "&<<", "&~":
		return true
	}
	return false
}
