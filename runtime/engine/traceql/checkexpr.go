package traceql

import (
	"regexp"
	"regexp/syntax"
)

// DependsOnSpan reports whether an expression depends on the span it is evaluated on.
func DependsOnSpan(e Expr) bool {
	return Contains(e, func(n Node) bool {
		_, ok := n.(*Field)
		return ok
	})
}

func isNumeric(t Type) bool { return t == TypeInt || t == TypeFloat || t == TypeDuration }

// String returns the type as errors name it, with its article.
func (t Type) String() string {
	switch t {
	case TypeNil:
		return "nil"
	case TypeInt:
		return "an integer"
	case TypeFloat:
		return "a float"
	case TypeDuration:
		return "a duration"
	case TypeString:
		return "a string"
	case TypeBool:
		return "a boolean"
	case TypeStatus:
		return "a status"
	case TypeKind:
		return "a kind"
	}
	return "an attribute"
}

// checkExpr checks an expression and returns its static type.
func (c *checker) checkExpr(e Expr) Type {
	switch e := e.(type) {
	case *Literal:
		return e.Type
	case *Field:
		switch e.Scope {
		case ScopeIntrinsic:
			if e.Name == "parent" {
				c.failAt(e.Pos, "parent is not supported")
			}
			return IntrinsicType(e.Name)
		case ScopeParent, ScopeParentSpan, ScopeParentResource:
			if e.Scope == ScopeParentResource && e.Name == "service.name" {
				return TypeString
			}
			c.failAt(e.Pos, "attributes of the parent span are not supported, other than parent.resource.service.name")
		}
		return TypeDynamic
	case *Unary:
		t := c.checkExpr(e.Of)
		switch {
		case t == TypeDynamic:
		case e.Op == "-" && !isNumeric(t):
			c.failAt(e.Pos, "- needs a number, but %s is %s", FormatNode(e.Of), t)
		case e.Op == "!" && t != TypeBool:
			c.failAt(e.Pos, "! needs a boolean, but %s is %s", FormatNode(e.Of), t)
		}
		if e.Op == "!" {
			return TypeBool
		}
		return t
	case *Binary:
		return c.checkBinary(e)
	}
	return TypeDynamic
}

// checkBinary checks a binary operation and returns its static type.
func (c *checker) checkBinary(e *Binary) Type {
	l, r := c.checkExpr(e.Left), c.checkExpr(e.Right)
	if !mayMeet(l, r) {
		c.failAt(e.Pos, "%s is %s and %s is %s: they cannot be combined by %s",
			FormatNode(e.Left), l, FormatNode(e.Right), r, e.Op)
		return TypeBool
	}
	switch e.Op {
	case "=~", "!~":
		c.checkRegex(e, l)
		return TypeBool
	case "=":
		c.checkNilTest(e.Left, r)
		c.checkNilTest(e.Right, l)
	}
	c.checkOperand(e, e.Left, l)
	c.checkOperand(e, e.Right, r)
	if !e.Op.IsArithmetic() {
		return TypeBool
	}
	if l == TypeDynamic {
		return r
	}
	return l
}

// mayMeet reports whether operands of two static types can stand in one operation at all.
func mayMeet(l, r Type) bool {
	switch {
	case l == r, l == TypeDynamic, r == TypeDynamic, l == TypeNil, r == TypeNil:
		return true
	}
	return isNumeric(l) && isNumeric(r)
}

// checkOperand refuses an operand of a type for which the operator is not defined.
func (c *checker) checkOperand(e *Binary, operand Expr, t Type) {
	if !e.Op.isDefinedFor(t) {
		c.failAt(e.Pos, "operator %s is not defined for %s, which is %s", e.Op, FormatNode(operand), t)
	}
}

// isDefinedFor reports whether an operator other than =~ and !~ takes operands of a static type.
func (op Op) isDefinedFor(t Type) bool {
	equality := op == "=" || op == "!="
	switch t {
	case TypeBool:
		return equality || op.IsLogical()
	case TypeInt, TypeFloat, TypeDuration:
		return !op.IsLogical()
	case TypeString:
		return op.IsComparison()
	case TypeStatus, TypeKind, TypeNil:
		return equality
	}
	return true // attributes have a type at run time only
}

// checkNilTest refuses nil tests that are never true, because the field always has a value.
func (c *checker) checkNilTest(e Expr, other Type) {
	f, ok := e.(*Field)
	if !ok || other != TypeNil {
		return
	}
	if f.Scope == ScopeIntrinsic {
		c.failAt(f.Pos, "intrinsic %s is never nil", f)
	} else if f.Scope == ScopeResource && f.Name == "service.name" {
		c.failAt(f.Pos, "%s is never nil", f)
	}
}

// checkRegex checks a match with a regular expression; left is the static type of the left side.
func (c *checker) checkRegex(e *Binary, left Type) {
	lit, ok := e.Right.(*Literal)
	switch {
	case !ok || lit.Type != TypeString:
		c.failAt(e.Right.bytePos(), "the right side of %s must be a string in quotes", e.Op)
	case left != TypeString && left != TypeDynamic:
		c.failAt(e.Pos, "operator %s is not defined for %s, which is %s", e.Op, FormatNode(e.Left), left)
	default:
		re, err := syntax.Parse(lit.Str, syntax.Perl)
		if err != nil {
			c.failAt(lit.Pos, "regular expression: %s", err)
		} else if n := countRegexSteps(re); n > maxRegexSteps {
			c.failAt(lit.Pos, "regular expression is too large: "+
				"with its repetitions written out it has more than %d parts", maxRegexSteps)
		}
	}
}

// maxRegexSteps bounds the parts of a regular expression with its repetitions written out. The time
// to match a value grows with them and with the length of the value.
const maxRegexSteps = 2000

// countRegexSteps counts the parts of a regular expression with repetitions written out. It stops
// counting above maxRegexSteps.
func countRegexSteps(re *syntax.Regexp) int {
	n := 1
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass:
		n += len(re.Rune) / 16
	}
	for _, s := range re.Sub {
		if n += countRegexSteps(s); n > maxRegexSteps {
			return n
		}
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return n
}

// CompileRegex compiles the right side of =~: the expression must match the whole value, and a dot
// matches line breaks too.
func CompileRegex(re string) (*regexp.Regexp, error) { return regexp.Compile(`\A(?s:` + re + `)\z`) }
