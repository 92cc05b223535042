package traceql

// Op is a binary or unary operator, as it is written in a query.
type Op string

// Precedences of binary operators, the strongest last.
const (
	precedenceLogical = 1 + iota
	precedenceComparison
	precedenceSum
	precedenceProduct
	precedencePower
)

// precedence returns how strongly a binary operator binds inside braces, 0 for an operator that
// does not stand inside braces. Outside of braces the structural operators bind as comparisons do.
func (op Op) precedence() int {
	switch op {
	case "&&", "||":
		return precedenceLogical
	case "=", "!=", "<", "<=", ">", ">=", "=~", "!~":
		return precedenceComparison
	case "+", "-":
		return precedenceSum
	case "*", "/", "%":
		return precedenceProduct
	case "^":
		return precedencePower
	}
	return 0
}

// rightPrecedence returns the least precedence of operators in the right operand of op, which has
// the given precedence. Only ^ groups from the right.
func rightPrecedence(op Op, precedence int) int {
	if op == "^" {
		return precedence
	}
	return precedence + 1
}

// IsLogical reports whether op is && or ||.
func (op Op) IsLogical() bool { return op.precedence() == precedenceLogical }

// IsComparison reports whether op compares two values. Some comparisons are also structural: < and
// > between values compare, between spansets they relate child and parent.
func (op Op) IsComparison() bool { return op.precedence() == precedenceComparison }

// IsArithmetic reports whether op computes a number from two numbers.
func (op Op) IsArithmetic() bool { return op.precedence() > precedenceComparison }

// IsStructural reports whether op relates the spans of two spansets by their places in the tree of
// the trace.
func (op Op) IsStructural() bool {
	switch op {
	case ">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<", "&<<", "&~":
		return true
	}
	return false
}

// relatesSpansets reports whether op may stand between two spansets.
func (op Op) relatesSpansets() bool { return op.IsLogical() || op.IsStructural() }

// ordersNumbers reports whether op compares two numbers.
func (op Op) ordersNumbers() bool { return op.IsComparison() && op != "=~" && op != "!~" }
