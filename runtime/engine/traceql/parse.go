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
	p.advance()
	query := p.query()
	if p.err != nil {
		return nil, p.err
	}
	if err := check(q, query); err != nil {
		return nil, err
	}
	return query, nil
}

// sort is what a parsed part outside of braces may be used as.
type sort uint8

const (
	isNothing        sort = iota
	isSpanset             // filters and operators on them
	isPipeline            // a pipeline in parentheses that is more than a spanset
	isCombined            // operators on pipelines in parentheses
	isScalar              // aggregates and arithmetic on them
	isConst               // constants and arithmetic on them
	isScalarFilter        // comparison of scalars
	isScalarPipeline      // a pipeline in parentheses that ends in an aggregate, and arithmetic on such
	isRejected            // comparison of scalar pipelines: parses, never valid
	isStage               // by, select, coalesce
	isMetrics             // metrics in parentheses and arithmetic on them
	isFirst               // a metrics function, as a stage
)

// part is a parsed part of a query outside of braces.
type part struct {
	node     Node
	sort     sort
	closed   bool // all its operands stand in parentheses of their own: may be operand beside a sub-pipeline
	duration bool // constant of type duration: no arithmetic with other constants
}

type parser struct {
	lexer
	tok   token
	depth int
	nodes int
}

func (p *parser) advance() { p.tok = p.next() }

func (p *parser) op(text string) bool { return p.tok.kind == tokenOp && p.tok.text == text }

func (p *parser) isWord(text string) bool { return p.tok.kind == tokenWord && p.tok.text == text }

// take skips the operator if it is next.
func (p *parser) take(op string) bool {
	if !p.op(op) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) want(op string) {
	if !p.take(op) {
		p.unexpected("expected " + op)
	}
}

func (p *parser) unexpected(hint string) {
	if hint != "" {
		hint = ", " + hint
	}
	p.failTok("unexpected %s%s", p.tok, hint)
}

func (p *parser) failTok(format string, args ...any) { p.failAt(p.tok.pos, format, args...) }

// failAt notes the first error and moves to the end, so that every loop ends.
func (p *parser) failAt(pos int, format string, args ...any) {
	p.lexer.fail(pos, format, args...)
	p.tok = token{kind: tokenEnd, pos: len(p.q), end: len(p.q)}
}

// enter counts a level of nesting; leave must follow if it returns true.
func (p *parser) enter() bool {
	if p.depth++; p.depth > maxDepth {
		p.failTok("query is nested deeper than %d", maxDepth)
		p.depth--
		return false
	}
	return p.err == nil || p.leave()
}

func (p *parser) leave() bool { p.depth--; return false }

func (p *parser) count() {
	if p.nodes++; p.nodes > maxNodes {
		p.failTok("query has more than %d parts", maxNodes)
	}
}

func (p *parser) query() *Query {
	q := &Query{}
	root := p.pipeline(true)
	switch root.sort {
	case isPipeline, isSpanset, isCombined, isMetrics, isRejected:
		q.Root = root.node
	default:
		if p.err == nil {
			p.failTok("query is not complete: a query is a filter in braces, a pipeline or a metrics query")
		}
	}
	for p.isWord("with") {
		q.Hints = p.hints()
	}
	if p.err == nil && p.tok.kind != tokenEnd {
		p.unexpected("")
	}
	return q
}

func (p *parser) hints() []Hint {
	p.advance()
	p.want("(")
	var hints []Hint
	for p.err == nil {
		name := p.tok
		if name.kind != tokenWord || keyword(name.text) || name.text == "minInt" || name.text == "maxInt" {
			p.unexpected("expected the name of a hint")
			break
		}
		p.advance()
		p.want("=")
		v := p.literal()
		if v == nil {
			p.unexpected("expected the value of hint " + name.text)
			break
		}
		hints = append(hints, Hint{Name: name.text, Value: v})
		if !p.take(",") {
			break
		}
	}
	p.want(")")
	return hints
}

// literal reads a literal if one is next.
func (p *parser) literal() *Literal {
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
	p.count()
	p.advance()
	return l
}

