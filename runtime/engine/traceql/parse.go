package traceql

import "fmt"

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
		return nil, &SyntaxError{Line: 1, Column: 1, Message: fmt.Sprintf("query of %d bytes is longer than the limit of %d", len(q), maxBytes)}
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

// partKind is what a parsed part outside of braces may be used as.
type partKind uint8

const (
	partNothing        partKind = iota
	partSpanset                 // filters and operators on them
	partPipeline                // a pipeline in parentheses that is more than a spanset
	partCombined                // operators on pipelines in parentheses
	partScalar                  // aggregates and arithmetic on them
	partConstant                // constants and arithmetic on them
	partScalarFilter            // comparison of scalars
	partScalarPipeline          // a pipeline in parentheses that ends in an aggregate, and arithmetic on such
	partRejected                // comparison of scalar pipelines: parses, never valid
	partStage                   // by, select, coalesce
	partMetrics                 // metrics in parentheses and arithmetic on them
	partFirstStage              // a metrics function, as a stage
)

// part is a parsed part of a query outside of braces.
type part struct {
	node     Node
	kind     partKind
	closed   bool // all its operands stand in parentheses of their own: may be operand beside a sub-pipeline
	duration bool // constant of type duration: no arithmetic with other constants
}

type parser struct {
	lexer
	tok   token
	depth int
	nodes int
}

func (p *parser) readToken() { p.tok = p.next() }

func (p *parser) atOp(text string) bool { return p.tok.kind == tokenOp && p.tok.text == text }

func (p *parser) atWord(text string) bool { return p.tok.kind == tokenWord && p.tok.text == text }

// takeOp skips the operator if it is next.
func (p *parser) takeOp(op string) bool {
	if !p.atOp(op) {
		return false
	}
	p.readToken()
	return true
}

func (p *parser) wantOp(op string) {
	if !p.takeOp(op) {
		p.failUnexpected("expected " + op)
	}
}

func (p *parser) failUnexpected(hint string) {
	if hint != "" {
		hint = ", " + hint
	}
	p.failHere("unexpected %s%s", p.tok, hint)
}

func (p *parser) failHere(format string, args ...any) { p.failAt(p.tok.pos, format, args...) }

// failAt notes the first error and moves to the end, so that every loop ends.
func (p *parser) failAt(pos int, format string, args ...any) {
	p.lexer.failAt(pos, format, args...)
	p.tok = token{kind: tokenEnd, pos: len(p.q), end: len(p.q)}
}

// enterLevel counts a level of nesting; leave must follow if it returns true.
func (p *parser) enterLevel() bool {
	if p.depth++; p.depth > maxDepth {
		p.failHere("query is nested deeper than %d", maxDepth)
		p.depth--
		return false
	}
	return p.err == nil || p.leaveLevel()
}

func (p *parser) leaveLevel() bool { p.depth--; return false }

func (p *parser) countNode() {
	if p.nodes++; p.nodes > maxNodes {
		p.failHere("query has more than %d parts", maxNodes)
	}
}

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
		switch t.text {
		case "true":
			l.Type, l.Int = TypeBool, 1
		case "false":
			l.Type = TypeBool
		case "minInt":
			l.Type, l.Int = TypeInt, -1<<63
		case "maxInt":
			l.Type, l.Int = TypeInt, 1<<63-1
		default:
			if _, ok := StatusNumber(t.text); ok {
				l.Type, l.Str = TypeStatus, t.text
			} else if _, ok := KindNumber(t.text); ok {
				l.Type, l.Str = TypeKind, t.text
			} else {
				return nil
			}
		}
	default:
		return nil
	}
	p.countNode()
	p.readToken()
	return l
}

