package traceql

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// tokenKind tells tokens apart. Operators and punctuation marks are tokenOp with their text.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenOp
	tokenWord     // keyword or identifier
	tokenAttr     // attribute: scope and text, which is the name
	tokenScope    // a word and a colon, such as span: — text is the word
	tokenString   // text is the content
	tokenInt      // num
	tokenFloat    // float
	tokenDuration // num
)

// token is one token of a query. Which of its values are set depends on its kind.
type token struct {
	kind  tokenKind
	pos   int // byte offset in the query
	end   int
	text  string
	scope FieldScope
	num   int64
	float float64
}

// operatorLength returns the length of the longest operator that s begins with, 0 for none.
func operatorLength(s string) int {
	at := func(i int) byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	c, d := at(0), at(1)
	switch c {
	case '&', '!':
		switch {
		case d == '>' || d == '<':
			if at(2) == d {
				return 3
			}
			return 2
		case d == '~' || c == '&' && d == '&' || c == '!' && d == '=':
			return 2
		case c == '!':
			return 1
		}
		return 0
	case '|', '>', '<', '=':
		if d == c && c != '=' || d == '=' && (c == '>' || c == '<') || d == '~' && c == '=' {
			return 2
		}
		return 1
	case '~', '+', '-', '*', '/', '%', '^', '(', ')', '{', '}', ',':
		return 1
	}
	return 0
}

// lexer cuts a query into tokens. After the first error only tokenEnd follows.
type lexer struct {
	q   string
	pos int
	err *SyntaxError
}

// failAt notes an error, if it is the first, and ends the query.
func (l *lexer) failAt(pos int, format string, args ...any) token {
	if l.err == nil {
		l.err = errorAt(l.q, pos, false, format, args...)
	}
	l.pos = len(l.q)
	return token{kind: tokenEnd, pos: len(l.q), end: len(l.q)}
}

// skipSpace skips white space and comments.
func (l *lexer) skipSpace() {
	for l.pos < len(l.q) {
		switch c := l.q[l.pos]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			l.pos++
		case strings.HasPrefix(l.q[l.pos:], "//"):
			n := strings.IndexByte(l.q[l.pos:], '\n')
			if n < 0 {
				n = len(l.q) - l.pos
			}
			l.pos += n
		case strings.HasPrefix(l.q[l.pos:], "/*"):
			n := strings.Index(l.q[l.pos+2:], "*/")
			if n < 0 {
				l.failAt(l.pos, "comment is not closed")
				return
			}
			l.pos += n + 4
		default:
			return
		}
	}
}

// next returns the next token.
func (l *lexer) next() token {
	l.skipSpace()
	t := l.scanToken()
	t.end = l.pos
	return t
}