// pipeline reads stages up to the end, a closing parenthesis or with. top: it is the query itself,
// not in parentheses.
func (p *parser) pipeline(top bool) part {
	first := p.stage(top)
	if p.err != nil {
		return part{}
	}
	if first.sort == isMetrics {
		if top {
			first = p.seconds(first, true)
		}
		return first
	}
	if !p.op("|") {
		switch first.sort {
		case isScalarFilter, isStage:
			if _, ok := first.node.(*Coalesce); ok {
				p.failTok("a query cannot begin with coalesce()")
				return part{}
			}
			return part{node: &Pipeline{Stages: []Node{first.node}}, sort: isPipeline, closed: first.closed}
		case isFirst:
			p.failTok("metrics need a filter before them, such as {} | %s", first.node.(*Metrics).Func)
			return part{}
		}
		return first
	}
	pl := &Pipeline{}
	for s := first; ; s = p.stage(top) {
		if p.err != nil {
			return part{}
		}
		switch s.sort {
		case isSpanset, isScalarFilter, isStage:
			if _, ok := s.node.(*Coalesce); ok && len(pl.Stages) == 0 {
				p.failTok("a query cannot begin with coalesce()")
				return part{}
			}
			pl.Stages = append(pl.Stages, s.node)
		case isScalar:
			if agg, ok := s.node.(*Aggregate); ok && !top && len(pl.Stages) > 0 && p.op(")") {
				pl.Stages = append(pl.Stages, agg)
				return part{node: pl, sort: isScalarPipeline}
			}
			p.unexpected("an aggregate is not a filter: compare it with a number")
			return part{}
		case isFirst:
			if len(pl.Stages) == 0 {
				p.failTok("metrics need a filter before them")
				return part{}
			}
			m := s.node.(*Metrics)
			m.Pipeline = pl
			return p.seconds(part{node: m, sort: isMetrics}, true)
		case isCombined:
			p.failTok("no stage may come before or after combined sub-pipelines")
			return part{}
		default:
			p.failTok("this is not a stage of a pipeline")
			return part{}
		}
		if !p.take("|") {
			break
		}
	}
	return part{node: pl, sort: isPipeline}
}

// seconds reads the second stages of a metrics query.
func (p *parser) seconds(m part, pipes bool) part {
	for p.err == nil {
		pos := p.tok.pos
		if op := Op(p.tok.text); p.tok.kind == tokenOp && op.IsComparison() && op != "=~" && op != "!~" {
			p.advance()
			c := p.binary(4) // all that binds closer than a comparison
			if p.err == nil && c.sort != isConst {
				p.failAt(pos, "samples can be compared with a number or a duration only")
			}
			m.node = &Second{Of: m.node, Op: op, Value: c.node, Pos: pos}
			continue
		}
		if !pipes || !p.take("|") {
			break
		}
		f := p.tok.text
		if !p.isWord("topk") && !p.isWord("bottomk") {
			p.unexpected("after a metrics function only topk(n), bottomk(n) and comparisons may follow")
			break
		}
		p.advance()
		p.want("(")
		n := p.integer()
		p.want(")")
		m.node = &Second{Of: m.node, Func: f, Limit: n, Pos: pos}
	}
	return m
}

func (p *parser) integer() int64 {
	n := p.tok.num
	if p.tok.kind != tokenInt {
		p.unexpected("expected an integer")
	} else {
		p.advance()
	}
	return n
}

// stage reads one stage.
func (p *parser) stage(top bool) part {
	p.count()
	t := p.tok
	if t.kind == tokenWord {
		switch t.text {
		case "by":
			p.advance()
			p.want("(")
			e := p.field()
			p.want(")")
			return part{node: &GroupBy{Expr: e, Pos: t.pos}, sort: isStage}
		case "coalesce":
			p.advance()
			p.want("(")
			p.want(")")
			return part{node: &Coalesce{}, sort: isStage}
		case "select":
			p.advance()
			p.want("(")
			s := &Select{Fields: p.fields()}
			p.want(")")
			return part{node: s, sort: isStage}
		case "rate", "count_over_time", "min_over_time", "max_over_time", "sum_over_time", "avg_over_time", "quantile_over_time",
			"histogram_over_time", "compare":
			return part{node: p.metrics(), sort: isFirst}
		case "topk", "bottomk":
			p.unexpected("it may only follow a metrics function")
			return part{}
		}
	}
	e := p.binary(2)
	if e.sort == isMetrics && !top && p.err == nil && !p.op(")") {
		p.unexpected("in parentheses a metrics query ends here")
	}
	return e
}

