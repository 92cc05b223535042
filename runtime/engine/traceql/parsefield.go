package traceql

import "fmt"

// field reads an expression inside braces. nil is an operand of = and != only.
func (p *parser) field() Expr {
	e := p.expr(2)
	if l, ok := e.(*Literal); ok && l.Type == TypeNil {
		p.failAt(l.Pos, "nil is an operand of = and != only")
	}
	return e
}

// expr reads operands and operators of at least the given level.
func (p *parser) expr(min int) Expr {
	if !p.enter() {
		return &Literal{Type: TypeBool}
	}
	defer p.leave()
	left := p.term()
	for p.err == nil && p.tok.kind == tokenOp {
		op, pos := Op(p.tok.text), p.tok.pos
		lv := op.precedence()
		if lv == 0 || lv < min {
			break
		}
		p.advance()
		next := lv + 1
		if op == "^" {
			next = lv
		}
		right := p.expr(next)
		p.count()
		if (IsNil(left) || IsNil(right)) && op != "=" && op != "!=" {
			p.failAt(pos, "nil is an operand of = and != only")
		}
		left = &Binary{Op: op, Left: left, Right: right, Pos: pos}
	}
	return left
}

func IsNil(e Expr) bool {
	l, ok := e.(*Literal)
	return ok && l.Type == TypeNil
}

func (p *parser) term() Expr {
	if p.err != nil {
		return &Literal{Type: TypeBool}
	}
	t := p.tok
	switch {
	case p.op("("):
		p.advance()
		e := p.field()
		if p.err == nil && !p.op(")") {
			p.unexpected("expected ) or an operator")
		}
		p.take(")")
		return e
	case p.op("-") || p.op("!"):
		p.advance()
		e := p.expr(6)
		if IsNil(e) {
			p.failAt(t.pos, "nil is an operand of = and != only")
		}
		p.count()
		return &Unary{Op: Op(t.text), Of: e, Pos: t.pos}
	case p.isWord("nil"):
		p.advance()
		return &Literal{Type: TypeNil, Pos: t.pos}
	}
	if l := p.literal(); l != nil {
		return l
	}
	if f := p.fieldRef(); f != nil {
		return f
	}
	if p.err == nil {
		switch {
		case t.kind == tokenWord && !keyword(t.text):
			hint := didYouMean(t.text, fieldWords)
			if hint == "" {
				hint = fmt.Sprintf("; attributes begin with a scope or a dot, as in .%s or span.%s", t.text, t.text)
			}
			p.failTok("unknown identifier: %s%s", t.text, hint)
		case t.kind == tokenOp && t.text == "=":
			p.unexpected("equality is a single =")
		default:
			p.unexpected("expected a field or a value")
		}
	}
	return &Literal{Type: TypeBool}
}

// fieldRef reads an attribute or an intrinsic if one is next.
func (p *parser) fieldRef() *Field {
	t := p.tok
	f := &Field{Scope: t.scope, Name: t.text, Pos: t.pos}
	switch t.kind {
	case tokenAttr:
	case tokenWord:
		f.Scope, f.Name = ScopeIntrinsic, intrinsic(t.text)
		if f.Name == "" {
			return nil
		}
	case tokenScope:
		p.advance()
		f.Scope, f.Name = ScopeIntrinsic, scopedIntrinsic(t.text, p.tok.text)
		if p.tok.kind != tokenWord || f.Name == "" {
			p.unexpected("not an intrinsic of " + t.text + ":" + didYouMean(p.tok.text, scopedWords(t.text)))
			return nil
		}
	default:
		return nil
	}
	p.count()
	p.advance()
	return f
}