// parsePipeline reads stages up to the end, a closing parenthesis or with. top: it is the query itself,
// not in parentheses.
func (p *parser) parsePipeline(top bool) part {
	first := p.parseStage(top)
	if p.err != nil {
		return part{}
	}
	if first.kind == partMetrics {
		if top {
			first = p.parseSecondStages(first, true)
		}
		return first
	}
	if !p.atOp("|") {
		switch first.kind {
		case partScalarFilter, partStage:
			if _, ok := first.node.(*Coalesce); ok {
				p.failHere("a query cannot begin with coalesce()")
				return part{}
			}
			return part{node: &Pipeline{Stages: []Node{first.node}}, kind: partPipeline, closed: first.closed}
		case partFirstStage:
			p.failHere("metrics need a filter before them, such as {} | %s", first.node.(*Metrics).Func)
			return part{}
		}
		return first
	}
	pl := &Pipeline{}
	for s := first; ; s = p.parseStage(top) {
		if p.err != nil {
			return part{}
		}
		switch s.kind {
		case partSpanset, partScalarFilter, partStage:
			if _, ok := s.node.(*Coalesce); ok && len(pl.Stages) == 0 {
				p.failHere("a query cannot begin with coalesce()")
				return part{}
			}
			pl.Stages = append(pl.Stages, s.node)
		case partScalar:
			if agg, ok := s.node.(*Aggregate); ok && !top && len(pl.Stages) > 0 && p.atOp(")") {
				pl.Stages = append(pl.Stages, agg)
				return part{node: pl, kind: partScalarPipeline}
			}
			p.failUnexpected("an aggregate is not a filter: compare it with a number")
			return part{}
		case partFirstStage:
			if len(pl.Stages) == 0 {
				p.failHere("metrics need a filter before them")
				return part{}
			}
			m := s.node.(*Metrics)
			m.Pipeline = pl
			return p.parseSecondStages(part{node: m, kind: partMetrics}, true)
		case partCombined:
			p.failHere("no stage may come before or after combined sub-pipelines")
			return part{}
		default:
			p.failHere("this is not a stage of a pipeline")
			return part{}
		}
		if !p.takeOp("|") {
			break
		}
	}
	return part{node: pl, kind: partPipeline}
}

// parseSecondStages reads the second stages of a metrics query.
func (p *parser) parseSecondStages(m part, pipes bool) part {
	for p.err == nil {
		pos := p.tok.pos
		if op := Op(p.tok.text); p.tok.kind == tokenOp && op.IsComparison() && op != "=~" && op != "!~" {
			p.readToken()
			c := p.parseOperators(4) // all that binds closer than a comparison
			if p.err == nil && c.kind != partConstant {
				p.failAt(pos, "samples can be compared with a number or a duration only")
			}
			m.node = &Second{Of: m.node, Op: op, Value: c.node, Pos: pos}
			continue
		}
		if !pipes || !p.takeOp("|") {
			break
		}
		f := p.tok.text
		if !p.atWord("topk") && !p.atWord("bottomk") {
			p.failUnexpected("after a metrics function only topk(n), bottomk(n) and comparisons may follow")
			break
		}
		p.readToken()
		p.wantOp("(")
		n := p.parseInteger()
		p.wantOp(")")
		m.node = &Second{Of: m.node, Func: f, Limit: n, Pos: pos}
	}
	return m
}

func (p *parser) parseInteger() int64 {
	n := p.tok.num
	if p.tok.kind != tokenInt {
		p.failUnexpected("expected an integer")
	} else {
		p.readToken()
	}
	return n
}

// parseStage reads one stage.
func (p *parser) parseStage(top bool) part {
	p.countNode()
	t := p.tok
	if t.kind == tokenWord {
		switch t.text {
		case "by":
			p.readToken()
			p.wantOp("(")
			e := p.parseExpr()
			p.wantOp(")")
			return part{node: &GroupBy{Expr: e, Pos: t.pos}, kind: partStage}
		case "coalesce":
			p.readToken()
			p.wantOp("(")
			p.wantOp(")")
			return part{node: &Coalesce{}, kind: partStage}
		case "select":
			p.readToken()
			p.wantOp("(")
			s := &Select{Fields: p.parseFields()}
			p.wantOp(")")
			return part{node: s, kind: partStage}
		case "rate", "count_over_time", "min_over_time", "max_over_time", "sum_over_time", "avg_over_time", "quantile_over_time",
			"histogram_over_time", "compare":
			return part{node: p.parseMetrics(), kind: partFirstStage}
		case "topk", "bottomk":
			p.failUnexpected("it may only follow a metrics function")
			return part{}
		}
	}
	e := p.parseOperators(2)
	if e.kind == partMetrics && !top && p.err == nil && !p.atOp(")") {
		p.failUnexpected("in parentheses a metrics query ends here")
	}
	return e
}