func (p *parser) fields() []*Field {
	var out []*Field
	for p.err == nil {
		f := p.fieldRef()
		if f == nil {
			p.unexpected("expected a field")
			break
		}
		out = append(out, f)
		if !p.take(",") {
			break
		}
	}
	return out
}

func (p *parser) metrics() *Metrics {
	m := &Metrics{Func: p.tok.text, Pos: p.tok.pos}
	p.advance()
	p.want("(")
	switch m.Func {
	case "rate", "count_over_time":
	case "compare":
		m.Compare = p.compare()
		p.want(")")
		return m
	default:
		if m.Field = p.fieldRef(); m.Field == nil {
			p.unexpected("expected a field")
		}
		if m.Func != "quantile_over_time" {
			break
		}
		p.want(",")
		for p.err == nil {
			if p.tok.kind != tokenInt && p.tok.kind != tokenFloat {
				p.unexpected("expected a quantile between 0 and 1")
				break
			}
			m.Quantiles = append(m.Quantiles, p.literal())
			if !p.take(",") {
				break
			}
		}
	}
	p.want(")")
	if p.isWord("by") {
		p.advance()
		p.want("(")
		m.By = p.fields()
		p.want(")")
	}
	return m
}

func (p *parser) compare() *Compare {
	c := &Compare{Top: 10}
	if !p.op("{") {
		p.unexpected("compare needs a filter in braces")
		return c
	}
	c.Selection = p.filter()
	if p.take(",") {
		c.Top, c.Args = p.integer(), 1
		if p.take(",") {
			c.Start = p.integer()
			p.want(",")
			c.End, c.Args = p.integer(), 3
		}
	}
	return c
}

func (p *parser) filter() *Filter {
	f := &Filter{Pos: p.tok.pos}
	p.want("{")
	if !p.op("}") {
		f.Expr = p.field()
	}
	if p.err == nil && !p.op("}") {
		p.unexpected("expected } or an operator")
	}
	p.take("}")
	return f
}

// binary reads operands and operators of at least the given level outside of braces.
func (p *parser) binary(min int) part {
	if !p.enter() {
		return part{}
	}
	defer p.leave()
	left := p.operand()
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
		if left.sort == isMetrics && lv == 3 {
			break
		}
		pos := p.tok.pos
		p.advance()
		next := lv + 1
		if op == "^" {
			next = lv
		}
		right := p.binary(next)
		if p.err != nil {
			break
		}
		p.count()
		left = p.combine(op, pos, left, right)
	}
	return left
}

