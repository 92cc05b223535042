package trace

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// jsonMismatch is an error about a value that is JSON, but not what its field wants. What follows
// the value can be read.
type jsonMismatch struct {
	code string // of Reason
	text string
}

func (e *jsonMismatch) Error() string { return e.text }

func newMismatch(format string, args ...any) error {
	return &jsonMismatch{code: MalformedSpan, text: fmt.Sprintf(format, args...)}
}

func newIDMismatch(format string, args ...any) error {
	return &jsonMismatch{code: InvalidID, text: fmt.Sprintf(format, args...)}
}

// describeFound names the kind of the value at pos, for errors.
func (s *jsonScanner) describeFound() string {
	switch s.peek() {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a text"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

// readQuotedText reads a text without its escapes. It is valid until the next one is read.
func (s *jsonScanner) readQuotedText(want string) ([]byte, error) {
	if s.peek() != '"' {
		return nil, newMismatch("want %s, found %s", want, s.describeFound())
	}
	raw, escaped, err := s.scanQuoted()
	if err == nil && escaped {
		raw = s.resolveEscapes(raw)
	}
	return raw, err
}

// readNumberText reads a number that may stand in quotes.
func (s *jsonScanner) readNumberText() (text []byte, quoted bool, err error) {
	switch c := s.peek(); {
	case c == '"':
		text, err = s.readQuotedText("")
		return text, true, err
	case c == '-' || c-'0' <= 9:
		text, err = s.scanNumber()
		return text, false, err
	case c == 0:
		return nil, false, s.syntaxError("a value")
	}
	return nil, false, newMismatch("want a number, found %s", s.describeFound())
}

// readInteger reads an integer of at least low and at most high. It may have an exponent or a
// fraction as long as the number is whole. The result is in two's complement.
func (s *jsonScanner) readInteger(low int64, high uint64) (uint64, error) {
	text, _, err := s.readNumberText()
	if err != nil {
		return 0, err
	}
	negative, size, whole := plainNumber(text)
	if !whole {
		negative, size, whole = wholeNumber(text)
	}
	switch {
	case !whole:
		return 0, newMismatch("want a whole number, found %s", quoteShort(text))
	case !negative && size > high || negative && size > uint64(-low):
		return 0, newMismatch("%s is out of range", quoteShort(text))
	case negative:
		return -size, nil
	}
	return size, nil
}

// plainNumber reads a number that consists of few digits and nothing else, as nearly all do.
func plainNumber(text []byte) (negative bool, size uint64, whole bool) {
	if len(text) == 0 || len(text) > 19 || text[0] == '0' && len(text) > 1 {
		return false, 0, false
	}
	for _, c := range text {
		if c-'0' > 9 {
			return false, 0, false
		}
		size = 10*size + uint64(c-'0')
	}
	return false, size, true
}

// wholeNumber reads a JSON number. whole reports whether it is an integer; size, its absolute
// value, saturates at the largest uint64.
func wholeNumber(text []byte) (negative bool, size uint64, whole bool) {
	if len(text) == 0 || numberLen(text) != len(text) {
		return false, 0, false
	}
	if text[0] == '-' {
		negative, text = true, text[1:]
	}
	exponent := 0
	if e := bytes.IndexAny(text, "eE"); e >= 0 {
		exponent, _ = strconv.Atoi(string(text[e+1:]))             // saturates
		exponent = max(-mostExponent, min(exponent, mostExponent)) // which leaves room to add lengths of texts
		text = text[:e]
	}
	digits := text
	if point := bytes.IndexByte(text, '.'); point >= 0 {
		fraction := bytes.TrimRight(text[point+1:], "0")
		digits = append(append(make([]byte, 0, len(text)), text[:point]...), fraction...)
		exponent -= len(fraction)
	}
	digits = bytes.TrimLeft(digits, "0")
	if exponent < 0 {
		significant := bytes.TrimRight(digits, "0")
		drop := min(len(digits)-len(significant), -exponent)
		digits, exponent = digits[:len(digits)-drop], exponent+drop
	}
	if len(digits) == 0 {
		return negative, 0, true
	}
	if exponent < 0 {
		return negative, 0, false
	}
	if len(digits) > 20 || exponent > 20 || len(digits)+exponent > 20 {
		return negative, math.MaxUint64, true
	}
	for _, c := range digits {
		size = timesTen(size, uint64(c-'0'))
	}
	for range exponent {
		size = timesTen(size, 0)
	}
	return negative, size, true
}

const mostExponent = 1 << 40

func timesTen(n, digit uint64) uint64 {
	if n > (math.MaxUint64-digit)/10 {
		return math.MaxUint64
	}
	return 10*n + digit
}

// readFloat reads a number, in quotes or not, or one of ProtoJSON's words for what JSON has no
// number for.
func (s *jsonScanner) readFloat() (float64, error) {
	text, quoted, err := s.readNumberText()
	if err != nil {
		return 0, err
	}
	if quoted {
		switch string(text) {
		case "NaN":
			return math.NaN(), nil
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		}
	}
	if len(text) == 0 || numberLen(text) != len(text) {
		return 0, newMismatch("want a number, found %s", quoteShort(text))
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, newMismatch("%s is out of range", quoteShort(text))
	}
	return f, nil
}

func (s *jsonScanner) readBool() (bool, error) {
	c := s.peek()
	if c != 't' && c != 'f' {
		return false, newMismatch("want true or false, found %s", s.describeFound())
	}
	return c == 't', s.scanLiteral()
}

// readEnum reads a number, or the exact name of a number. Another name is refused as the sender's
// mistake: taken for 0, it would make a client's span a span without a kind.
func (s *jsonScanner) readEnum(names map[string]uint64) (uint64, error) {
	if s.peek() != '"' {
		return s.readInteger(math.MinInt32, math.MaxInt32)
	}
	text, err := s.readQuotedText("")
	if err != nil {
		return 0, err
	}
	if n, ok := names[string(text)]; ok {
		return n, nil
	}
	if negative, n, whole := wholeNumber(text); whole && !negative && n <= math.MaxInt32 {
		return n, nil
	}
	return 0, newMismatch("want a number or one of the names %s, found %s", enumNames(names), quoteShort(text))
}

// enumNames lists the names of an enum in the order of their numbers.
func enumNames(names map[string]uint64) string {
	sorted := slices.SortedFunc(maps.Keys(names), func(a, b string) int { return cmp.Compare(names[a], names[b]) })
	return strings.Join(sorted, ", ")
}

// appendHexID reads an id of size bytes as hex digits of either case and appends it as a field. An
// empty text is no id.
func (s *jsonScanner) appendHexID(dst []byte, tag byte, size int) ([]byte, error) {
	text, err := s.readQuotedText(wantHex(size))
	if err != nil || len(text) == 0 {
		return dst, err
	}
	if len(text) != 2*size {
		return dst, newIDMismatch("want %s, found %d characters: %s", wantHex(size), len(text), quoteShort(text))
	}
	dst = append(dst, tag, byte(size))
	for i := 0; i < len(text); i += 2 {
		high, low := unhex[text[i]], unhex[text[i+1]]
		if high|low > 15 {
			return dst, newIDMismatch("want %s, found %s", wantHex(size), quoteShort(text))
		}
		dst = append(dst, high<<4|low)
	}
	return dst, nil
}

func wantHex(size int) string {
	if size == 16 {
		return "32 hex digits"
	}
	return "16 hex digits"
}

// unbase64 is the value of each digit of either alphabet of base64, and above 63 for other bytes.
var unbase64 = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	t['-'], t['_'] = 62, 63
	return t
}()

// appendBase64 reads bytes in either alphabet of base64, padded or not, and appends them as a
// field.
func (s *jsonScanner) appendBase64(dst []byte, tag byte) ([]byte, error) {
	text, err := s.readQuotedText("bytes in base64")
	if err != nil {
		return dst, err
	}
	digits := bytes.TrimRight(text, "=")
	if len(text)-len(digits) > 2 || len(digits)%4 == 1 {
		return dst, newMismatch("want bytes in base64, found %s", quoteShort(text))
	}
	dst = binary.AppendUvarint(append(dst, tag), uint64(len(digits)*6/8))
	bits, n := uint32(0), 0
	for _, c := range digits {
		d := unbase64[c]
		if d > 63 {
			return dst, newMismatch("want bytes in base64, found %s", quoteShort(text))
		}
		bits, n = bits<<6|uint32(d), n+6
		if n >= 8 {
			n -= 8
			dst = append(dst, byte(bits>>n))
		}
	}
	return dst, nil
}

// quoteShort quotes a text for an error.
func quoteShort(text []byte) string {
	if len(text) > 40 {
		return strconv.Quote(string(text[:40])) + "…"
	}
	return strconv.Quote(string(text))
}