func (p *parser) parseFields() []*Field {
	var out []*Field
	for p.err == nil {
		f := p.parseFieldRef()
		if f == nil {
			p.failUnexpected("expected a field")
			break
		}
		out = append(out, f)
		if !p.takeOp(",") {
			break
		}
	}
	return out
}

func (p *parser) parseMetrics() *Metrics {
	m := &Metrics{Func: p.tok.text, Pos: p.tok.pos}
	p.readToken()
	p.wantOp("(")
	switch m.Func {
	case "rate", "count_over_time":
	case "compare":
		m.Compare = p.parseCompare()
		p.wantOp(")")
		return m
	default:
		if m.Field = p.parseFieldRef(); m.Field == nil {
			p.failUnexpected("expected a field")
		}
		if m.Func != "quantile_over_time" {
			break
		}
		p.wantOp(",")
		for p.err == nil {
			if p.tok.kind != tokenInt && p.tok.kind != tokenFloat {
				p.failUnexpected("expected a quantile between 0 and 1")
				break
			}
			m.Quantiles = append(m.Quantiles, p.parseLiteral())
			if !p.takeOp(",") {
				break
			}
		}
	}
	p.wantOp(")")
	if p.atWord("by") {
		p.readToken()
		p.wantOp("(")
		m.By = p.parseFields()
		p.wantOp(")")
	}
	return m
}

func (p *parser) parseCompare() *Compare {
	c := &Compare{Top: 10}
	if !p.atOp("{") {
		p.failUnexpected("compare needs a filter in braces")
		return c
	}
	c.Selection = p.parseFilter()
	if p.takeOp(",") {
		c.Top, c.Args = p.parseInteger(), 1
		if p.takeOp(",") {
			c.Start = p.parseInteger()
			p.wantOp(",")
			c.End, c.Args = p.parseInteger(), 3
		}
	}
	return c
}

func (p *parser) parseFilter() *Filter {
	f := &Filter{Pos: p.tok.pos}
	p.wantOp("{")
	if !p.atOp("}") {
		f.Expr = p.parseExpr()
	}
	if p.err == nil && !p.atOp("}") {
		p.failUnexpected("expected } or an operator")
	}
	p.takeOp("}")
	return f
}

// parseOperators reads operands and operators of at least the given level outside of braces.
func (p *parser) parseOperators(min int) part {
	if !p.enterLevel() {
		return part{}
	}
	defer p.leaveLevel()
	left := p.parseOperand()
	for p.err == nil && p.tok.kind == tokenOp {
		op := Op(p.tok.text)
		lv := op.precedence()
		if lv == 0 && op.IsStructural() {
			lv = 3
		}
		if lv == 0 || lv < min {
			break
		}
		// A comparison of metrics with a constant is a second stage, which the pipeline reads.
		if left.kind == partMetrics && lv == 3 {
			break
		}
		pos := p.tok.pos
		p.readToken()
		next := lv + 1
		if op == "^" {
			next = lv
		}
		right := p.parseOperators(next)
		if p.err != nil {
			break
		}
		p.countNode()
		left = p.combineParts(op, pos, left, right)
	}
	return left
}

