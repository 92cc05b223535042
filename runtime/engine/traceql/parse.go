package traceql

import (
	"fmt"
	"math"
)

// Bounds of a query. Depth bounds nesting, nodes bound chains of operators.
const (
	MaxQueryBytes = 128 << 10
	maxDepth      = 200
	maxNodes      = 20000
)

// Parse reads and checks a query of at most MaxQueryBytes. The error is a *SyntaxError.
func Parse(q string) (*Query, error) { return ParseMax(q, MaxQueryBytes) }

// ParseMax is Parse with another limit on the query's length in bytes.
func ParseMax(q string, maxBytes int) (*Query, error) {
	if len(q) > maxBytes {
		message := fmt.Sprintf("query of %d bytes is longer than the limit of %d", len(q), maxBytes)
		return nil, &SyntaxError{Line: 1, Column: 1, Message: message}
	}
	p := &parser{lexer: lexer{q: q}}
	p.readToken()
	query := p.parseQuery()
	if p.err != nil {
		return nil, p.err
	}
	if err := checkQuery(q, query); err != nil {
		return nil, err
	}
	return query, nil
}

// parser reads a query by recursive descent, one token ahead. After the first error it is at the
// end of the query, so that every loop ends and whatever it returns is not looked at.
type parser struct {
	lexer
	tok   token // the next token
	depth int   // of nesting
	nodes int   // parsed so far
}

func (p *parser) readToken() { p.tok = p.next() }

func (p *parser) atOp(text string) bool { return p.tok.kind == tokenOp && p.tok.text == text }

func (p *parser) atWord(text string) bool { return p.tok.kind == tokenWord && p.tok.text == text }

// takeOp skips an operator or a punctuation mark if it is next, and reports whether it was.
func (p *parser) takeOp(op string) bool {
	if !p.atOp(op) {
		return false
	}
	p.readToken()
	return true
}

// wantOp skips an operator or a punctuation mark, which must be next.
func (p *parser) wantOp(op string) {
	if !p.takeOp(op) {
		p.failUnexpected("expected " + op)
	}
}

// failUnexpected refuses the next token. The hint, if any, says what is expected in its place.
func (p *parser) failUnexpected(hint string) {
	if hint != "" {
		hint = ", " + hint
	}
	p.failHere("unexpected %s%s", p.tok, hint)
}

func (p *parser) failHere(format string, args ...any) { p.failAt(p.tok.pos, format, args...) }

// failAt notes an error, if it is the first, and moves to the end of the query.
func (p *parser) failAt(pos int, format string, args ...any) {
	p.lexer.failAt(pos, format, args...)
	p.tok = token{kind: tokenEnd, pos: len(p.q), end: len(p.q)}
}

// enterLevel counts a level of nesting. Where it returns true, leaveLevel must follow.
func (p *parser) enterLevel() bool {
	if p.depth++; p.depth > maxDepth {
		p.failHere("query is nested deeper than %d", maxDepth)
		p.depth--
		return false
	}
	if p.err != nil {
		p.leaveLevel()
		return false
	}
	return true
}

func (p *parser) leaveLevel() { p.depth-- }

// countNode counts a part of the query and fails when they are too many.
func (p *parser) countNode() {
	if p.nodes++; p.nodes > maxNodes {
		p.failHere("query has more than %d parts", maxNodes)
	}
}

// parseQuery reads the whole query.
func (p *parser) parseQuery() *Query {
	q := &Query{}
	root := p.parsePipeline(true)
	switch root.kind {
	case partPipeline, partSpanset, partCombined, partMetrics, partRejected:
		q.Root = root.node
	default:
		if p.err == nil {
			p.failHere("query is not complete: a query is a filter in braces, a pipeline or a metrics query")
		}
	}
	for p.atWord("with") {
		q.Hints = p.parseHints()
	}
	if p.err == nil && p.tok.kind != tokenEnd {
		p.failUnexpected("")
	}
	return q
}

// parseHints reads with(name = literal, …).
func (p *parser) parseHints() []Hint {
	p.readToken()
	p.wantOp("(")
	var hints []Hint
	for p.err == nil {
		name := p.tok
		if name.kind != tokenWord || isKeyword(name.text) || name.text == "minInt" || name.text == "maxInt" {
			p.failUnexpected("expected the name of a hint")
			break
		}
		p.readToken()
		p.wantOp("=")
		v := p.parseLiteral()
		if v == nil {
			p.failUnexpected("expected the value of hint " + name.text)
			break
		}
		hints = append(hints, Hint{Name: name.text, Value: v})
		if !p.takeOp(",") {
			break
		}
	}
	p.wantOp(")")
	return hints
}

// parseLiteral reads a literal if one is next.
func (p *parser) parseLiteral() *Literal {
	t := p.tok
	l := &Literal{Pos: t.pos}
	switch t.kind {
	case tokenString:
		l.Type, l.Str = TypeString, t.text
	case tokenInt:
		l.Type, l.Int = TypeInt, t.num
	case tokenFloat:
		l.Type, l.Float = TypeFloat, t.float
	case tokenDuration:
		l.Type, l.Int = TypeDuration, t.num
	case tokenWord:
		if !l.setWord(t.text) {
			return nil
		}
	default:
		return nil
	}
	p.countNode()
	p.readToken()
	return l
}

// setWord sets a literal to the one that a word stands for, and reports whether there is one.
func (e *Literal) setWord(word string) bool {
	switch word {
	case "true":
		e.Type, e.Int = TypeBool, 1
		return true
	case "false":
		e.Type = TypeBool
		return true
	case "minInt":
		e.Type, e.Int = TypeInt, math.MinInt64
		return true
	case "maxInt":
		e.Type, e.Int = TypeInt, math.MaxInt64
		return true
	}
	if _, ok := StatusNumber(word); ok {
		e.Type, e.Str = TypeStatus, word
		return true
	}
	if _, ok := KindNumber(word); ok {
		e.Type, e.Str = TypeKind, word
		return true
	}
	return false
}