// scanToken reads one token, but does not set its end.
func (l *lexer) scanToken() token {
	start := l.pos
	if start >= len(l.q) {
		return token{kind: tokenEnd, pos: start}
	}
	c := l.q[start]
	switch {
	case c == '"' || c == '`':
		return l.scanString(start)
	case isDigit(c) || c == '.' && start+1 < len(l.q) && isDigit(l.q[start+1]):
		return l.scanNumber(start)
	case c == '.':
		l.pos++
		return l.scanAttribute(start, ScopeNone)
	}
	if r, _ := utf8.DecodeRuneInString(l.q[start:]); r == '_' || unicode.IsLetter(r) {
		return l.scanWord(start)
	}
	if n := operatorLength(l.q[start:]); n > 0 {
		l.pos += n
		return token{kind: tokenOp, pos: start, text: l.q[start:l.pos]}
	}
	r, _ := utf8.DecodeRuneInString(l.q[start:])
	switch r {
	case '\'':
		return l.failAt(start, "unexpected ': strings are written in double quotes or back quotes")
	case '&':
		return l.failAt(start, "unexpected &: did you mean && ?")
	case '#':
		return l.failAt(start, "unexpected #: comments begin with //")
	}
	return l.failAt(start, "unexpected %q", r)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// scanWord reads a word, or the attribute or scope that begins with one.
func (l *lexer) scanWord(start int) token {
	for l.pos < len(l.q) {
		r, n := utf8.DecodeRuneInString(l.q[l.pos:])
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		l.pos += n
	}
	w := l.q[start:l.pos]
	if l.pos < len(l.q) {
		switch l.q[l.pos] {
		case '.':
			if s, ok := attributeScope(w); ok {
				l.pos++
				if s == ScopeParent {
					if rest := l.q[l.pos:]; strings.HasPrefix(rest, "span.") {
						s, l.pos = ScopeParentSpan, l.pos+len("span.")
					} else if strings.HasPrefix(rest, "resource.") {
						s, l.pos = ScopeParentResource, l.pos+len("resource.")
					}
				}
				return l.scanAttribute(start, s)
			}
		case ':':
			switch w {
			case "trace", "span", "resource", "event", "link", "instrumentation":
				l.pos++
				return token{kind: tokenScope, pos: start, text: w}
			}
		}
	}
	return token{kind: tokenWord, pos: start, text: w}
}

// attributeScope returns the scope of attributes whose names begin with a word and a dot.
func attributeScope(w string) (FieldScope, bool) {
	switch w {
	case "span":
		return ScopeSpan, true
	case "resource":
		return ScopeResource, true
	case "event":
		return ScopeEvent, true
	case "link":
		return ScopeLink, true
	case "instrumentation":
		return ScopeInstrumentation, true
	case "parent":
		return ScopeParent, true
	}
	return 0, false
}

// endsName reports whether r ends an attribute name outside of quotes.
func endsName(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("{}()=~!<>&|^,", r) }

// scanAttribute reads the name of an attribute behind its scope and dot. Parts of a name may stand
// in quotes: span."a b".c is the attribute `a b.c`.
func (l *lexer) scanAttribute(start int, scope FieldScope) token {
	t := token{kind: tokenAttr, pos: start, scope: scope}
	from := l.pos
	var name []byte // up to from, once a quoted part was seen
	quoted := false
	for l.pos < len(l.q) {
		r, n := utf8.DecodeRuneInString(l.q[l.pos:])
		if endsName(r) {
			break
		}
		if r != '"' {
			l.pos += n
			continue
		}
		name, quoted = append(name, l.q[from:l.pos]...), true
		var ok bool
		if name, ok = l.appendQuoted(name); !ok {
			return token{kind: tokenEnd, pos: len(l.q), end: len(l.q)}
		}
		from = l.pos
	}
	if quoted {
		t.text = string(append(name, l.q[from:l.pos]...))
		return t
	}
	if t.text = l.q[from:l.pos]; t.text == "" {
		return l.failAt(l.pos, "attribute name is missing after %s", l.q[start:l.pos])
	}
	return t
}

// appendQuoted appends to name the quoted part that begins at the lexer's position, and skips it.
func (l *lexer) appendQuoted(name []byte) (out []byte, ok bool) {
	open := l.pos
	for l.pos++; ; l.pos++ {
		if l.pos >= len(l.q) {
			l.failAt(open, "quote of an attribute name is not closed")
			return nil, false
		}
		c := l.q[l.pos]
		if c == '"' {
			l.pos++
			return name, true
		}
		if c == '\\' {
			l.pos++
			if l.pos >= len(l.q) || l.q[l.pos] != '"' && l.q[l.pos] != '\\' {
				l.failAt(l.pos-1, `only \" and \\ are escapes in an attribute name`)
				return nil, false
			}
			c = l.q[l.pos]
		}
		name = append(name, c)
	}
}

// scanString reads a string in double quotes or back quotes.
func (l *lexer) scanString(start int) token {
	t := token{kind: tokenString, pos: start}
	if l.q[start] == '`' {
		n := strings.IndexByte(l.q[start+1:], '`')
		if n < 0 {
			return l.failAt(start, "string is not closed")
		}
		t.text = strings.ReplaceAll(l.q[start+1:start+1+n], "\r", "")
		l.pos += n + 2
		return t
	}
	for l.pos++; ; l.pos++ {
		if l.pos >= len(l.q) || l.q[l.pos] == '\n' {
			return l.failAt(start, "string is not closed")
		}
		if l.q[l.pos] == '\\' {
			l.pos++
		} else if l.q[l.pos] == '"' {
			break
		}
	}
	l.pos++
	s, err := strconv.Unquote(l.q[start:l.pos])
	if err != nil {
		return l.failAt(start, "string has an escape that is not known; use back quotes or \\\\ for a backslash")
	}
	t.text = s
	return t
}

// scanNumber reads an integer, a float or a duration.
func (l *lexer) scanNumber(start int) token {
	end := start
	for end < len(l.q) {
		r, n := utf8.DecodeRuneInString(l.q[end:])
		if !strings.ContainsRune("0123456789.nsuµμmhdwy", r) {
			break
		}
		end += n
	}
	if d, ok := parseDuration(l.q[start:end]); ok {
		l.pos = end
		return token{kind: tokenDuration, pos: start, num: int64(d)}
	}
	isFloat := l.skipNumber()
	s := l.q[start:l.pos]
	if l.pos < len(l.q) {
		if r, _ := utf8.DecodeRuneInString(l.q[l.pos:]); r == '_' || unicode.IsLetter(r) {
			run := l.q[start:max(end, l.pos+utf8.RuneLen(r))]
			return l.failAt(start, "%s is neither a number nor a duration", run)
		}
	}
	if isFloat {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return l.failAt(start, "number %s is out of range", s)
		}
		return token{kind: tokenFloat, pos: start, float: f}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return l.failAt(start, "integer %s is out of range", s)
	}
	return token{kind: tokenInt, pos: start, num: n}
}

