// Package render draws what troupectl prints: lines, tables, plots and traces that fit a terminal.
//
// Names, values and error texts come from senders and servers and may hold anything. A Printer
// quotes all of it, so that nothing but printable characters, and the colours of this package,
// reaches the terminal.
package render

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is the number of combining marks that may follow a character; more would run over other
// lines.
const maxMarks = 4

// Quote returns s with everything that is not visibly printable written as Go would write it in a
// string: \n, \x1b, \u202e. This covers control characters, broken UTF-8, changes of the writing
// direction and characters without width.
func Quote(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	marks := maxMarks // a mark at the beginning would change what stands before s
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
			marks = maxMarks
		case unicode.In(r, unicode.M) && marks < maxMarks && !isHidden(r):
			b.WriteRune(r)
			marks++
		case unicode.IsPrint(r) && !unicode.In(r, unicode.M) && !isHidden(r):
			b.WriteRune(r)
			marks = 0
		default:
			b.WriteString(escapeRune(r))
			marks = maxMarks
		}
		i += n
	}
	return b.String()
}

// isPlain reports whether s is printable ASCII.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isHidden reports whether r is printable by its class but shows nothing: fillers, selectors of
// variants.
func isHidden(r rune) bool {
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || r == '\u2800'
}

func escapeRune(r rune) string {
	switch r {
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	switch {
	case r < 0x80:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}
