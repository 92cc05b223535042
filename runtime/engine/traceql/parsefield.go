package traceql

import "fmt"

// parseExpr reads an expression inside braces. nil is an operand of = and != only.
func (p *parser) parseExpr() Expr {
	e := p.parseBinary(precedenceLogical)
	if l, ok := e.(*Literal); ok && l.Type == TypeNil {
		p.failAt(l.Pos, "nil is an operand of = and != only")
	}
	return e
}

// parseBinary reads operands and operators of at least the given precedence.
func (p *parser) parseBinary(least int) Expr {
	if !p.enterLevel() {
		return &Literal{Type: TypeBool}
	}
	defer p.leaveLevel()
	left := p.parseTerm()
	for p.err == nil && p.tok.kind == tokenOp {
		op, pos := Op(p.tok.text), p.tok.pos
		level := op.precedence()
		if level == 0 || level < least {
			break
		}
		p.readToken()
		right := p.parseBinary(rightPrecedence(op, level))
		p.countNode()
		if (IsNil(left) || IsNil(right)) && op != "=" && op != "!=" {
			p.failAt(pos, "nil is an operand of = and != only")
		}
		left = &Binary{Op: op, Left: left, Right: right, Pos: pos}
	}
	return left
}

// IsNil reports whether an expression is the word nil.
func IsNil(e Expr) bool {
	l, ok := e.(*Literal)
	return ok && l.Type == TypeNil
}

// parseTerm reads an operand inside braces.
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
		e := p.parseBinary(precedenceProduct)
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
		p.refuseTerm(t)
	}
	return &Literal{Type: TypeBool}
}

// refuseTerm fails at a token that no operand begins with.
func (p *parser) refuseTerm(t token) {
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