// combineParts decides what an operator makes of two parts.
func (p *parser) combineParts(op Op, pos int, l, r part) part {
	number := func(s partKind) bool { return s == partScalar || s == partConstant }
	piped := func(x part) bool { return x.kind == partPipeline || x.kind == partCombined }
	operand := func(x part) bool { return piped(x) || x.kind == partSpanset && x.closed }
	arithmetic := op.IsArithmetic()
	switch {
	case (op == "&&" || op == "||" || op.IsStructural()) && l.kind == partSpanset && r.kind == partSpanset:
		return part{node: &SpansetOp{Op: op, Left: l.node, Right: r.node, Pos: pos}, kind: partSpanset, closed: l.closed && r.closed}
	case (op == "&&" || op == "||" || op.IsStructural()) && (piped(l) || piped(r)):
		if !operand(l) || !operand(r) {
			p.failAt(pos, "beside a sub-pipeline the other operand of %s needs parentheses too", op)
			return part{}
		}
		return part{node: &SpansetOp{Op: op, Left: l.node, Right: r.node, Pos: pos}, kind: partCombined, closed: true}
	case arithmetic && l.kind == partConstant && r.kind == partConstant && op != "%" && op != "^":
		if l.duration || r.duration {
			p.failAt(pos, "durations take no part in arithmetic of constants")
		}
		return part{node: &Arithmetic{Op: op, Left: l.node, Right: r.node, Pos: pos}, kind: partConstant}
	case arithmetic && number(l.kind) && number(r.kind) && (l.kind == partScalar || r.kind == partScalar):
		return part{node: &Arithmetic{Op: op, Left: l.node, Right: r.node, Pos: pos}, kind: partScalar}
	case arithmetic && l.kind == partScalarPipeline && r.kind == partScalarPipeline:
		return part{node: &Arithmetic{Op: op, Left: l.node, Right: r.node, Pos: pos}, kind: partScalarPipeline}
	case arithmetic && op != "%" && op != "^" && (l.kind == partMetrics && (r.kind == partMetrics || r.kind == partConstant) || l.kind == partConstant && r.kind == partMetrics):
		if l.duration || r.duration {
			p.failAt(pos, "a duration cannot be a factor of metrics")
		}
		return part{node: &Arithmetic{Op: op, Left: l.node, Right: r.node, Pos: pos}, kind: partMetrics}
	case op.IsComparison() && op != "=~" && op != "!~" && number(l.kind) && number(r.kind) && (l.kind == partScalar || r.kind == partScalar):
		return part{node: &ScalarFilter{Op: op, Left: l.node, Right: r.node, Pos: pos}, kind: partScalarFilter}
	case op.IsComparison() && op != "=~" && op != "!~" && l.kind == partScalarPipeline && (r.kind == partScalarPipeline || r.kind == partConstant):
		return part{node: &ScalarFilter{Op: op, Left: l.node, Right: r.node, Pos: pos}, kind: partRejected}
	}
	p.failAt(pos, "operator %s cannot stand between these operands", op)
	return part{}
}

// parseOperand reads an operand outside of braces.
func (p *parser) parseOperand() part {
	if p.err != nil {
		return part{}
	}
	t := p.tok
	switch {
	case p.atOp("{"):
		return part{node: p.parseFilter(), kind: partSpanset}
	case p.atOp("("):
		p.readToken()
		in := p.parsePipeline(false)
		if p.err == nil && !p.atOp(")") {
			p.failUnexpected("expected )")
			return part{}
		}
		p.takeOp(")")
		if in.kind == partSpanset {
			in.closed = true
		}
		if in.kind == partPipeline {
			// (count() > 1) and (by(name)) are pipelines of one stage.
			in.closed = true
		}
		if in.kind == partRejected {
			p.failHere("a comparison of scalar pipelines cannot stand in parentheses")
		}
		return in
	case p.atOp("-"):
		p.readToken()
		of := p.parseNestedOperand()
		if p.err != nil {
			return part{}
		}
		if of.kind != partConstant {
			p.failAt(t.pos, "- needs a number or a duration here")
			return part{}
		}
		of.node = &Negate{Of: of.node}
		return of
	case t.kind == tokenInt || t.kind == tokenFloat || t.kind == tokenDuration:
		return part{node: p.parseLiteral(), kind: partConstant, duration: t.kind == tokenDuration}
	case t.kind == tokenWord:
		switch t.text {
		case "count":
			p.readToken()
			p.wantOp("(")
			p.wantOp(")")
			return part{node: &Aggregate{Func: t.text, Pos: t.pos}, kind: partScalar}
		case "min", "max", "avg", "sum":
			p.readToken()
			p.wantOp("(")
			e := p.parseExpr()
			p.wantOp(")")
			return part{node: &Aggregate{Func: t.text, Expr: e, Pos: t.pos}, kind: partScalar}
		case "by", "select", "coalesce", "rate", "compare":
			p.failUnexpected("it may only stand as a stage behind |")
			return part{}
		}
		if !isKeyword(t.text) {
			p.failHere("unknown identifier: %s%s", t.text, didYouMean(t.text, stageWords))
			return part{}
		}
	}
	p.failUnexpected("expected a filter in braces")
	return part{}
}

// parseNestedOperand is operand with the nesting counted.
func (p *parser) parseNestedOperand() part {
	if !p.enterLevel() {
		return part{}
	}
	defer p.leaveLevel()
	return p.parseOperand()
}
