package traceql

// parsePipeline reads stages up to the end of the query, a closing parenthesis or with. At the top
// it reads the query itself, otherwise the inside of parentheses.
func (p *parser) parsePipeline(top bool) part {
	first := p.parseStage(top)
	if p.err != nil {
		return part{}
	}
	if first.kind == partMetrics {
		if top {
			first = p.parseSecondStages(first)
		}
		return first
	}
	if !p.atOp("|") {
		return p.singleStage(first)
	}
	pl := &Pipeline{}
	for s := first; ; s = p.parseStage(top) {
		if p.err != nil {
			return part{}
		}
		if whole, ends := p.appendStage(pl, s, top); ends {
			return whole
		}
		if !p.takeOp("|") {
			return part{node: pl, kind: partPipeline}
		}
	}
}

// singleStage returns the part that one stage alone is.
func (p *parser) singleStage(s part) part {
	switch s.kind {
	case partScalarFilter, partStage:
		if _, ok := s.node.(*Coalesce); ok {
			p.failHere("a query cannot begin with coalesce()")
			return part{}
		}
		return part{node: &Pipeline{Stages: []Node{s.node}}, kind: partPipeline, closed: s.closed}
	case partFirstStage:
		p.failHere("metrics need a filter before them, such as {} | %s", s.node.(*Metrics).Func)
		return part{}
	}
	return s
}

// appendStage appends a stage to a pipeline. Where the pipeline ends with it, or it may not stand
// there, ends is true and whole is what the pipeline is.
func (p *parser) appendStage(pl *Pipeline, s part, top bool) (whole part, ends bool) {
	switch s.kind {
	case partSpanset, partScalarFilter, partStage:
		if _, ok := s.node.(*Coalesce); ok && len(pl.Stages) == 0 {
			p.failHere("a query cannot begin with coalesce()")
			return part{}, true
		}
		pl.Stages = append(pl.Stages, s.node)
		return part{}, false
	case partScalar:
		if agg, ok := s.node.(*Aggregate); ok && !top && len(pl.Stages) > 0 && p.atOp(")") {
			pl.Stages = append(pl.Stages, agg)
			return part{node: pl, kind: partScalarPipeline}, true
		}
		p.failUnexpected("an aggregate is not a filter: compare it with a number")
	case partFirstStage:
		if len(pl.Stages) == 0 {
			p.failHere("metrics need a filter before them")
			break
		}
		m := s.node.(*Metrics)
		m.Pipeline = pl
		return p.parseSecondStages(part{node: m, kind: partMetrics}), true
	case partCombined:
		p.failHere("no stage may come before or after combined sub-pipelines")
	default:
		p.failHere("this is not a stage of a pipeline")
	}
	return part{}, true
}

// parseSecondStages reads what may follow a metrics function: topk, bottomk, and comparisons of the
// samples with a constant.
func (p *parser) parseSecondStages(m part) part {
	for p.err == nil {
		pos := p.tok.pos
		if op := Op(p.tok.text); p.tok.kind == tokenOp && op.ordersNumbers() {
			p.readToken()
			c := p.parseOperators(precedenceComparison + 1)
			if p.err == nil && c.kind != partConstant {
				p.failAt(pos, "samples can be compared with a number or a duration only")
			}
			m.node = &Second{Of: m.node, Op: op, Value: c.node, Pos: pos}
			continue
		}
		if !p.takeOp("|") {
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

// parseInteger reads an integer, which must be next.
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
		case "rate", "count_over_time", "min_over_time", "max_over_time", "sum_over_time", "avg_over_time",
			"quantile_over_time", "histogram_over_time", "compare":
			return part{node: p.parseMetrics(), kind: partFirstStage}
		case "topk", "bottomk":
			p.failUnexpected("it may only follow a metrics function")
			return part{}
		}
	}
	e := p.parseOperators(precedenceLogical)
	if e.kind == partMetrics && !top && p.err == nil && !p.atOp(")") {
		p.failUnexpected("in parentheses a metrics query ends here")
	}
	return e
}

// parseFields reads one field or more, separated by commas.
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

// parseMetrics reads a metrics function with its arguments and its by (…).
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
		if m.Func == "quantile_over_time" {
			m.Quantiles = p.parseQuantiles()
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

// parseQuantiles reads a comma and one quantile or more.
func (p *parser) parseQuantiles() []*Literal {
	var out []*Literal
	p.wantOp(",")
	for p.err == nil {
		if p.tok.kind != tokenInt && p.tok.kind != tokenFloat {
			p.failUnexpected("expected a quantile between 0 and 1")
			break
		}
		out = append(out, p.parseLiteral())
		if !p.takeOp(",") {
			break
		}
	}
	return out
}

// parseCompare reads the arguments of compare().
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

// parseFilter reads a filter in braces.
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
