package traceql

import "fmt"

// parseExpr reads an expression inside braces. nil is an operand of = and != only.
func (p *parser) parseExpr() Expr {
	e := p.parseBinary(2)
	if l, ok := e.(*Literal); ok && l.Type == TypeNil {
		p.failAt(l.Pos, "nil is an operand of = and != only")
	}
	return e
}

// parseBinary reads operands and operators of at least the given level.
func (p *parser) parseBinary(min int) Expr {
	if !p.enterLevel() {
		return &Literal{Type: TypeBool}
	}
	defer p.leaveLevel()
	left := p.parseTerm()
	for p.err == nil && p.tok.kind == tokenOp {
		op, pos := Op(p.tok.text), p.tok.pos
		lv := op.precedence()
		if lv == 0 || lv < min {
			break
		}
		p.readToken()
		next := lv + 1
		if op == "^" {
			next = lv
		}
		right := p.parseBinary(next)
		p.countNode()
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

func (p *parser) parseTerm() Expr {
	if p.err != nil {
		return &Literal{Type: TypeBool}
	}
	t := p.tok
	switch {
	case p.atOp("("):
		p.readToken()
		e := p.parseExpr()
		if p.err == nil && !p.atOp(")") {
			p.failUnexpected("expected ) or an operator")
		}
		p.takeOp(")")
		return e
	case p.atOp("-") || p.atOp("!"):
		p.readToken()
		e := p.parseBinary(6)
		if IsNil(e) {
			p.failAt(t.pos, "nil is an operand of = and != only")
		}
		p.countNode()
		return &Unary{Op: Op(t.text), Of: e, Pos: t.pos}
	case p.atWord("nil"):
		p.readToken()
		return &Literal{Type: TypeNil, Pos: t.pos}
	}
	if l := p.parseLiteral(); l != nil {
		return l
	}
	if f := p.parseFieldRef(); f != nil {
		return f
	}
	if p.err == nil {
		switch {
		case t.kind == tokenWord && !isKeyword(t.text):
			hint := didYouMean(t.text, fieldWords)
			if hint == "" {
				hint = fmt.Sprintf("; attributes begin with a scope or a dot, as in .%s or span.%s", t.text, t.text)
			}
			p.failHere("unknown identifier: %s%s", t.text, hint)
		case t.kind == tokenOp && t.text == "=":
			p.failUnexpected("equality is a single =")
		default:
			p.failUnexpected("expected a field or a value")
		}
	}
	return &Literal{Type: TypeBool}
}

// parseFieldRef reads an attribute or an intrinsic if one is next.
func (p *parser) parseFieldRef() *Field {
	t := p.tok
	f := &Field{Scope: t.scope, Name: t.text, Pos: t.pos}
	switch t.kind {
	case tokenAttr:
	case tokenWord:
		f.Scope, f.Name = ScopeIntrinsic, canonicalIntrinsic(t.text)
		if f.Name == "" {
			return nil
		}
	case tokenScope:
		p.readToken()
		f.Scope, f.Name = ScopeIntrinsic, scopedIntrinsic(t.text, p.tok.text)
		if p.tok.kind != tokenWord || f.Name == "" {
			p.failUnexpected("not an intrinsic of " + t.text + ":" + didYouMean(p.tok.text, scopedWords(t.text)))
			return nil
		}
	default:
		return nil
	}
	p.countNode()
	p.readToken()
	return f
}
