package traceql

// ParseField reads the name of an attribute or an intrinsic, as it stands in a query:
// `span.http.method`, `.region`, `event:name`. The error is a *SyntaxError.
func ParseField(name string) (*Field, error) {
	if len(name) > MaxQueryBytes {
		return nil, errorAt(name, 0, false, "name of %d bytes is longer than the limit of %d", len(name), MaxQueryBytes)
	}
	p := &parser{lexer: lexer{q: name}}
	p.readToken()
	first := p.tok
	f := p.parseFieldRef()
	switch {
	case p.err != nil:
		return nil, p.err
	case f == nil && first.kind == tokenWord && !isKeyword(first.text):
		hint := didYouMean(first.text, fieldWords)
		return nil, errorAt(name, first.pos, false, "unknown identifier: %s%s", first.text, hint)
	case f == nil:
		return nil, errorAt(name, first.pos, false, "%s is no field", first)
	case p.tok.kind != tokenEnd:
		return nil, errorAt(name, p.tok.pos, false, "unexpected %s behind the field", p.tok)
	}
	return f, nil
}
