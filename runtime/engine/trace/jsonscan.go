package trace

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonScanner goes over a JSON text (RFC 8259) from front to back. It is lenient in two points,
// which cost nothing: control characters may stand in texts as they are, and texts need not be
// UTF-8. Positions are offsets in b.
type jsonScanner struct {
	b     []byte
	pos   int
	stack []byte // of skipValue: the closing brackets that it waits for
	text  []byte // scratch memory for texts with escapes
}

// jsonSyntax is an error about bytes that are not JSON: nothing after it can be read.
type jsonSyntax struct{ text string }

func (e *jsonSyntax) Error() string { return e.text }

// syntaxError returns the error about what stands at pos.
func (s *jsonScanner) syntaxError(want string) error {
	line, column := 1+bytes.Count(s.b[:s.pos], []byte("\n")), s.pos-bytes.LastIndexByte(s.b[:s.pos], '\n')
	found := "the end of the text"
	if s.pos < len(s.b) {
		r, _ := utf8.DecodeRune(s.b[s.pos:])
		found = fmt.Sprintf("%q", r)
	}
	return &jsonSyntax{fmt.Sprintf("read JSON: line %d, column %d: want %s, found %s", line, column, want, found)}
}

// peek passes over white space and returns the next byte, 0 at the end.
func (s *jsonScanner) peek() byte {
	for s.pos < len(s.b) {
		switch c := s.b[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// openBracket reads an opening bracket. closing is the bracket that closes it. more reports whether
// there is something in between.
func (s *jsonScanner) openBracket(closing byte) (more bool, err error) {
	s.pos++
	if s.peek() == closing {
		s.pos++
		return false, nil
	}
	return true, nil
}

// nextOrClose reads the comma or the closing bracket behind an element. It reports whether another
// element follows.
func (s *jsonScanner) nextOrClose(closing byte) (bool, error) {
	switch s.peek() {
	case ',':
		s.pos++
		return true, nil
	case closing:
		s.pos++
		return false, nil
	}
	return false, s.syntaxError(fmt.Sprintf("a comma or %q", closing))
}

// scanName reads the name of a member and the colon. The name is valid until the next text is read.
func (s *jsonScanner) scanName() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.syntaxError("a name in quotes")
	}
	raw, escaped, err := s.scanQuoted()
	if err != nil {
		return nil, err
	}
	if escaped {
		raw = s.resolveEscapes(raw)
	}
	if s.peek() != ':' {
		return nil, s.syntaxError("a colon")
	}
	s.pos++
	return raw, nil
}

// scanQuoted reads a text and returns what stands between its quotes.
func (s *jsonScanner) scanQuoted() (raw []byte, escaped bool, err error) {
	from := s.pos + 1
	for at := from; ; {
		n := bytes.IndexByte(s.b[at:], '"')
		if n < 0 {
			s.pos = len(s.b)
			return nil, false, s.syntaxError("a quote that ends the text")
		}
		end := at + n
		slash := bytes.IndexByte(s.b[at:end], '\\')
		if slash < 0 {
			s.pos = end + 1
			return s.b[from:end], escaped, nil
		}
		escaped = true
		// Escapes are passed over one by one, because the quote that was found may be part of one.
		for at += slash; at < len(s.b) && s.b[at] != '"'; at++ {
			if s.b[at] != '\\' {
				continue
			}
			if at++; at >= len(s.b) {
				break
			}
			if s.b[at] == 'u' {
				if _, ok := hexRune(s.b[at+1:]); !ok {
					s.pos = at
					return nil, false, s.syntaxError("four hex digits behind \\u")
				}
			} else if bytes.IndexByte([]byte(`"\/bfnrt`), s.b[at]) < 0 {
				s.pos = at
				return nil, false, s.syntaxError("an escape that JSON has")
			}
		}
	}
}

func hexRune(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		d := unhex[c]
		if d > 15 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

// unhex is the value of each hex digit, and above 15 for other bytes.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()

// resolveEscapes resolves the escapes of a text in scratch memory.
func (s *jsonScanner) resolveEscapes(raw []byte) []byte {
	s.text = appendUnescaped(s.text[:0], raw)
	return s.text
}

// appendUnescaped appends a text without its escapes, which scanQuoted has checked. Halves of
// surrogate pairs become U+FFFD.
func appendUnescaped(dst, raw []byte) []byte {
	for {
		n := bytes.IndexByte(raw, '\\')
		if n < 0 {
			return append(dst, raw...)
		}
		dst = append(dst, raw[:n]...)
		c := raw[n+1]
		raw = raw[n+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hexRune(raw)
			raw = raw[4:]
			if utf16.IsSurrogate(r) {
				second, ok := rune(0), len(raw) >= 6 && raw[0] == '\\' && raw[1] == 'u'
				if ok {
					second, _ = hexRune(raw[2:])
				}
				if r = utf16.DecodeRune(r, second); r != utf8.RuneError {
					raw = raw[6:]
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
}

// scanNumber reads a number and returns its characters.
func (s *jsonScanner) scanNumber() ([]byte, error) {
	n := numberLen(s.b[s.pos:])
	if n == 0 {
		return nil, s.syntaxError("a value")
	}
	s.pos += n
	return s.b[s.pos-n : s.pos], nil
}

// numberLen returns the length of the JSON number that b begins with, 0 if it begins with none.
func numberLen(b []byte) int {
	digits := func(i int) int {
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		return i
	}
	at := func(i int) byte {
		if i < len(b) {
			return b[i]
		}
		return 0
	}
	from := 0
	if at(0) == '-' {
		from = 1
	}
	i := digits(from)
	if i == from || b[from] == '0' && i > from+1 {
		return 0
	}
	if at(i) == '.' {
		if from, i = i+1, digits(i+1); i == from {
			return 0
		}
	}
	if at(i)|0x20 == 'e' {
		if i++; at(i) == '+' || at(i) == '-' {
			i++
		}
		if from, i = i, digits(i); i == from {
			return 0
		}
	}
	return i
}

// scanLiteral reads true, false or null: the one that begins with the byte at pos.
func (s *jsonScanner) scanLiteral() error {
	for _, word := range [...]string{"null", "true", "false"} {
		if s.b[s.pos] == word[0] {
			if !bytes.HasPrefix(s.b[s.pos:], []byte(word)) {
				return s.syntaxError(word)
			}
			s.pos += len(word)
			return nil
		}
	}
	return s.syntaxError("a value")
}

// skipValue passes over a value of any depth, and checks that it is JSON.
func (s *jsonScanner) skipValue() error {
	s.stack = s.stack[:0]
	for {
		var err error
		more := false // an element or member follows
		switch c := s.peek(); c {
		case '{', '[':
			s.stack = append(s.stack, c+2) // the closing bracket
			more, err = s.openBracket(c + 2)
			if !more {
				s.stack = s.stack[:len(s.stack)-1]
			}
		case '"':
			_, _, err = s.scanQuoted()
		case 't', 'f', 'n':
			err = s.scanLiteral()
		default:
			_, err = s.scanNumber()
		}
		for err == nil && !more && len(s.stack) > 0 {
			if more, err = s.nextOrClose(s.stack[len(s.stack)-1]); !more {
				s.stack = s.stack[:len(s.stack)-1]
			}
		}
		if err != nil {
			return err
		}
		if len(s.stack) == 0 {
			return nil
		}
		if s.stack[len(s.stack)-1] == '}' {
			if _, err := s.scanName(); err != nil {
				return err
			}
		}
	}
}
