package traceql

import "strings"

// ParseFilter reads the filter of autocomplete, which a user may be in the middle of typing. It
// leaves out conditions whose value is still missing, and closes braces and parentheses that are
// open. The result is a query of one filter. It is nil if nothing is left to filter by, if the
// query does not begin with a plain filter, if an attribute in it has no scope, and if it does not
// parse even so.
//
// Source: docs/spec/traceql.md, "Autocomplete".
func ParseFilter(q string) *Query {
	parsed, err := Parse(q)
	if err != nil {
		open := strings.IndexByte(q, '{')
		if open < 0 || strings.TrimSpace(q[:open]) != "" || len(q) > MaxQueryBytes {
			return nil
		}
		r := repairer{q: q, pos: open + 1}
		if parsed, err = Parse("{ " + r.repairExpr(0) + " }"); err != nil || r.failed {
			return nil
		}
	}
	n := parsed.Root
	if m, ok := n.(*Metrics); ok {
		n = m.Pipeline
	}
	if p, ok := n.(*Pipeline); ok {
		n = p.Stages[0]
	}
	f, ok := n.(*Filter)
	if !ok || f.Expr == nil || hasUnscoped(f.Expr) {
		return nil
	}
	if l, ok := f.Expr.(*Literal); ok && l.Type == TypeBool && l.Int != 0 {
		return nil
	}
	return &Query{Root: &Pipeline{Stages: []Node{f}}}
}

// hasUnscoped reports whether an expression names an attribute without its scope.
func hasUnscoped(e Expr) bool {
	return Contains(e, func(n Node) bool {
		f, ok := n.(*Field)
		return ok && f.Scope == ScopeNone
	})
}

// repairer writes the inside of braces anew, with true in the place of each condition that has no
// value yet.
type repairer struct {
	q      string
	pos    int
	failed bool // something else is wrong
}

// repairExpr rewrites operands and the && and || between them.
func (r *repairer) repairExpr(depth int) string {
	var b strings.Builder
	b.WriteString(r.repairOperand(depth))
	for strings.HasPrefix(r.q[r.pos:], "&&") || strings.HasPrefix(r.q[r.pos:], "||") {
		b.WriteString(" " + r.q[r.pos:r.pos+2] + " ")
		r.pos += 2
		b.WriteString(r.repairOperand(depth))
	}
	return b.String()
}

// repairOperand rewrites a condition, or an expression in parentheses.
func (r *repairer) repairOperand(depth int) string {
	text := r.readRun()
	if r.pos < len(r.q) && r.q[r.pos] == '(' {
		not := strings.TrimSpace(text)
		if r.failed = r.failed || not != "" && not != "!" || depth >= maxDepth; r.failed {
			r.pos = len(r.q)
			return ""
		}
		r.pos++
		text = not + "(" + r.repairExpr(depth+1) + ")"
		if r.pos < len(r.q) && r.q[r.pos] == ')' {
			r.pos++
		}
		return text + r.readRun()
	}
	if lacksValue(text) || r.pos == len(r.q) && isField(text) { // a field at the end waits for its operator
		return "true"
	}
	return text
}

// isField reports whether text is the name of a field.
func isField(text string) bool {
	_, err := ParseField(strings.TrimSpace(text))
	return err == nil
}

// lacksValue reports whether text is a field and a comparison operator without anything behind
// them.
func lacksValue(text string) bool {
	text = strings.TrimSpace(text)
	for _, op := range []string{"!=", "=~", "!~", "<=", ">=", "=", "<", ">"} {
		if field, ok := strings.CutSuffix(text, op); ok {
			return isField(field)
		}
	}
	return false
}

// readRun reads up to a parenthesis, a boolean operator, the closing brace or the end of the query.
// Such characters do not count inside of quotes.
func (r *repairer) readRun() string {
	from := r.pos
	for r.pos < len(r.q) {
		switch c := r.q[r.pos]; c {
		case '(', ')', '}':
			return r.q[from:r.pos]
		case '&', '|':
			if r.pos+1 < len(r.q) && r.q[r.pos+1] == c {
				return r.q[from:r.pos]
			}
		case '"', '`':
			for r.pos++; r.pos < len(r.q) && r.q[r.pos] != c; r.pos++ {
				if c == '"' && r.q[r.pos] == '\\' {
					r.pos++
				}
			}
		}
		r.pos++
	}
	r.pos = len(r.q)
	return r.q[from:]
}

// WithoutField returns a query of ParseFilter without the conditions on a field other than
// equality, nil if nothing is left. A user who is typing a condition on a field wants to be offered
// all values of the field, not only those that satisfy the condition so far.
func WithoutField(q *Query, f *Field) *Query {
	if q == nil {
		return nil
	}
	filter, ok := q.Root.(*Pipeline).Stages[0].(*Filter)
	if !ok {
		return q
	}
	e := exceptField(filter.Expr, f)
	if l, ok := e.(*Literal); ok && l.Type == TypeBool && l.Int != 0 {
		return nil
	}
	return &Query{Root: &Pipeline{Stages: []Node{&Filter{Expr: e}}}}
}

// exceptField returns an expression with true in the place of conditions on a field.
func exceptField(e Expr, f *Field) Expr {
	switch e := e.(type) {
	case *Binary:
		if e.Op == "&&" || e.Op == "||" {
			return &Binary{Op: e.Op, Left: exceptField(e.Left, f), Right: exceptField(e.Right, f), Pos: e.Pos}
		}
		if l, ok := e.Left.(*Field); ok && e.Op != "=" && l.Scope == f.Scope && l.Name == f.Name {
			return &Literal{Type: TypeBool, Int: 1, Pos: e.Pos}
		}
	}
	return e
}
