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

// tokenKind tells tokens apart. Operators and punctuation are tokenOp with their text.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenOp
	tokenWord     // keyword or identifier
	tokenAttr     // attribute with its scope: scope, text
	tokenScope    // trace: span: resource: event: link: instrumentation: — text is the word
	tokenString   // text is the content
	tokenInt      // num
	tokenFloat    // float
	tokenDuration // num
)

type token struct {
	kind  tokenKind
	pos   int // byte offset
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

// lexer cuts a query into tokens. The first error ends it.
type lexer struct {
	q   string
	pos int
	err *SyntaxError
}

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

func (l *lexer) next() token {
	l.skipSpace()
	t := l.scanToken()
	t.end = l.pos
	return t
}

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

// endsName says whether r ends an attribute name.
func endsName(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("{}()=~!<>&|^,", r) }

func (l *lexer) scanAttribute(start int, scope FieldScope) token {
	t := token{kind: tokenAttr, pos: start, scope: scope}
	from := l.pos
	var name []byte // set once a quoted part was seen
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
		open := l.pos
		for l.pos++; ; l.pos++ {
			if l.pos >= len(l.q) {
				return l.failAt(open, "quote of an attribute name is not closed")
			}
			c := l.q[l.pos]
			if c == '"' {
				break
			}
			if c == '\\' {
				l.pos++
				if l.pos >= len(l.q) || l.q[l.pos] != '"' && l.q[l.pos] != '\\' {
					return l.failAt(l.pos-1, `only \" and \\ are escapes in an attribute name`)
				}
				c = l.q[l.pos]
			}
			name = append(name, c)
		}
		l.pos++
		from = l.pos
	}
	if !quoted {
		if t.text = l.q[from:l.pos]; t.text == "" {
			return l.failAt(l.pos, "attribute name is missing after %s", l.q[start:l.pos])
		}
		return t
	}
	t.text = string(append(name, l.q[from:l.pos]...))
	return t
}

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
	p, isFloat := start, false
	for p < len(l.q) && isDigit(l.q[p]) {
		p++
	}
	if p < len(l.q) && l.q[p] == '.' {
		isFloat = true
		for p++; p < len(l.q) && isDigit(l.q[p]); p++ {
		}
	}
	if p < len(l.q) && (l.q[p] == 'e' || l.q[p] == 'E') {
		e := p + 1
		if e < len(l.q) && (l.q[e] == '+' || l.q[e] == '-') {
			e++
		}
		if e < len(l.q) && isDigit(l.q[e]) {
			isFloat = true
			for p = e; p < len(l.q) && isDigit(l.q[p]); p++ {
			}
		}
	}
	l.pos = p
	s := l.q[start:p]
	if p < len(l.q) {
		if r, _ := utf8.DecodeRuneInString(l.q[p:]); r == '_' || unicode.IsLetter(r) {
			return l.failAt(start, "%s is neither a number nor a duration", l.q[start:max(end, p+utf8.RuneLen(r))])
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

// parseDuration reads a run of number and unit characters: units y w d h m s ms of integers in
// descending order, or what time.ParseDuration takes.
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

func parseCompound(s string) (time.Duration, bool) {
	const day = 24 * time.Hour
	units := [...]struct {
		name string
		unit time.Duration
	}{{"y", 365 * day}, {"w", 7 * day}, {"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}
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