// combine decides what an operator makes of two parts.
func (p *parser) combine(op Op, pos int, l, r part) part {
	number := func(s sort) bool { return s == isScalar || s == isConst }
	piped := func(x part) bool { return x.sort == isPipeline || x.sort == isCombined }
	operand := func(x part) bool { return piped(x) || x.sort == isSpanset && x.closed }
	arithmetic := op.IsArithmetic()
	switch {
	case (op == "&&" || op == "||" || op.IsStructural()) && l.sort == isSpanset && r.sort == isSpanset:
		return part{node: &SpansetOp{Op: op, Left: l.node, Right: r.node, Pos: pos}, sort: isSpanset, closed: l.closed && r.closed}
	case (op == "&&" || op == "||" || op.IsStructural()) && (piped(l) || piped(r)):
		if !operand(l) || !operand(r) {
			p.failAt(pos, "beside a sub-pipeline the other operand of %s needs parentheses too", op)
			return part{}
		}
		return part{node: &SpansetOp{Op: op, Left: l.node, Right: r.node, Pos: pos}, sort: isCombined, closed: true}
	case arithmetic && l.sort == isConst && r.sort == isConst && op != "%" && op != "^":
		if l.duration || r.duration {
			p.failAt(pos, "durations take no part in arithmetic of constants")
		}
		return part{node: &Arithmetic{Op: op, Left: l.node, Right: r.node, Pos: pos}, sort: isConst}
	case arithmetic && number(l.sort) && number(r.sort) && (l.sort == isScalar || r.sort == isScalar):
		return part{node: &Arithmetic{Op: op, Left: l.node, Right: r.node, Pos: pos}, sort: isScalar}
	case arithmetic && l.sort == isScalarPipeline && r.sort == isScalarPipeline:
		return part{node: &Arithmetic{Op: op, Left: l.node, Right: r.node, Pos: pos}, sort: isScalarPipeline}
	case arithmetic && op != "%" && op != "^" && (l.sort == isMetrics && (r.sort == isMetrics || r.sort == isConst) || l.sort == isConst && r.sort == isMetrics):
		if l.duration || r.duration {
			p.failAt(pos, "a duration cannot be a factor of metrics")
		}
		return part{node: &Arithmetic{Op: op, Left: l.node, Right: r.node, Pos: pos}, sort: isMetrics}
	case op.IsComparison() && op != "=~" && op != "!~" && number(l.sort) && number(r.sort) && (l.sort == isScalar || r.sort == isScalar):
		return part{node: &ScalarFilter{Op: op, Left: l.node, Right: r.node, Pos: pos}, sort: isScalarFilter}
	case op.IsComparison() && op != "=~" && op != "!~" && l.sort == isScalarPipeline && (r.sort == isScalarPipeline || r.sort == isConst):
		return part{node: &ScalarFilter{Op: op, Left: l.node, Right: r.node, Pos: pos}, sort: isRejected}
	}
	p.failAt(pos, "operator %s cannot stand between these operands", op)
	return part{}
}

// operand reads an operand outside of braces.
func (p *parser) operand() part {
	if p.err != nil {
		return part{}
	}
	t := p.tok
	switch {
	case p.op("{"):
		return part{node: p.filter(), sort: isSpanset}
	case p.op("("):
		p.advance()
		in := p.pipeline(false)
		if p.err == nil && !p.op(")") {
			p.unexpected("expected )")
			return part{}
		}
		p.take(")")
		if in.sort == isSpanset {
			in.closed = true
		}
		if in.sort == isPipeline {
			// (count() > 1) and (by(name)) are pipelines of one stage.
			in.closed = true
		}
		if in.sort == isRejected {
			p.failTok("a comparison of scalar pipelines cannot stand in parentheses")
		}
		return in
	case p.op("-"):
		p.advance()
		of := p.operand0()
		if p.err != nil {
			return part{}
		}
		if of.sort != isConst {
			p.failAt(t.pos, "- needs a number or a duration here")
			return part{}
		}
		of.node = &Negate{Of: of.node}
		return of
	case t.kind == tokenInt || t.kind == tokenFloat || t.kind == tokenDuration:
		return part{node: p.literal(), sort: isConst, duration: t.kind == tokenDuration}
	case t.kind == tokenWord:
		switch t.text {
		case "count":
			p.advance()
			p.want("(")
			p.want(")")
			return part{node: &Aggregate{Func: t.text, Pos: t.pos}, sort: isScalar}
		case "min", "max", "avg", "sum":
			p.advance()
			p.want("(")
			e := p.field()
			p.want(")")
			return part{node: &Aggregate{Func: t.text, Expr: e, Pos: t.pos}, sort: isScalar}
		case "by", "select", "coalesce", "rate", "compare":
			p.unexpected("it may only stand as a stage behind |")
			return part{}
		}
		if !keyword(t.text) {
			p.failTok("unknown identifier: %s%s", t.text, didYouMean(t.text, stageWords))
			return part{}
		}
	}
	p.unexpected("expected a filter in braces")
	return part{}
}

// operand0 is operand with the nesting counted.
func (p *parser) operand0() part {
	if !p.enter() {
		return part{}
	}
	defer p.leave()
	return p.operand()
}