// skipNumber skips digits, and a fraction and an exponent if they follow. It reports whether the
// number is a float.
func (l *lexer) skipNumber() (isFloat bool) {
	p := skipDigits(l.q, l.pos)
	if p < len(l.q) && l.q[p] == '.' {
		isFloat = true
		p = skipDigits(l.q, p+1)
	}
	if p < len(l.q) && (l.q[p] == 'e' || l.q[p] == 'E') {
		e := p + 1
		if e < len(l.q) && (l.q[e] == '+' || l.q[e] == '-') {
			e++
		}
		if e < len(l.q) && isDigit(l.q[e]) {
			isFloat = true
			p = skipDigits(l.q, e)
		}
	}
	l.pos = p
	return isFloat
}

// skipDigits returns the offset behind the digits of s that begin at an offset.
func skipDigits(s string, at int) int {
	for at < len(s) && isDigit(s[at]) {
		at++
	}
	return at
}

// parseDuration reads a duration from a run of digits and letters of units: integers with the units
// y w d h m s ms in descending order, or anything that time.ParseDuration takes. A run without a
// unit is no duration.
func parseDuration(run string) (time.Duration, bool) {
	if strings.IndexFunc(run, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }) < 0 {
		return 0, false
	}
	if d, ok := parseCompound(run); ok {
		return d, true
	}
	d, err := time.ParseDuration(run)
	return d, err == nil
}

// parseCompound reads integers with units in descending order, such as 1h30m.
func parseCompound(s string) (time.Duration, bool) {
	const day = 24 * time.Hour
	units := [...]struct {
		name string
		unit time.Duration
	}{
		{"y", 365 * day},
		{"w", 7 * day},
		{"d", day},
		{"h", time.Hour},
		{"m", time.Minute},
		{"s", time.Second},
		{"ms", time.Millisecond},
	}
	total, next := time.Duration(0), 0
	for s != "" {
		n := 0
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		m := n
		for m < len(s) && !isDigit(s[m]) {
			m++
		}
		for next < len(units) && units[next].name != s[n:m] {
			next++
		}
		v, err := strconv.ParseInt(s[:n], 10, 64)
		if err != nil || next == len(units) || v > (math.MaxInt64-int64(total))/int64(units[next].unit) {
			return 0, false
		}
		total += time.Duration(v) * units[next].unit
		next++
		s = s[m:]
	}
	return total, true
}

// String describes a token for errors.
func (t token) String() string {
	switch t.kind {
	case tokenEnd:
		return "end of query"
	case tokenOp, tokenWord:
		return t.text
	case tokenAttr:
		return (&Field{Scope: t.scope, Name: t.text}).String()
	case tokenScope:
		return t.text + ":"
	case tokenString:
		return "string " + strconv.Quote(t.text)
	case tokenInt:
		return fmt.Sprint("number ", t.num)
	case tokenFloat:
		return "number " + floatText(t.float)
	}
	return "duration " + time.Duration(t.num).String()
}
