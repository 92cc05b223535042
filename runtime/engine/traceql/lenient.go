package traceql

import "strings"

// ParseFilter reads the filter of autocomplete, which a user may be in the middle of typing: conditions that do not parse yet do not count,
// and braces and parentheses that are not closed are closed. The result is a query of one filter, or nil where nothing filters: nothing is left, the
// query does not begin with a plain filter, or an attribute in it has no scope. Source: TraceQL §14.3.
func ParseFilter(q string) *Query {
	parsed, err := Parse(q)
	if err != nil {
		open := strings.IndexByte(q, '{')
		if open < 0 || strings.TrimSpace(q[:open]) != "" || len(q) > MaxQueryBytes {
			return nil
		}
		r := repairer{q: q, pos: open + 1}
		if parsed, err = Parse("{ " + r.expr(0) + " }"); err != nil {
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
	if !ok || f.Expr == nil || withoutScope(f.Expr) {
		return nil
	}
	if l, ok := f.Expr.(*Literal); ok && l.Type == TypeBool && l.Int != 0 {
		return nil
	}
	return &Query{Root: &Pipeline{Stages: []Node{f}}}
}

func withoutScope(e Expr) bool {
	switch e := e.(type) {
	case *Field:
		return e.Scope == ScopeNone
	case *Unary:
		return withoutScope(e.Of)
	case *Binary:
		return withoutScope(e.Left) || withoutScope(e.Right)
	}
	return false
}

// repairer writes the inside of braces anew, with true in the place of each condition that does not parse.
type repairer struct {
	q   string
	pos int
}

func (r *repairer) expr(depth int) string {
	var b strings.Builder
	b.WriteString(r.operand(depth))
	for strings.HasPrefix(r.q[r.pos:], "&&") || strings.HasPrefix(r.q[r.pos:], "||") {
		b.WriteString(" " + r.q[r.pos:r.pos+2] + " ")
		r.pos += 2
		b.WriteString(r.operand(depth))
	}
	return b.String()
}

func (r *repairer) operand(depth int) string {
	text := r.run()
	if r.pos < len(r.q) && r.q[r.pos] == '(' && depth < maxDepth {
		not := strings.TrimSpace(text)
		if not != "" && not != "!" {
			r.skip()
			return "true"
		}
		r.pos++
		text = not + "(" + r.expr(depth+1) + ")"
		if r.pos < len(r.q) && r.q[r.pos] == ')' {
			r.pos++
		}
		text += r.run()
	}
	if _, err := Parse("{ " + text + " }"); err != nil || strings.TrimSpace(text) == "" {
		return "true"
	}
	return text
}

// run reads up to a parenthesis, a boolean operator, the closing brace or the end; quotes are read over.
func (r *repairer) run() string {
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

// skip reads over parentheses that stand in the middle of a condition, with the rest of it.
func (r *repairer) skip() {
	for open := 0; r.pos < len(r.q); {
		switch r.q[r.pos] {
		case '(':
			open++
		case ')':
			open--
		case '}':
			return
		case '&', '|':
			if open <= 0 {
				return
			}
		}
		if open < 0 {
			return
		}
		r.pos++
		if r.pos < len(r.q) && !strings.ContainsRune("()}&|", rune(r.q[r.pos])) {
			r.run()
		}
	}
}
