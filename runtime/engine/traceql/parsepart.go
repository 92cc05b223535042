package traceql

// partKind is what a parsed part outside of braces may be used as.
type partKind uint8

const (
	partNothing        partKind = iota
	partSpanset                 // filters and operators on them
	partPipeline                // a pipeline in parentheses that is more than a spanset
	partCombined                // operators on pipelines in parentheses
	partScalar                  // aggregates and arithmetic on them
	partConstant                // constants and arithmetic on them
	partScalarFilter            // a comparison of scalars
	partScalarPipeline          // a pipeline in parentheses that ends in an aggregate; arithmetic on such
	partRejected                // a comparison of scalar pipelines, which parses and is never valid
	partStage                   // by, select, coalesce
	partMetrics                 // metrics in parentheses and arithmetic on them
	partFirstStage              // a metrics function, as a stage
)

// part is a parsed part of a query outside of braces.
type part struct {
	node Node
	kind partKind
	// closed: all operands stand in parentheses of their own, so that the part may be an operand
	// beside a sub-pipeline.
	closed   bool
	duration bool // the part is a constant of type duration: no arithmetic with other constants
}

// isPiped reports whether the part is, or contains, a sub-pipeline.
func (x part) isPiped() bool { return x.kind == partPipeline || x.kind == partCombined }

// isNumber reports whether the part is one number for a spanset.
func (x part) isNumber() bool { return x.kind == partScalar || x.kind == partConstant }

// parseOperators reads operands and operators of at least the given precedence outside of braces.
func (p *parser) parseOperators(least int) part {
	if !p.enterLevel() {
		return part{}
	}
	defer p.leaveLevel()
	left := p.parseOperand()
	for p.err == nil && p.tok.kind == tokenOp {
		op := Op(p.tok.text)
		level := op.precedence()
		if level == 0 && op.IsStructural() {
			level = precedenceComparison
		}
		if level == 0 || level < least {
			break
		}
		// A comparison of metrics with a constant is a second stage, which the pipeline reads.
		if left.kind == partMetrics && level == precedenceComparison {
			break
		}
		pos := p.tok.pos
		p.readToken()
		right := p.parseOperators(rightPrecedence(op, level))
		if p.err != nil {
			break
		}
		p.countNode()
		left = p.combineParts(op, pos, left, right)
	}
	return left
}

// combineParts returns the part that an operator makes of two parts.
func (p *parser) combineParts(op Op, pos int, l, r part) part {
	var out part
	switch {
	case op.relatesSpansets() && l.kind == partSpanset && r.kind == partSpanset:
		out = part{kind: partSpanset, closed: l.closed && r.closed}
	case op.relatesSpansets() && (l.isPiped() || r.isPiped()):
		return p.combinePipelines(op, pos, l, r)
	case op.IsArithmetic():
		out.kind = p.kindOfArithmetic(op, pos, l, r)
	case op.ordersNumbers():
		out.kind = kindOfComparison(l, r)
	}
	switch out.kind {
	case partNothing:
		p.failAt(pos, "operator %s cannot stand between these operands", op)
	case partSpanset:
		out.node = &SpansetOp{Op: op, Left: l.node, Right: r.node, Pos: pos}
	case partScalarFilter, partRejected:
		out.node = &ScalarFilter{Op: op, Left: l.node, Right: r.node, Pos: pos}
	default:
		out.node = &Arithmetic{Op: op, Left: l.node, Right: r.node, Pos: pos}
	}
	return out
}

// combinePipelines combines two operands of which one at least is a sub-pipeline.
func (p *parser) combinePipelines(op Op, pos int, l, r part) part {
	for _, x := range []part{l, r} {
		if !x.isPiped() && !(x.kind == partSpanset && x.closed) {
			p.failAt(pos, "beside a sub-pipeline the other operand of %s needs parentheses too", op)
			return part{}
		}
	}
	return part{node: &SpansetOp{Op: op, Left: l.node, Right: r.node, Pos: pos}, kind: partCombined, closed: true}
}

// kindOfArithmetic returns what arithmetic on two parts is, partNothing where there is none.
func (p *parser) kindOfArithmetic(op Op, pos int, l, r part) partKind {
	simple := op != "%" && op != "^"
	duration := l.duration || r.duration
	switch {
	case l.kind == partConstant && r.kind == partConstant:
		if !simple {
			return partNothing
		}
		if duration {
			p.failAt(pos, "durations take no part in arithmetic of constants")
		}
		return partConstant
	case l.isNumber() && r.isNumber():
		return partScalar
	case l.kind == partScalarPipeline && r.kind == partScalarPipeline:
		return partScalarPipeline
	case simple && l.isFactor() && r.isFactor():
		if duration {
			p.failAt(pos, "a duration cannot be a factor of metrics")
		}
		return partMetrics
	}
	return partNothing
}

// isFactor reports whether the part may stand beside metrics in arithmetic.
func (x part) isFactor() bool { return x.kind == partMetrics || x.kind == partConstant }

// kindOfComparison returns what a comparison of two parts is, partNothing where there is none.
func kindOfComparison(l, r part) partKind {
	switch {
	case l.kind == partConstant && r.kind == partConstant:
		return partNothing
	case l.isNumber() && r.isNumber():
		return partScalarFilter
	case l.kind == partScalarPipeline && (r.kind == partScalarPipeline || r.kind == partConstant):
		return partRejected
	}
	return partNothing
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
		return p.parseParentheses()
	case p.atOp("-"):
		return p.parseNegation()
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

// parseParentheses reads a pipeline in parentheses.
func (p *parser) parseParentheses() part {
	p.readToken()
	in := p.parsePipeline(false)
	if p.err == nil && !p.atOp(")") {
		p.failUnexpected("expected )")
		return part{}
	}
	p.takeOp(")")
	switch in.kind {
	case partSpanset, partPipeline: // (count() > 1) and (by(name)) are pipelines of one stage
		in.closed = true
	case partRejected:
		p.failHere("a comparison of scalar pipelines cannot stand in parentheses")
	}
	return in
}

// parseNegation reads - and a constant.
func (p *parser) parseNegation() part {
	pos := p.tok.pos
	p.readToken()
	if !p.enterLevel() {
		return part{}
	}
	defer p.leaveLevel()
	of := p.parseOperand()
	if p.err != nil {
		return part{}
	}
	if of.kind != partConstant {
		p.failAt(pos, "- needs a number or a duration here")
		return part{}
	}
	of.node = &Negate{Of: of.node}
	return of
}
